"""Processes that left the scope of their grant and run on as somebody else (SPEC 3.3, S2, S4).

The kernel's audit hands a login uid down to everything a login starts, and `systemd-run --scope` or a write to
`cgroup.procs` does not change it.  So what is looked for has the person's login uid, but not their real uid, began
after the grant, is in no live scope of ours and is no sudo (`strays` knows those).

Not counted, because they are the login itself or the host's own business: whatever has one of the person's own
processes below it (sshd's, login's and cron's parents of a session), and what a sudo by the host's own rules runs.

Killing is for the host's ceiling to allow, and has two more conditions.  It must belong to an audit session from which
this grant let a sudo in: a login that is just being set up, and has nobody below it yet, has a session of its own.  And
none of its parents may be the person's own: what they reached by `su` or pkexec is theirs without us.  While a rule of
the host's own let sudo run, nothing is killed: a daemon it left behind looks the same.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jit_enforcer import processes
from jit_enforcer.errors import NotAdmitted
from jit_enforcer.ledger import Entry
from jit_enforcer.paths import Paths

_MOST: Final = 20
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Leftover:
    """`uid` is the login's; `parents` are all above it, each with its start in clock ticks; `below_own`: the person's
    own process is among them.
    """

    pid: int
    start: int
    uid: int
    parents: frozenset[tuple[int, int]]
    below_own: bool


def find(paths: Paths, since: Mapping[int, int], in_live_scope: Callable[[int], bool]) -> list[Leftover]:
    """One walk for all these people; `since` has the µs of CLOCK_BOOTTIME by uid."""
    pids = processes.all_pids(paths) if since else []
    logins = {pid: processes.audit(paths, pid, "loginuid") for pid in pids}
    suspects = {pid: uid for pid, uid in logins.items() if uid in since and processes.real_uid(paths, pid) != uid}
    family = processes.family(paths) if suspects else {}
    found = []
    for pid, uid in suspects.items():
        started, _ = family.get(pid, (-1, 0))
        below = any(processes.real_uid(paths, child) == uid for child in processes.below(pid, family))
        if started < processes.ticks(since[uid]) or below or in_live_scope(pid) or processes.runs_sudo(paths, pid):
            continue
        above = list(_above(pid, family))
        own = any(processes.real_uid(paths, parent) == uid for parent in above)
        found.append(Leftover(pid, started, uid, frozenset((up, family[up][0]) for up in above), own))
    return found


def settle(paths: Paths, entry: Entry, found: list[Leftover], *, may_kill: bool) -> list[dict[str, Any]]:
    """What belongs in the proof of this grant's end (SPEC 3.3), killed or not."""
    told: list[dict[str, Any]] = []
    for one in found:
        if one.uid != entry.grant.uid or one.start < processes.ticks(entry.since) or one.parents & {*entry.standing}:
            continue
        command = _command(paths, one.pid)
        lawful = one.below_own or entry.standing or processes.audit(paths, one.pid, "sessionid") not in entry.sessions
        killed = may_kill and not lawful and processes.kill(paths, one.pid, one.start)
        told.append({"pid": one.pid, "command": command, "killed": killed})
    return told[:_MOST]


def _above(pid: int, family: Mapping[int, tuple[int, int]]) -> Iterator[int]:
    while pid in family and (pid := family[pid][1]) in family:
        yield pid


def _command(paths: Paths, pid: int) -> str:
    try:
        words = " ".join(processes.command_line(paths, pid))
    except NotAdmitted:  # it has just ended, or wiped it
        return "?"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in words)[:_LONGEST]
