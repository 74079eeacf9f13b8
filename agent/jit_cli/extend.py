"""`jit extend`: let a grant in force last longer, without a gap and without a new password for what runs.

Within the role's maximum the server agrees at once.  Past it the role wants the same as for a new request, so what is
missing is asked for like there, and the approval waited for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from jit_cli import agent_client, asking, chosen, duration, wait
from jit_cli.answers import Choice, Plan, Request
from jit_cli.asking import Answers
from jit_cli.errors import Failure, Interrupted
from jit_cli.grants import Live
from jit_cli.options import ASKING, OUTPUT, Parsed, Verb, no_more_words, output_format
from jit_cli.prompt import Terminal
from jit_cli.terminal import Painted, out, out_json, say

VERB = Verb(
    "extend",
    usage="jit extend [GRANT] [OPTIONS]",
    summary="Let a grant in force last longer. What runs under it runs on; past the role's maximum it needs the same\n"
    "as a new request.",
    examples=[
        ("jit extend", "the only grant there is, by the role's default time"),
        ("jit extend gnt-7f3a -d 30m", "one of several; any start of an id that names one will do"),
        ('jit extend -m "restore takes longer" --otp 123456', "past the role's maximum, with no questions"),
    ],
    options=(*ASKING, OUTPUT),
    notes="Exit status: 0 it lasts longer, 2 several and none named, 3 still pending (--no-wait), 4 code missing or\n"
    "wrong, 5 denied, 6 no such grant, 65 longer than allowed, 130 after Ctrl-C (the request stays).",
)


def run(parsed: Parsed) -> int:
    """Extend one grant; return 0 once the host holds it to the new end."""
    words = no_more_words(VERB, parsed, most=1)
    wanted_format = output_format(parsed)
    Answers.given(parsed)
    status = chosen.status("extended")
    live = chosen.grant(status, words[0] if words else "", several="name one")
    if live is None:
        raise Failure(
            "not_found", "there is nothing to extend: no grant is in force here", "ask with: jit sudo COMMAND"
        )
    request = next(iter(status.extensions_of(live)), None)
    if request is not None:
        # One at a time is all the server takes: coming back must not ask twice.
        say(f"you have asked for this before: {request.request_id}")
    else:
        request = _Asking(live, parsed).request()
    come_back = f"jit status -w {request.request_id}"
    unattended = parsed.given("no-wait") or parsed.given("non-interactive")
    if unattended and request.state == "pending":
        _show(request, wanted_format, in_force=False)
        say(f"waits for an approval; come back with: {come_back}")
        return Failure("pending", "").status
    request = wait.until_in_force(request, come_back, patient=not unattended, announce=False)
    _show(request, wanted_format, in_force=True)
    return 0


def _show(request: Request, wanted_format: str, *, in_force: bool) -> None:
    if wanted_format == "json":
        out_json({"request": asdict(request), "in_force": in_force})
    elif wanted_format == "name":
        out(request.request_id)
    elif in_force and request.grant is not None:
        ends = duration.until(request.grant.not_after)
        out(Painted("✔", "green"), f" {request.role} on {request.host} now ends at {ends}")
    elif not in_force:
        out(request.request_id)


@dataclass(frozen=True, slots=True)
class _Asking:
    """One grant to be extended as the command line says."""

    live: Live
    parsed: Parsed

    def request(self) -> Request:
        """Ask with what was given, and once more with what the role wants besides if that was not enough."""
        answers = Answers.given(self.parsed)
        try:
            return self._post(answers)
        except KeyboardInterrupt:
            raise Interrupted("interrupted; nothing was asked for") from None
        except Failure as failure:
            if failure.code not in {"invalid", "unauthenticated"}:
                raise
            plan, choice = self._role(failure)
            asking.refuse_too_long(choice, self.parsed, answers)
            if not asking.lacking(choice, answers):
                raise
            say(f"{failure.message}{f' ({failure.hint})' if failure.hint else ''}")

        def work(terminal: Terminal | None) -> Request:
            return asking.complete(
                choice, answers, self.parsed, terminal, lambda: self._post(answers), mfa_enrolled=plan.mfa_enrolled
            )

        return asking.with_terminal(self.parsed, work)

    def _post(self, answers: Answers) -> Request:
        return asking.post("extend", answers, grant=self.live.grant)

    def _role(self, failure: Failure) -> tuple[Plan, Choice]:
        """What the role of the grant wants; raises the failure where that cannot be learned."""
        try:
            plan = Plan.read(agent_client.ask("ls"))
        except agent_client.Refused:
            # Root inside the grant may extend it, not look around.
            raise failure from None
        choice = next((choice for choice in plan.choices if choice.role == self.live.role), None)
        if choice is None:
            raise failure
        return plan, choice
