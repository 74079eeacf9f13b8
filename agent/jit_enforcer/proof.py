"""The proof that nothing of a grant is left, made durable, and who is told of it (SPEC 3.3, 3.5, 3.6, S7)."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from jit_enforcer import ceiling, leftovers, notices, units
from jit_enforcer.errors import Denied, Unsafe
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry


def prove(host: Host, entries: Sequence[Entry]) -> None:
    """Of these grants rule and processes are gone: say so in the ledger, then to the person and to systemd."""
    gone_us, wall_us = host.clock.boot_us(), host.clock.wall_us()
    found = _left(host, entries)
    may_kill = bool(found) and _may_kill(host)
    for entry in entries:
        left = leftovers.settle(host.paths, entry, found, may_kill=may_kill)
        proof = {
            "grant": entry.grant.grant,
            "revision": entry.grant.revision,
            "reason": entry.reason,
            "ended_at": wall_us,
            "late_us": 0 if entry.reason == "rebooted" else max(0, gone_us - entry.due),
            "killed": entry.killed,
            "scope_empty": True,
            "rule_removed": True,
            "leftovers": left,
        }
        host.ledger.save_end(replace(entry, state="ended", proof=proof))
        if entry.reason != "rebooted":
            notices.ended(host.paths, entry.grant, reason=entry.reason, stopped=entry.killed)
    _tell_systemd(host, entries)


def _left(host: Host, entries: Sequence[Entry]) -> list[leftovers.Leftover]:
    """What these people still run outside every scope."""
    since: dict[int, int] = {}
    for entry in entries:
        if entry.grant.boot == host.boot:
            since[entry.grant.uid] = min(entry.since, since.get(entry.grant.uid, entry.since))
    scopes = [entry.scope for entry in host.unfinished()]
    return leftovers.find(host.paths, since, lambda pid: any(host.scopes.holds(scope, pid) for scope in scopes))


def _may_kill(host: Host) -> bool:
    try:
        return ceiling.load(host.paths).leftovers == "kill"
    except Denied:  # what cannot be read allows nothing
        return False


def _tell_systemd(host: Host, entries: Sequence[Entry]) -> None:
    """Nothing depends on it; a bus that does not answer is asked no further."""
    try:
        for entry in entries:
            host.scopes.stop_timer(entry.scope)
        for entry in entries:
            units.start_footprint(host.paths.bus, entry.grant.grant, when="after")
    except Unsafe as e:
        sys.stderr.write(f"After the end of a grant: {e}\n")
