"""From the roles that would do to a request on the server: choose, ask for what is missing, send.

Flags win over questions.  With `-n` or without a terminal nothing is asked, and
the error names every flag that is missing.  MFA fails closed (S9): no answer to
the question for the code is a denial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from jit_cli import agent_client, duration
from jit_cli.answers import Choice, Plan, Request
from jit_cli.errors import Failure, Interrupted, usage
from jit_cli.fields import Fields
from jit_cli.options import Parsed
from jit_cli.prompt import NoTerminal, Terminal
from jit_cli.terminal import complain, say
from jit_cli.words import any_of, plural

# The first code and two more.
_CODES = 3


Ask = dict[str, object]
T = TypeVar("T")


@dataclass(slots=True)
class Answers:
    """What goes with the request; empty where nothing was said yet."""

    reason: str
    ticket: str
    otp: str
    duration_s: int

    @classmethod
    def given(cls, parsed: Parsed) -> Answers:
        """Those on the command line; raises `Failure` for a duration that is none."""
        duration_s = duration.parse(parsed.text("duration")) if parsed.given("duration") else 0
        return cls(parsed.text("reason"), parsed.text("ticket"), _code(parsed.text("otp")), duration_s)


def send(plan: Plan, ask: Ask, parsed: Parsed, *, starts_at: int = 0) -> Request:
    """Ask for a role of the plan; return the request.  Raises `Failure` when that is impossible or refused."""

    def work(terminal: Terminal | None) -> Request:
        choice = _choose(plan, parsed, terminal)
        answers = Answers.given(parsed)
        refuse_too_long(choice, parsed, answers)
        if parsed.given("dry-run"):
            # A code is never tried in vain: it counts once.
            choice = replace(choice, mfa=False)

        def submit_it() -> Request:
            return submit(choice.role, ask, answers, parsed, starts_at=starts_at)

        return complete(choice, answers, parsed, terminal, submit_it, mfa_enrolled=plan.mfa_enrolled)

    return with_terminal(parsed, work)


def with_terminal(parsed: Parsed, work: Callable[[Terminal | None], T]) -> T:
    """Do something with the terminal if there is one to ask on, which -n rules out."""
    try:
        if parsed.given("non-interactive"):
            return work(None)
        try:
            terminal = Terminal()
        except NoTerminal:
            return work(None)
        with terminal:
            return work(terminal)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; nothing was asked for") from None


def complete(
    choice: Choice,
    answers: Answers,
    parsed: Parsed,
    terminal: Terminal | None,
    submit: Callable[[], Request],
    *,
    mfa_enrolled: bool,
) -> Request:
    """Ask for what the role wants and `answers` lacks, and submit; a wrong code may be typed again, twice."""
    if choice.code and not mfa_enrolled:
        raise Failure(
            "unauthenticated",
            f"{choice.role} needs a one-time code, and you have no second factor yet",
            "ask an administrator for an enrolment token, then run `jit mfa enroll`",
        )
    _fill(choice, answers, terminal)
    asked_for_code = choice.code and not parsed.given("otp")
    codes = 1
    while True:
        try:
            return submit()
        except Failure as failure:
            if failure.code != "unauthenticated" or not asked_for_code or terminal is None or codes == _CODES:
                raise
            complain(failure.message, failure.hint)
        answers.otp = _ask_code(terminal)
        codes += 1


def refuse_too_long(choice: Choice, parsed: Parsed, answers: Answers) -> None:
    if answers.duration_s > choice.max_s:
        raise Failure(
            "invalid",
            f"{parsed.text('duration')} is longer than {choice.role} allows",
            f"at most {duration.words(choice.max_s)}",
        )


def lacking(choice: Choice, answers: Answers) -> list[str]:
    """The flags of what the role wants and nobody has said."""
    return [
        flag
        for flag, needed in (
            ("-m REASON", choice.reason and not answers.reason),
            ("-t TICKET", choice.ticket and not answers.ticket),
            ("--otp CODE", choice.code and not answers.otp),
        )
        if needed
    ]


def _choose(plan: Plan, parsed: Parsed, terminal: Terminal | None) -> Choice:
    choices = plan.choices
    if not choices:
        raise refused(plan)
    if len(choices) == 1:
        return choices[0]
    if terminal is None:
        raise usage(f"several roles fit: {', '.join(choice.role for choice in choices)}", "pick one with -r ROLE")
    say("Several roles allow this:")
    index = terminal.choose("Which one", [f"{choice.role}: {summary(choice)}" for choice in choices])
    if index is None:
        raise usage("no role was chosen; nothing was asked for", "pick one with -r ROLE")
    return choices[index]


def _fill(choice: Choice, answers: Answers, terminal: Terminal | None) -> None:
    flags = lacking(choice, answers)
    if not flags:
        return
    if terminal is None:
        raise usage(
            f"{choice.role} needs more, and there is no terminal to ask on (or -n was given)",
            f"add {' and '.join(flags)}",
        )
    say(f"{choice.role}: {summary(choice)}")
    if choice.reason and not answers.reason:
        answers.reason = _required(terminal.ask("Reason"), "reason", "-m REASON")
    if choice.ticket and not answers.ticket:
        answers.ticket = _required(terminal.ask("Ticket"), "ticket", "-t TICKET")
    if choice.code and not answers.otp:
        answers.otp = _ask_code(terminal)


def _required(answer: str | None, what: str, flag: str) -> str:
    if answer is None:
        raise usage(f"no {what} was given; nothing was asked for", f"type one, or add {flag}")
    return answer


def _ask_code(terminal: Terminal) -> str:
    answer = terminal.ask("One-time code")
    if answer is None:
        raise Failure("unauthenticated", "no one-time code was given; nothing was asked for")
    return _code(answer)


def _code(text: str) -> str:
    # Authenticators show the digits in groups.
    return "".join(text.split())


def submit(
    role: str, ask: Ask, answers: Answers, parsed: Parsed, *, starts_at: int, hosts: Sequence[str] = ()
) -> Request:
    """Send it as the command line says; no hosts: for this one."""
    return post(
        "request",
        answers,
        role=role,
        ask=ask,
        once=parsed.given("once"),
        this_session=parsed.given("this-session"),
        starts_at=starts_at,
        hosts=list(hosts),
        dry_run=parsed.given("dry-run"),
    )


def post(operation: str, answers: Answers, **fields: object) -> Request:
    """Send one request with what was said to go with it."""
    try:
        answer = agent_client.ask(
            operation,
            **fields,
            duration_s=answers.duration_s,
            reason=answers.reason,
            ticket=answers.ticket,
            otp=answers.otp,
        )
    except KeyboardInterrupt:
        raise Interrupted("interrupted while asking", "`jit status` shows whether the request arrived") from None
    return Request.read(Fields(answer).object("request"))


def summary(choice: Choice) -> str:
    """One line: what the role is for, how long it lasts, and who has to agree."""
    parts = [choice.description] if choice.description else []
    parts.append(f"{duration.words(choice.default_s)} (at most {duration.words(choice.max_s)})")
    parts.append(
        f"{plural(choice.approvals, 'approval')} by {any_of(choice.approvers)}"
        if choice.approvals
        else "no approval needed"
    )
    return " · ".join(parts)


def refused(plan: Plan) -> Failure:
    """Why nothing fits: the nearest refusal in one line, and what would work."""
    if not plan.refusals:
        return Failure("denied", "no role of yours on this host allows this", "see `jit ls`")
    first = plan.refusals[0]
    for other in plan.refusals[1:]:
        say(f"{other.role or 'this host'}: {other.why}", f" ({other.hint})" if other.hint else "")
    return Failure("denied", f"{first.role}: {first.why}" if first.role else first.why, first.hint or "see `jit ls`")
