"""End a grant and prove it (S2–S4, S6, SPEC 3.3).

Every step is tried whatever failed before, and the loop comes back until the proof holds.  Nothing here needs D-Bus,
visudo, NSS or room on a disk.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace

from jit_enforcer import strays, tickets
from jit_enforcer.errors import Denied
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry


def end(host: Host, entry: Entry, reason: str) -> Entry:
    """Returns the entry with its proof, or still "ending" if something is left; its first reason stays."""
    if entry.state == "live":
        left = host.left_us(entry) if reason == "expired" else 0
        # the rule goes before anything that could be slow
        _tried(lambda: host.rules.take(entry.grant.grant))
        entry = replace(entry, state="ending", reason=reason, due=host.clock.boot_us() + min(left, 0))
        if reason == "expired":  # its deadline is in the ledger already
            host.ledger.entries[entry.grant.grant] = entry
        else:
            host.ledger.save_end(entry)
    gone, killed = _remove(host, entry)
    entry = replace(entry, killed=entry.killed + killed)
    if not gone:
        host.ledger.entries[entry.grant.grant] = entry
        return entry
    proof = {
        "grant": entry.grant.grant,
        "revision": entry.grant.revision,
        "reason": entry.reason,
        "ended_at": host.clock.wall_us(),
        "late_us": 0 if entry.reason == "rebooted" else max(0, host.clock.boot_us() - entry.due),
        "killed": entry.killed,
        "scope_empty": True,
        "rule_removed": True,
    }
    entry = replace(entry, state="ended", proof=proof)
    host.ledger.save_end(entry)
    host.scopes.stop_timer(entry.scope)
    return entry


def undo(host: Host, entry: Entry) -> bool:
    """Take back a grant that never came into force.  False: something is left, and `tick` ends it as revoked."""
    entry = replace(entry, state="ending", reason="revoked", due=host.clock.boot_us())
    host.ledger.entries[entry.grant.grant] = entry
    gone, _ = _remove(host, entry)
    host.scopes.stop_timer(entry.scope)
    return gone


def tick(host: Host) -> None:
    """End what is over, and try again what did not end."""
    for entry in host.unfinished():
        if entry.state == "ending" or host.left_us(entry) <= 0:
            end(host, entry, "expired")


def wait_s(host: Host) -> float:
    """How long the loop may sleep before the next `tick`: a minute at most, in seconds."""
    entries = host.unfinished()
    if any(entry.state == "ending" for entry in entries):
        return 0.1
    return max(0.0, min((60.0, *(host.left_us(entry) / 1_000_000 for entry in entries))))


def _remove(host: Host, entry: Entry) -> tuple[bool, int]:
    """Take everything away; returns whether nothing is left, and how many processes were killed."""
    uid, user = entry.grant.uid, entry.grant.user
    killed = 0

    def kill_scope() -> None:
        nonlocal killed
        killed += host.scopes.kill(entry.scope)

    def kill_strays() -> None:
        nonlocal killed
        killed += _kill_strays(host, entry)

    holds = _tried(lambda: host.rules.take(entry.grant.grant))
    tickets.remove(host.paths, user, uid)
    holds &= _tried(kill_scope)
    if entry.grant.boot == host.boot:
        holds &= _tried(kill_strays)
    holds &= _tried(lambda: host.rules.settle(uid, user, host.live()))
    return holds, killed


def _kill_strays(host: Host, entry: Entry) -> int:
    """While another grant of the person lives, a sudo outside may be waiting for it: its end will look for it (S3)."""
    others = [other for other in host.live() if other.grant.uid == entry.grant.uid]
    if others:
        for other in others:
            standing = tuple(sorted({*other.standing, *entry.standing}))
            heir = replace(other, since=min(other.since, entry.since), standing=standing)
            if heir != other:
                host.ledger.entries[other.grant.grant] = heir
                with contextlib.suppress(Denied):  # a full disk: remembered until the next start
                    host.ledger.save(heir)
        return 0
    live = host.live()
    return strays.kill(
        host.paths,
        uid=entry.grant.uid,
        since_us=entry.since,
        spared=entry.standing,
        in_live_scope=lambda pid: any(host.scopes.holds(other.scope, pid) for other in live),
    )


def _tried(step: Callable[[], None]) -> bool:
    try:
        step()
    except (Denied, OSError):
        return False
    return True
