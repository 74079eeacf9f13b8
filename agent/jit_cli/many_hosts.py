"""`jit request --hosts`: one request for several hosts, which need not have this one among them.

What the role wants is known only if it is one of this host too; else what roles want usually is asked for, and a code
once the server wants one.
"""

from __future__ import annotations

from dataclasses import replace

from jit_cli import asking
from jit_cli.answers import Choice, Plan, Request
from jit_cli.asking import Answers, Ask
from jit_cli.errors import Failure, usage
from jit_cli.options import Parsed
from jit_cli.prompt import Terminal

_MOST = 100
_ANY_LENGTH = 2**31


def selection(text: str) -> list[str]:
    """The words of `--hosts`, parted by commas or blanks; raises a usage `Failure` for none, or too many."""
    words = text.replace(",", " ").split()
    if not words:
        raise usage("--hosts selects nothing", "write it like 'tier=web,env!=prod', or name hosts: web1,web2")
    if len(words) > _MOST:
        raise usage(f"--hosts has {len(words)} words, the limit is {_MOST}", "select by a label")
    return words


def send(plan: Plan, role: str, ask: Ask, hosts: list[str], parsed: Parsed, *, starts_at: int) -> Request:
    """Ask for the role on all these hosts; return the first one's request.  Raises `Failure`."""
    choice = next((choice for choice in plan.choices if choice.role == role), None)
    dry_run = parsed.given("dry-run")

    def work(terminal: Terminal | None) -> Request:
        answers = Answers.given(parsed)

        def submit() -> Request:
            return asking.submit(role, ask, answers, parsed, starts_at=starts_at, hosts=hosts)

        def complete(wanted: Choice) -> Request:
            return asking.complete(wanted, answers, parsed, terminal, submit, mfa_enrolled=plan.mfa_enrolled)

        if choice is not None:
            asking.refuse_too_long(choice, parsed, answers)
            return complete(replace(choice, mfa=choice.mfa and not dry_run))
        usual = _usual(role)
        try:
            return complete(usual)
        except Failure as failure:
            if failure.code != "unauthenticated" or terminal is None or answers.otp:
                raise
        return complete(replace(usual, mfa=True))

    return asking.with_terminal(parsed, work)


def _usual(role: str) -> Choice:
    """A role nothing is known of here: a reason is wanted (SPEC 9.1), whatever else the server says."""
    return Choice(
        role=role,
        description="not for this host, so what it wants is not known here",
        default_s=0,
        max_s=_ANY_LENGTH,
        mfa=False,
        reason=True,
        ticket=False,
        approvals=0,
        approvers=(),
        commands=(),
        run_as_users=(),
        until=0,
        active=False,
        once=False,
        max_hosts=_MOST,
        when=(),
        mfa_fresh=False,
    )
