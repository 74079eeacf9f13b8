"""What somebody has to look at, and the words for it.

An alert is a view of what is stored and has no state of its own: it is gone when what it speaks of is.  Texts of hosts
stand in the messages as they came; whoever shows them makes them safe (S12).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from jit_server.domain import shell
from jit_server.domain.events import Event
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host
from jit_server.domain.session import Session
from jit_server.domain.span import typed

SILENT_AFTER_US = 60 * 1_000_000
"""A host that is away for less, as while it or the server starts anew, is nothing to look at yet."""

LOOK_BACK_US = 7 * 24 * 3600 * 1_000_000
"""How long leftovers, footprints and recordings that are not whole are shown."""

SHOWN = 5
"""Of many processes or paths a message names so many; the audit log has the rest."""


BRIEF = 120
"""Of a command line a message has so many characters; `jitctl sessions show` has the rest."""


class AlertKind(StrEnum):
    """In the order of how much they matter."""

    END_UNCONFIRMED = "end_unconfirmed"
    SESSION_WAITING = "session_waiting"
    RECORDING_DAMAGED = "recording_damaged"
    LEFTOVERS = "leftovers"
    HOST_SILENT = "host_silent"
    CLOCK_OFF = "clock_off"
    HOST_PROBLEM = "host_problem"
    FOOTPRINT = "footprint"
    RECORDING_INCOMPLETE = "recording_incomplete"


@dataclass(frozen=True, slots=True)
class Alert:
    """One line for people; names are empty where they have no meaning, `since` is in µs UTC."""

    kind: AlertKind
    since: int
    message: str
    host: str
    user: str = ""
    role: str = ""
    grant_id: str = ""


def in_order(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """What matters most first, and of one kind the oldest."""
    place = {kind: number for number, kind in enumerate(AlertKind)}
    return tuple(sorted(alerts, key=lambda alert: (place[alert.kind], alert.since, alert.host, alert.grant_id)))


def end_unconfirmed(grant: Grant, *, user: str, host: str) -> Alert:
    """S7: an end that no host has told is never called one."""
    return Alert(
        AlertKind.END_UNCONFIRMED,
        grant.unconfirmed_at,
        f"{host} has not confirmed the end of the grant of {user} ({grant.end_reason}): reach the host, or cut it off",
        host=host,
        user=user,
        role=grant.role,
        grant_id=grant.grant_id,
    )


def leftovers(grant: Grant, *, user: str, host: str) -> Alert:
    return Alert(
        AlertKind.LEFTOVERS,
        grant.ended_at,
        f"processes had left the grant of {user} when it ended: {_some(grant.leftovers)}; look at them on {host}",
        host=host,
        user=user,
        role=grant.role,
        grant_id=grant.grant_id,
    )


def footprint(event: Event) -> Alert:
    paths = event.details.get("changes")
    changed = _some(paths) if isinstance(paths, list) else "see the audit log"
    return Alert(
        AlertKind.FOOTPRINT,
        event.at,
        f"{event.host} is not as it was before the grant of {event.user}: {changed}; see whether it should be so",
        host=event.host,
        user=event.user,
        role=event.role,
        grant_id=event.grant_id,
    )


def waiting(session: Session) -> Alert:
    """Somebody sits before a sudo that starts once it is watched (SPEC 8.5)."""
    return Alert(
        AlertKind.SESSION_WAITING,
        session.began_at,
        f"{session.user} waits on {session.host} until somebody watches: {_brief(shell.join(session.argv))}; "
        f"jitctl sessions watch {session.session_id}",
        host=session.host,
        user=session.user,
        role=session.role,
        grant_id=session.grant_id,
    )


def marred(session: Session) -> Alert:
    """The recording of a session is damaged, or ends before it does."""
    if session.damage:
        kind, since = AlertKind.RECORDING_DAMAGED, session.damaged_at
        what = f"the recording of {session.session_id} is damaged: {session.damage}"
        todo = f"compare all of them: jitctl sessions verify, and look at {session.host}"
    else:
        kind, since = AlertKind.RECORDING_INCOMPLETE, session.ended_at or session.began_at
        what = f"the recording of {session.session_id} is not whole: {session.incomplete}"
        todo = f"see why on {session.host}: jit doctor"
    return Alert(
        kind,
        since,
        f"{what}; {todo}",
        host=session.host,
        user=session.user,
        role=session.role,
        grant_id=session.grant_id,
    )


def of_host(host: Host, *, live_grants: int, now: int) -> Iterator[Alert]:
    """What is wrong with a host that was not removed."""
    if not host.connected:
        if live_grants and now - host.last_seen >= SILENT_AFTER_US:
            yield Alert(
                AlertKind.HOST_SILENT,
                host.last_seen,
                f"{host.name} is away and has {_count(live_grants, 'live grant')}: they end there at their time, "
                "but nothing can be revoked; see whether it runs and reaches the server",
                host=host.name,
            )
        return
    if host.clock_is_off:
        off_s = abs(host.clock_skew_us) // 1_000_000
        word = "ahead of" if host.clock_skew_us > 0 else "behind"
        yield Alert(
            AlertKind.CLOCK_OFF,
            host.last_seen,
            f"the clock of {host.name} is {typed(off_s)} {word} the server's, so it gets no new grants: "
            "set the time there",
            host=host.name,
        )
    for problem in host.reported_problems:
        yield Alert(AlertKind.HOST_PROBLEM, host.last_seen, f"{problem}: see jit doctor on {host.name}", host=host.name)


def _some(items: Iterable[str]) -> str:
    every = list(items)
    rest = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + rest


def _brief(text: str) -> str:
    return text if len(text) <= BRIEF else f"{text[: BRIEF - 1]}…"


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
