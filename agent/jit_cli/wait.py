"""Wait until a request is in force on this host, alive: who can approve, since when, how to leave and come back.

On a terminal one line moves; elsewhere only changes are written.  Ctrl-C leaves
the request where it is.  A restart of the agent is survived.
"""

from __future__ import annotations

import sys
import time

from jit_cli import agent_client, batch, duration
from jit_cli.agent_client import AgentGone
from jit_cli.answers import Request
from jit_cli.errors import Failure, Interrupted
from jit_cli.fields import Fields
from jit_cli.terminal import Painted, bell, clear_line, is_terminal, redraw, say, unicode_wanted
from jit_cli.view import how_long
from jit_cli.words import all_of, any_of, plural

_TICK_S = 0.12
# Seconds between tries to find the agent again; a restart takes about one.
_PAUSES_S = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
# From approval to being in force takes milliseconds when all is well.
_IMPATIENT_S = 60.0
# Whoever waited longer than this may be looking elsewhere.
_BELL_AFTER_S = 10.0


def until_in_force(
    request: Request, come_back: str, *, patient: bool, scheduled_will_do: bool = False, announce: bool = True
) -> Request:
    """Return the request once its grant is in force here; of an extension, once the grant has the new end.

    Of one for several hosts: once each of them has it in force or never will, and one has.

    `come_back` is the command that takes up the wait again.  Not `patient`: only
    as long as machines need.  `scheduled_will_do`: also once it is approved for a
    time to come.  `announce`: say what was waited for.  Raises `Failure` when it
    can no longer come into force or patience ends, `Interrupted` on Ctrl-C.
    """
    progress = _Progress(request)
    promised = _promised(request)
    gives_up_at = float("inf") if patient else time.monotonic() + _IMPATIENT_S
    lost = 0
    try:
        while True:
            try:
                for answer in agent_client.listen("wait", tick_s=_TICK_S, request=request.request_id):
                    if answer is not None:
                        lost = 0
                        fields = Fields(answer)
                        request = Request.read(fields.object("request"))
                        promised = max(promised, _promised(request))
                        if request.state == "approved" and _promised(request) < promised:
                            raise _taken_back(request)
                        progress.show(request)
                        settled = request.batch and request.may_still_start and not request.under_way
                        if fields.flag("in_force") or settled or (scheduled_will_do and request.scheduled):
                            progress.end(request, announce=announce)
                            return request
                    if not request.may_still_start:
                        raise refusal(request)
                    if time.monotonic() > gives_up_at:
                        raise Failure("try_again", f"{request.request_id} is not in force yet", f"retry: {come_back}")
                    progress.tick()
            except AgentGone as gone:
                if lost == len(_PAUSES_S):
                    raise _stays_open(gone, request, come_back) from None
                if lost == 0:
                    progress.clear()
                    say(f"{gone.message}; trying again")
                time.sleep(_PAUSES_S[lost])
                lost += 1
    except agent_client.Refused as refused:
        progress.clear()
        raise _stays_open(refused, request, come_back) from None
    except KeyboardInterrupt:
        progress.clear()
        raise left(request, come_back) from None
    except Failure:
        progress.clear()
        raise


def _stays_open(failure: Failure, request: Request, come_back: str) -> Failure:
    """The wait is over, the request is not."""
    return Failure(
        failure.code,
        f"{failure.message} ({failure.hint})" if failure.hint else failure.message,
        f"{request.request_id} stays open; come back with: {come_back}",
    )


def left(request: Request, come_back: str) -> Interrupted:
    """What to say to a person who stops waiting."""
    return Interrupted(
        f"{request.request_id} stays open until {duration.instant(request.lapses_at)}"
        if request.state == "pending"
        else f"{request.request_id} is approved and goes on without you",
        f"come back with: {come_back}   ·   take it back with: {_way_out(request)}",
    )


def _promised(request: Request) -> int:
    """The end an extension is to bring, µs UTC; zero of any other request."""
    if not request.extends:
        return 0
    return request.grant.not_after if request.grant is not None else request.extends_to


def _taken_back(request: Request) -> Failure:
    """The server takes an extension back when the host refuses it; the grant goes on to its former end."""
    where, ends = f"{request.role} on {request.host}", request.grant.not_after if request.grant is not None else 0
    return Failure(
        "denied",
        f"{where}: the host refused the longer time; the grant ends as before, at {duration.until(ends)}",
        "this host's own limit may be shorter than the role's: ask an administrator, the audit log says why",
    )


def _way_out(request: Request) -> str:
    return f"jit cancel {request.request_id}" if request.state == "pending" or request.scheduled else "jit drop"


def refusal(request: Request) -> Failure:
    """Why a request will never be in force: who said no, or what happened."""
    where = f"{request.role} on {request.where}{', extension' if request.extends else ''}"
    number = request.request_id
    if request.state == "denied":
        no = next((decision for decision in request.decisions if not decision.approved), None)
        by = f" by {no.by}" if no else ""
        why = f': "{no.reason}"' if no and no.reason else ""
        return Failure("denied", f"{where}: denied{by}{why} ({number})", "`jit ls` shows what else you may ask for")
    if request.state == "lapsed":
        return Failure("denied", f"{where}: nobody decided in time ({number})", "ask again, or ask an approver first")
    if request.state == "cancelled":
        return Failure("denied", f"{where}: cancelled ({number})")
    if request.grant is not None and request.grant.state == "refused":
        if request.starts_at and not _of_host(request.grant.end_reason):
            why = f"{where}: not allowed when it was to start: {request.grant.end_reason} ({number})"
            return Failure("denied", why, "ask again, or see what else there is: jit ls")
        why = f"{where}: the host refused the grant: {request.grant.end_reason} ({number})"
        return Failure("config", why, "`jit doctor` shows what this host lacks")
    why = request.grant.end_reason if request.grant is not None else ""
    if request.extends:
        over = f"{where}: the grant was over first{f' ({why})' if why else ''} ({number})"
        return Failure("denied", over, "ask again with: jit sudo COMMAND")
    return Failure("denied", f"{where}: over before it began{f' ({why})' if why else ''} ({number})", "ask again")


def _of_host(end_reason: str) -> bool:
    """Whether a host refused it: hosts begin with one of the codes of SPEC 3.4, the server says it in words."""
    code = end_reason.partition(":")[0]
    return code.replace("_", "").isalpha()


class _Progress:
    """What the waiting person sees, on standard error."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._moves = is_terminal(sys.stderr)
        self._frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if unicode_wanted() else "|/-\\"
        self._frame = 0
        self._began = time.monotonic()
        self._approvals_told = 0
        self._approved_told = False
        self._header_told = False

    def _header(self, request: Request) -> None:
        """Who can say yes, since when it is asked, and how to leave."""
        need = request.approvals_needed
        say(f"{request.request_id}: {request.role} on {request.where} for {how_long(request)}")
        if request.starts_at:
            say(f"  starting at {duration.in_full(request.starts_at)}")
        say(f"  {any_of(request.approvers)} can approve ({plural(need, 'approval')} needed)")
        say(f"  asked {duration.since(request.created_at)}; lapses {duration.until(request.lapses_at)}")
        if self._moves:
            say("  Ctrl-C leaves; the request stays")

    def show(self, request: Request) -> None:
        """Write what has changed."""
        self._request = request
        if request.state == "pending" and not self._header_told:
            self._header_told = True
            self._header(request)
        yes = request.approved_by
        if request.state == "pending" and len(yes) > self._approvals_told:
            self._line(f"approved by {all_of(yes)} ({len(yes)} of {request.approvals_needed})")
        self._approvals_told = len(yes)
        # That nobody had to agree to more time goes without saying.
        needless = bool(request.extends) and not yes
        if request.state == "approved" and not self._approved_told and request.may_still_start and not needless:
            self._approved_told = True
            by = f" by {all_of(yes)}" if yes else ", nobody else has to agree"
            self._line(Painted("✔", "green"), f" approved{by}")

    def end(self, request: Request, *, announce: bool) -> None:
        self.clear()
        if self._moves and time.monotonic() - self._began > _BELL_AFTER_S:
            bell()
        if request.grant is None or not announce:
            return
        ends = duration.until(request.grant.not_after)
        if request.batch:
            news = f"{request.role} is {batch.progress(request.batch)} until {ends}"
        elif request.extends:
            news = f"{request.role} on {request.host} now ends at {ends}"
        elif request.scheduled:
            news = f"{request.role} starts at {duration.in_full(request.grant.not_before)}"
        else:
            news = f"{request.role} is in force until {ends}"
        say(Painted("✔", "green"), f" {news}")

    def tick(self) -> None:
        if not self._moves:
            return
        self._frame = (self._frame + 1) % len(self._frames)
        waited = duration.clock(int(time.monotonic() - self._began))
        if self._request.state == "pending":
            what = f"waiting for {any_of(self._request.approvers)}"
        elif self._request.scheduled and self._request.grant is not None:
            what = f"approved; starts at {duration.until(self._request.grant.not_before)}"
        else:
            what = f"approved; {batch.progress(self._request.batch) if self._request.batch else self._coming()}"
        redraw(f"{self._frames[self._frame]} {what} · {waited} · Ctrl-C keeps the request")

    def _coming(self) -> str:
        return f"being put in force on {self._request.host}"

    def clear(self) -> None:
        if self._moves:
            clear_line()

    def _line(self, *parts: str | Painted) -> None:
        self.clear()
        say(*parts)
