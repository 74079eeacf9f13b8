"""End grants and prove it (S2–S4, S6, SPEC 3.3).

Every step is tried whatever failed before, and the loop comes back until the proof holds.  Of grants that end together
all rules go first, then all scopes; what walks through /proc comes after, once for all of them.  No right and no
program waits for D-Bus, sudo's parser, NSS or room on a disk.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from jit_enforcer import closing, proof, strays, tickets
from jit_enforcer.errors import Denied, Unsafe
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry

USED_EVERY_S = 0.5
# Nothing of these needs to be durable before it is done: after a crash the enforcer would come to the same.
_FORESEEN = ("expired", "used", "rebooted")


@dataclass(slots=True)
class _Case:
    """One grant on its way out; `holds` as long as every step worked."""

    entry: Entry
    holds: bool = True
    rule_gone: bool = False

    def tried(self, step: Callable[..., object], *arguments: object) -> None:
        try:
            step(*arguments)
        except (Denied, OSError):
            self.holds = False


def end(host: Host, entries: Sequence[Entry], reason: str) -> list[Entry]:
    """Returns the entries with their proofs, or still "ending" where something is left; a first reason stays."""
    cases = _begin(host, entries, reason)
    ordered = reason not in _FORESEEN
    if ordered:
        for case in cases:
            host.ledger.save_end(case.entry)
    _remove(host, cases, gently=ordered)
    proof.prove(host, [case.entry for case in cases if case.holds])
    return [host.ledger.entries[case.entry.grant.grant] for case in cases]


def undo(host: Host, entry: Entry) -> bool:
    """Take back a grant that never came into force.  False: something is left, and `tick` ends it as revoked."""
    cases = _begin(host, [entry], "revoked")
    _remove(host, cases, gently=False)
    with contextlib.suppress(Unsafe):  # it fires once, into nothing
        host.scopes.stop_timer(entry.scope)
    return cases[0].holds


def tick(host: Host) -> None:
    """End what is over, and try again what did not end."""
    over = [entry for entry in host.unfinished() if entry.state == "ending" or host.left_us(entry) <= 0]
    if over:
        end(host, over, "expired")


def end_used(host: Host) -> None:
    """End single-use grants whose one sudo is over; to be called every `USED_EVERY_S`, not after each request.

    A second sudo that was just refused would be taken for a stray, before it can say why.
    """
    used = [entry for entry in host.live() if entry.used and not host.scopes.processes(entry.scope)]
    if used:
        end(host, used, "used")


def wait_s(host: Host) -> float:
    """How long the loop may sleep before the next `tick`: a minute at most, in seconds."""
    entries = host.unfinished()
    if any(entry.state == "ending" for entry in entries):
        return 0.1
    longest = USED_EVERY_S if any(entry.used for entry in entries) else 60.0
    return max(0.0, min((longest, *(host.left_us(entry) / 1_000_000 for entry in entries))))


def _begin(host: Host, entries: Sequence[Entry], reason: str) -> list[_Case]:
    """The rules go before anything that could be slow."""
    cases = [_Case(entry) for entry in entries]
    for case in cases:
        entry = case.entry
        case.tried(host.rules.take, entry.grant.grant)
        case.rule_gone = case.holds
        if entry.state == "live":
            late = max(0, -host.left_us(entry)) if reason == "expired" else 0
            case.entry = replace(entry, state="ending", reason=reason, due=host.clock.boot_us() - late)
            host.ledger.entries[entry.grant.grant] = case.entry
    return cases


def _remove(host: Host, cases: Sequence[_Case], *, gently: bool) -> None:
    """Take away everything beside the rules."""
    stopped = closing.close_now(host, [case.entry.scope for case in cases]) if gently else {}
    for case in cases:
        case.tried(_kill_scope, host, case, stopped.get(case.entry.scope, 0))
    persons: dict[int, list[_Case]] = {}
    for case in cases:
        tickets.remove(host.paths, case.entry.grant.user, case.entry.grant.uid)
        if case.entry.grant.boot == host.boot and not _pass_on(host, case.entry):
            persons.setdefault(case.entry.grant.uid, []).append(case)
    _kill_strays(host, persons)
    for case in cases:
        if case.rule_gone:  # else the Defaults stay: they lead whom a rule still lets through to the gate
            case.tried(host.rules.settle, case.entry.grant.uid, case.entry.grant.user, host.live())
        host.ledger.entries[case.entry.grant.grant] = case.entry


def _kill_scope(host: Host, case: _Case, stopped: int) -> None:
    killed = host.scopes.kill(case.entry.scope)
    case.entry = replace(case.entry, killed=case.entry.killed + max(stopped, killed))


def _kill_strays(host: Host, persons: dict[int, list[_Case]]) -> None:
    now, live = host.clock.boot_us(), host.live()
    spans = {}
    for uid, cases in persons.items():
        spared = frozenset(known for case in cases for known in case.entry.standing)
        spans[uid] = strays.Span(min(case.entry.since for case in cases), now, spared)
    killed: dict[int, int] = {}
    with contextlib.suppress(OSError):  # the host's sudo cannot be looked at: tried again
        killed = strays.kill(host.paths, spans, lambda pid: any(host.scopes.holds(other.scope, pid) for other in live))
    for uid, cases in persons.items():
        cases[0].entry = replace(cases[0].entry, killed=cases[0].entry.killed + killed.get(uid, 0))
        for case in cases:
            case.holds &= uid in killed


def _pass_on(host: Host, entry: Entry) -> bool:
    """While another grant of the person lives, a sudo outside may be waiting for it: its end will look for it (S3)."""
    others = [other for other in host.live() if other.grant.uid == entry.grant.uid]
    for other in others:
        standing = tuple(sorted({*other.standing, *entry.standing}))
        sessions = tuple(sorted({*other.sessions, *entry.sessions}))
        heir = replace(other, since=min(other.since, entry.since), standing=standing, sessions=sessions)
        if heir != other:
            host.ledger.entries[other.grant.grant] = heir
            with contextlib.suppress(Denied):  # a full disk: remembered until the next start
                host.ledger.save(heir)
    return bool(others)
