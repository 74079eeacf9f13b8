"""What is wrong on this host and how to mend it, for `jit doctor`; says only what was looked at just now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from jit_agent.chunks import Refused
from jit_agent.config import Config
from jit_agent.errors import AgentError
from jit_agent.host_checks import Check, look
from jit_agent.link_state import MAX_SKEW_US, LinkState
from jit_agent.model import HostStatus
from jit_agent.ports import Clock, Enforcer
from jit_agent.reports import Reports

ROOM = "df /var/lib/jit-agent; then systemctl restart jit-agent.service"
ENROL = "on the server: jitctl hosts enroll-token NAME; then here the command it prints"


@dataclass(frozen=True, slots=True)
class Subject:
    """What the doctor looks at: why there is no way to the server, why nothing can be recorded, and what else there is.

    The callables give what is true now; `expires_at`: the certificate's end, µs UTC.
    """

    config: Config
    enforcer: Enforcer
    clock: Clock
    activated: bool
    problem: str
    disk_problem: str
    state: Callable[[], LinkState]
    reports: Reports | None
    refused: Callable[[], Refused]
    expires_at: Callable[[], int | None]
    renewal_error: Callable[[], str]


class Doctor:
    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    async def checks(self, session: int | None) -> list[Check]:
        """Never raises: what cannot be looked at is a check that failed.

        `session`: the login session of who asks, 0 outside any; None when that is nobody in particular.
        """
        subject = self._subject
        checks = [self._enrolment()]
        try:
            status = await subject.enforcer.status()
        except AgentError as e:
            checks.append(Check("enforcer", False, str(e), "systemctl restart jit-enforcer.service"))
        else:
            checks += self._host(status)
        if subject.config.enrolment is not None:
            checks += [self._server(), self._clock(), self._certificate()]
        checks += [self._spool(), self._recordings(), self._sockets()]
        return checks + await asyncio.to_thread(look, session)

    def _enrolment(self) -> Check:
        subject = self._subject
        enrolment = subject.config.enrolment
        if enrolment is None:
            return Check("enrolment", False, subject.config.problem, ENROL)
        if subject.problem:
            return Check("enrolment", False, subject.problem, "jit-agent enroll --force, with a new token")
        return Check("enrolment", True, f"{enrolment.host_name} ({enrolment.host_id}) belongs to {enrolment.server}")

    def _host(self, status: HostStatus) -> list[Check]:
        enrolment = self._subject.config.enrolment
        checks = [Check("enforcer", True, f"answers; {len(status.live)} live grants; sudo {status.sudo_version}")]
        if enrolment is not None and status.host_id != enrolment.host_id:
            detail = f"the enforcer believes this is {status.host_id or 'no host at all'}"
            checks.append(Check("trust", False, detail, "systemctl restart jit-enforcer.service"))
        if status.problems:
            checks += [Check("enforcement", False, problem, "mend this, then ask again") for problem in status.problems]
        else:
            checks.append(Check("enforcement", True, "sudo, include line and systemd can enforce grants"))
        return checks

    def _server(self) -> Check:
        state = self._subject.state()
        for_s = max(0, (self._subject.clock.now_us() - state.since) // 1_000_000)
        if state.connected:
            return Check("server", True, f"connected for {for_s} s")
        since = f" (for {for_s} s)" if state.since else ""
        return Check("server", False, f"{state.error}{since}", "check the network, and jit-server on the other side")

    def _clock(self) -> Check:
        skew_us = self._subject.state().skew_us
        if skew_us is None:
            return Check("clock", False, "the server has not said its time yet", "see: server")
        detail = f"{abs(skew_us) / 1_000_000:.1f} s {'ahead of' if skew_us >= 0 else 'behind'} the server"
        return Check("clock", abs(skew_us) <= MAX_SKEW_US, detail, "timedatectl set-ntp true")

    def _certificate(self) -> Check:
        expires_at, error = self._subject.expires_at(), self._subject.renewal_error()
        if expires_at is None:
            return Check("certificate", False, "there is none", ENROL)
        if self._subject.clock.now_us() >= expires_at:
            return Check("certificate", False, f"expired at {_date(expires_at)}", "jit-agent enroll --force")
        detail = f"until {_date(expires_at)}, renews itself"
        return Check("certificate", not error, error or detail, "it is tried again; check the connection to the server")

    def _spool(self) -> Check:
        subject = self._subject
        if subject.reports is None:
            return Check("spool", subject.config.enrolment is None, subject.disk_problem or "not in use yet", ROOM)
        reports = subject.reports
        return Check("spool", True, f"{reports.waiting} reports wait for the server")

    def _recordings(self) -> Check:
        subject = self._subject
        if subject.disk_problem and subject.reports is not None:
            return Check("recordings", False, subject.disk_problem, ROOM)
        refused = subject.refused()
        if not refused.count:
            return Check("recordings", True, "the server has refused none")
        were = "recording was" if refused.count == 1 else "recordings were"
        detail = f"{refused.count} {were} refused by the server, {max(1, refused.size >> 20)} MiB on this disk"
        root = subject.config.recordings_directory
        fix = f"grep -H . {root}/*/refused says why; move those folders away; then systemctl restart jit-agent.service"
        return Check("recordings", False, detail, fix)

    def _sockets(self) -> Check:
        if self._subject.activated:
            return Check("sockets", True, "the agent's socket and sudo's log port belong to systemd")
        fix = "systemctl enable --now jit-agent.socket jit-sudolog.socket; systemctl restart jit-agent.service"
        return Check("sockets", False, "the agent was started without systemd's sockets", fix)


def _date(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
