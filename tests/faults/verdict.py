"""From what was seen to one row of the table: who stopped it, how late, and whether every promise held (S1–S4).

Pure.  Nothing here asks jit what is so: commands that ran as root told their own time, the kernel told of deaths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from faults.person import CANNOT_START

OK = "ok"
ENDED = "ended"
UNPLAYED = "-"


@dataclass(frozen=True, slots=True)
class Run:
    """One sudo: begun and over, when its command ran as root (None: it did not), what sudo said."""

    began: float
    over: float
    ran: float | None
    status: int
    said: str


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was seen of one grant.  Times are seconds of CLOCK_MONOTONIC; `ends_at` is when nothing may be left.

    `deaths` are those of the marked processes by pid, `limit_at` is when PID 1 said that it stops the scope (None: it
    did not), `rule_gone` when the rule was no longer on disk; `traces` is what a witness found on the host afterwards,
    `server` the state of the grant as the server tells it and should tell it, `others` what bystanders could do.
    """

    ends_at: float
    runs: Sequence[Run]
    deaths: Mapping[int, float]
    left: Sequence[int]
    rule_gone: float | None
    limit_at: float | None
    shell_lives: bool
    traces: Mapping[str, Any]
    server: str
    server_should_say: str = ENDED
    others: Sequence[str] = ()
    fired: bool = True
    rebooted_at: float | None = None
    trouble: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table, and of build/faults.json; negative lateness is before the end."""

    fault: str
    stopped_by: str
    late_ms: int
    verdict: str

    @property
    def unplayed(self) -> bool:
        """True if the case came to no end, whatever that was."""
        return self.stopped_by == UNPLAYED

    @property
    def ok(self) -> bool:
        return self.verdict == OK

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def judge(fault: str, seen: Seen, *, limit_ms: int) -> Row:
    """`limit_ms` is how late the last process and the last command may be."""
    late_ms = lateness(seen)
    wrong = [*seen.trouble, *_wrong(seen)]
    if late_ms > limit_ms:
        wrong.append(f"{late_ms} ms late, {limit_ms} allowed")
    return Row(fault, f"{_sudo_stopped_by(seen)}; {_processes_stopped_by(seen)}", late_ms, "; ".join(wrong) or OK)


def failed(fault: str, why: str) -> Row:
    """The row of a case that could not be played."""
    return Row(fault, UNPLAYED, 0, why)


def lateness(seen: Seen) -> int:
    """The last death or the last command that ran, in ms after the end."""
    last = [*seen.deaths.values(), *(run.ran for run in seen.runs if run.ran is not None)]
    return round((max(last) - seen.ends_at) * 1000) if last else 0


def _wrong(seen: Seen) -> list[str]:
    wrong = []
    if not seen.fired:
        wrong.append("the failpoint never fired")
    if not any(run.ran is not None for run in seen.runs):
        wrong.append("sudo never worked, so its end shows nothing")
    if not any(run.over >= seen.ends_at for run in _refused(seen)):
        wrong.append("no sudo was seen to be refused after the end")
    if not seen.deaths and not seen.left:
        wrong.append("there was no process to be ended")
    if seen.left:
        wrong.append(f"processes {list(seen.left)} outlived the grant")
    if not seen.shell_lives:
        wrong.append("the login shell died")
    if seen.server != seen.server_should_say:
        wrong.append(f"the server calls the grant {seen.server}")
    wrong += [f"{where} left: {what}" for where, what in seen.traces.items() if what]
    return wrong + list(seen.others)


def _refused(seen: Seen) -> list[Run]:
    """Those that sudo or the gate said no to; for one that could not even start nobody did."""
    return [run for run in seen.runs if run.ran is None and run.status != CANNOT_START]


def _sudo_stopped_by(seen: Seen) -> str:
    if seen.rebooted_at is not None:
        return "reboot"
    worked = [run.began for run in seen.runs if run.ran is not None]
    refused = [run for run in _refused(seen) if run.began > max(worked, default=0.0)]
    if not refused:
        return "nothing"
    first = refused[0]
    if "jit:" in first.said or "log server" in first.said or "I/O plugin" in first.said:
        return "gate"
    gone = seen.rule_gone is not None and seen.rule_gone <= first.over
    return "removal" if gone else "NOTAFTER"


def _processes_stopped_by(seen: Seen) -> str:
    if seen.rebooted_at is not None:
        return "reboot"
    if not seen.deaths or seen.left:
        return "nothing"
    # What is stopped on time dies a moment after PID 1 says so; what died before was somebody else's doing.
    by_limit = seen.limit_at is not None and max(seen.deaths.values()) >= seen.limit_at - 0.02
    return "PID 1" if by_limit else "enforcer"
