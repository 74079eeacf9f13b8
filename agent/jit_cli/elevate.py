"""`jit sudo`: use a live grant at once, or ask for one, wait, and become sudo.

sudo itself decides in the end; nothing here gives a right (S1).  Until a request
is needed only light modules are imported.
"""

from __future__ import annotations

from jit_cli import agent_client
from jit_cli.command import Wanted, run_sudo, wanted
from jit_cli.errors import Failure, usage
from jit_cli.options import ASKING, NARROWING, Option, Parsed, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jit_cli.answers import Request

_ENDS_SOON_US = 5_000_000
_NOT_OURS = "jit never needs your password"

VERB = Verb(
    "sudo",
    usage="jit sudo [OPTIONS] [--] COMMAND [ARGUMENT…]   or   jit sudo [OPTIONS] -i|-s [COMMAND…]",
    summary="Run a command with sudo. Without a live grant that covers it, ask for one and wait for the approval.",
    examples=[
        ("jit sudo systemctl restart nginx", "as root"),
        ("jit sudo -u postgres psql", "as another account"),
        ('jit sudo -r db-admin -m "fix INC-7" -t INC-7 -d 30m --otp 123456 psql', "no questions"),
        ("jit sudo -i", "a root shell, if a role of yours allows one"),
        ("jit sudo --once reboot", "one command; the grant is over with it"),
    ],
    options=(
        Option("u", "user", "USER", "run as this account instead of root (name or #uid)"),
        Option("g", "group", "GROUP", "run with this primary group (name or #gid)"),
        Option("i", "login", "", "a login shell of that account"),
        Option("s", "shell", "", "your own shell as that account"),
        Option("r", "role", "ROLE", "use this role"),
        *ASKING,
        *NARROWING,
        Option("", "exact", "", "ask for this one command only, not for all the role allows"),
        Option("", "exit-codes", "KIND", "sudo (default): 1 for all our own failures; extended: those of jit(1)"),
        Option(
            "E",
            "preserve-env",
            optional_value=True,
            refused="a caller's environment can change what an approved command does; set what it needs on its own",
        ),
        Option(
            "D",
            "chdir",
            "DIR",
            refused="approvers see a command, not a directory; cd there first, sudo keeps the directory",
        ),
        Option("l", "list", refused="`jit ls` shows what you may ask for, `jit status` what you may do now"),
        Option("v", "validate", refused="`jit status` shows until when your grants last"),
        Option("k", "reset-timestamp", refused="`jit drop` gives your grants back"),
        Option("K", "remove-timestamp", refused="`jit drop --all` gives your grants back"),
        Option("e", "edit", refused="ask for an editor on the file, or for a role that allows one"),
        Option("A", "askpass", refused=_NOT_OURS),
        Option("S", "stdin", refused=_NOT_OURS),
        Option("p", "prompt", "TEXT", refused=_NOT_OURS),
        Option("b", "background", refused="put & after the command line"),
        Option("H", "set-home", refused="sudo sets HOME by itself here"),
        Option("P", "preserve-groups", refused="an approved command runs with the groups of its account only"),
        Option("C", "close-from", "NUMBER", refused="a grant does not cover open files"),
        Option("R", "chroot", "DIR", refused="a grant does not cover another root directory"),
        Option("T", "command-timeout", "TIME", refused="the grant's own end stops the command; see -d"),
        Option("U", "other-user", "USER", refused="jit speaks for yourself only"),
    ),
    notes="Environment assignments before the command, -E and -D are refused: they can change what was approved.\n"
    "Exit status: the command's own; 1 if it never started (see --exit-codes, given first); 130 after Ctrl-C.",
    like_sudo=True,
)


def run(parsed: Parsed) -> int:
    """Become sudo, or raise `Failure`."""
    if parsed.text("exit-codes") not in {"", "sudo", "extended"}:
        raise usage(f"unknown value {parsed.text('exit-codes')!r} for --exit-codes", "it takes sudo or extended")
    want = wanted(parsed)
    untrusted = agent_client.ask("plan", ask=want.ask, role=parsed.text("role"))
    live = untrusted.get("live")
    if live is None:
        _obtain(want, parsed, untrusted)
    else:
        _remark(live, parsed)
    run_sudo(want.sudo_words)
    return 1


def _remark(live: dict[str, object], parsed: Parsed) -> None:
    """What to know before a grant in force is used: that it is about to end, or that nothing narrower is asked for."""
    import time

    ends = live.get("not_after")
    left_us = ends - time.time_ns() // 1000 if isinstance(ends, int) else _ENDS_SOON_US
    narrower = [f"--{name}" for name in ("once", "this-session") if parsed.given(name)]
    if left_us < _ENDS_SOON_US or narrower:
        from jit_cli.terminal import say

        if narrower:
            say(f"{live.get('role')} is in force already and covers this; {' and '.join(narrower)} changes nothing")
        if left_us < _ENDS_SOON_US:
            say(
                f"{live.get('role')} ends in {max(0, left_us) // 1_000_000} s; to go on: jit extend {live.get('grant')}"
            )


def _obtain(want: Wanted, parsed: Parsed, untrusted_plan: dict[str, object]) -> None:
    """Return once a grant for it is in force on this host; raise `Failure` when that does not come to be."""
    from jit_cli import asking, wait
    from jit_cli.answers import Plan

    request = _asked_before(want, parsed)
    if request is None:
        request = asking.send(Plan.read(untrusted_plan), want.ask, parsed)
    unattended = parsed.given("no-wait") or parsed.given("non-interactive")
    if unattended and request.state == "pending":
        raise Failure(
            "pending",
            f"{request.request_id} waits for an approval; the command did not run",
            f"wait for it with: jit status -w {request.request_id}, then run the same command again",
        )
    wait.until_in_force(request, come_back="the same command again", patient=not unattended)
    if request.this_session and agent_client.ask("plan", ask=want.ask, role=request.role).get("live") is None:
        raise Failure(
            "denied",
            f"{request.request_id} is for the login session it was asked in, which is not this one",
            "use it there, or ask without --this-session",
        )


def _asked_before(want: Wanted, parsed: Parsed) -> Request | None:
    """A request of mine for this very thing that is still under way: coming back must not ask twice."""
    from jit_cli import duration
    from jit_cli.answers import Status
    from jit_cli.terminal import say

    status = Status.read(agent_client.ask("status", all=False))
    for request in status.requests:
        given = {"role": request.role, "reason": request.reason, "ticket": request.ticket}
        if (
            request.under_way
            and not request.extends
            and not request.starts_at
            and (request.once, request.this_session) == (parsed.given("once"), parsed.given("this-session"))
            and request.ask == want.ask
            and request.host == status.host
            and all(parsed.text(name) == value for name, value in given.items() if parsed.given(name))
            and (not parsed.given("duration") or duration.parse(parsed.text("duration")) == request.duration_s)
        ):
            say(f"you have asked for this before: {request.request_id}")
            return request
    return None
