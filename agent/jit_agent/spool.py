"""The durable spool: what the host knows and the server has not confirmed (SPEC 5.3, S7).

* A report gets the next number, from 1 and without gaps, in the transaction that stores it; it stays until the server
  said `kept`, and the newest of those stay longer, for a server that was restored from a backup and lost them.  A crash
  at any instant leaves a prefix of what was appended.
* A server whose first word does not fit these numbers gets what it lacks again, under a new spool id where the old
  numbers cannot go on.
* What sudo tells of a session is stored with its place in sudo's stream, and its end once, so that the next run of an
  agent that was killed can read that stream again and report nothing twice.
* What became of a revision of a grant is remembered, so that it is reported once however often the same desired state
  is applied.

Everything here blocks on the disk; `reports.Reports` keeps it off the event loop.  One thread at a time.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

from jit_agent.errors import SpoolUnavailable

Outcome = Literal["applied", "refused", "ended", "footprint"]
OUTCOME_KEPT_US = 90 * 86_400 * 1_000_000
"""Longer than any grant lives."""

KEPT_LONGER = 10_000
"""Reports that stay after the server has them."""

# Room that sessions may not use, so that the end of a grant can be reported when the spool is full of sessions.
_RESERVE = 1_000

_CLOSED = 2**62
"""Beyond any place in a stream."""

_SCHEMA = """
create table if not exists spool (
  one integer primary key check (one = 1), id text not null, host_id text not null, acknowledged integer not null
);
create table if not exists report (sequence integer primary key, body blob not null);
create table if not exists session (session_id text primary key, told integer not null);
create table if not exists outcome (
  grant_id text not null, revision integer not null, outcome text not null, at integer not null,
  primary key (grant_id, revision, outcome)
);
"""

T = TypeVar("T")


class Spool:
    """One file; opened for one host id, a spool of another host is put aside under its id."""

    def __init__(self, path: Path, host_id: str, *, limit: int = 200_000, kept_longer: int = KEPT_LONGER) -> None:
        """Open or make it; raises `SpoolUnavailable`."""
        self._limit = limit
        self._kept_longer = kept_longer
        self._last = 0
        try:
            self._db = _open(path)
            owner = self._db.execute("select host_id from spool").fetchone()
            if owner is not None and owner[0] != host_id:
                self._db.close()
                path.rename(path.with_name(f"{path.stem}-{owner[0]}{path.suffix}"))
                self._db = _open(path)
            if owner is None or owner[0] != host_id:
                new_id = secrets.token_hex(16)
                self._transact(lambda: self._db.execute("insert into spool values (1, ?, ?, 0)", (new_id, host_id)))
            row = self._db.execute("select id, acknowledged from spool").fetchone()
            self.spool_id: str = row[0]
            self._acknowledged: int = row[1]
            last = self._db.execute("select max(sequence) from report").fetchone()[0]
        except (sqlite3.Error, OSError) as e:
            raise SpoolUnavailable(f"the spool {path} cannot be opened: {e}") from e
        self._last = max(last or 0, self._acknowledged)

    @property
    def acknowledged(self) -> int:
        """Reports up to this number are the server's."""
        return self._acknowledged

    @property
    def last(self) -> int:
        """The number of the newest report; 0 before the first."""
        return self._last

    def close(self) -> None:
        self._db.close()

    def append(self, body: bytes) -> int:
        """Store one report durably and return its number."""
        return self._transact(lambda: self._append(body))

    def append_outcome(
        self, grant_id: str, revision: int, outcome: Outcome, body: bytes, *, at: int, too_late: bool = False
    ) -> int | None:
        """Store what became of a revision, unless it is already told; None then.

        A refusal is no news when it is of the newest revision that was in force, or `too_late`, after the grant's end:
        applying again what has ended is refused, and that is how it must be.  That a newer revision is in force is news
        to a server that was restored from a backup.
        """

        def work() -> int | None:
            told = self._db.execute("select revision, outcome from outcome where grant_id = ?", (grant_id,)).fetchall()
            if (revision, outcome) in told:
                return None
            if outcome == "refused":
                newest = max((old for old, what in told if what == "applied"), default=0)
                if newest == revision or (too_late and any(what == "ended" for _, what in told)):
                    return None
            self._db.execute("insert into outcome values (?, ?, ?, ?)", (grant_id, revision, outcome, at))
            return self._append(body)

        return self._transact(work)

    def forget_outcomes(self, *, before: int, listed: Sequence[str]) -> None:
        """Drop what is known of grants that are long over; `listed` ones stay."""

        def work() -> None:
            marks = ",".join("?" * len(listed))
            # The text holds only question marks; the ids are bound.
            query = f"delete from outcome where at < ? and grant_id not in ({marks})"  # noqa: S608
            self._db.execute(query, (before, *listed))

        self._transact(work)

    def require_room(self) -> None:
        """Raises `SpoolUnavailable` where a new session could not be reported; looks at numbers only."""
        if self._last - self._acknowledged >= self._limit - _RESERVE:
            raise SpoolUnavailable(f"the spool holds {self._limit - _RESERVE} reports the server has not taken")

    def probe(self) -> None:
        """Write something, to see whether the disk takes it."""
        self._transact(lambda: self._db.execute("update spool set acknowledged = acknowledged"))

    def append_session_event(self, body: bytes) -> int:
        """Store a report of a session that did not come from sudo's stream."""
        self.require_room()
        return self.append(body)

    def append_session(self, session_id: str, events: Sequence[tuple[int, bytes]]) -> int | None:
        """Store what a session's stream says up to these places, in order, unless it is stored; the last number."""
        return self._transact(lambda: self._append_session(session_id, events))

    def close_session(
        self,
        session_id: str,
        body: bytes | None,
        forgotten: Sequence[str] = (),
        events: Sequence[tuple[int, bytes]] = (),
    ) -> int | None:
        """Store what is left of a session's `events`, and its last report, if there is one; None if all was stored.

        That it has none to come is remembered until it is one of the `forgotten`.
        """

        def work() -> int | None:
            self._db.executemany("delete from session where session_id = ?", [(one,) for one in forgotten])
            if self._is_closed(session_id):
                return None
            last = self._append_session(session_id, events)
            self._db.execute("insert or replace into session values (?, ?)", (session_id, _CLOSED))
            return last if body is None else self._append(body)

        return self._transact(work)

    def is_closed(self, session_id: str) -> bool:
        return self._transact(lambda: self._is_closed(session_id))

    def forget_sessions(self, remembered: Sequence[str]) -> None:
        """Drop what is known of all sessions but these."""
        kept = set(remembered)

        def work() -> None:
            known = [row[0] for row in self._db.execute("select session_id from session")]
            self._db.executemany("delete from session where session_id = ?", [(x,) for x in known if x not in kept])

        self._transact(work)

    def _is_closed(self, session_id: str) -> bool:
        row = self._db.execute("select told from session where session_id = ?", (session_id,)).fetchone()
        return row is not None and row[0] == _CLOSED

    def pending(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` reports that the server has not confirmed, with a number above `after`, in order."""
        query = "select sequence, body from report where sequence > ? order by sequence limit ?"
        first = max(after, self._acknowledged)
        return self._transact(lambda: self._db.execute(query, (first, limit)).fetchall())

    def acknowledge(self, sequence: int) -> None:
        """The server keeps everything up to `sequence`; numbers we never gave are cut to the last we did."""
        upto = min(sequence, self._last)
        if upto <= self._acknowledged:
            return

        def work() -> None:
            self._db.execute("update spool set acknowledged = ?", (upto,))
            self._db.execute("delete from report where sequence <= ?", (upto - self._kept_longer,))

        self._transact(work)
        self._acknowledged = upto

    def agree(self, kept: int) -> bool:
        """Take the server's word of how much of this spool it keeps, at the beginning of a stream.

        Less than it once said: it was restored from a backup, and is told again.  More than we ever told: this file
        was.  Returns whether the reports it lacks have new numbers, under a new spool id.
        """
        if self._acknowledged <= kept <= self._last:
            self.acknowledge(kept)
            return False
        oldest = self._transact(lambda: self._db.execute("select min(sequence) from report").fetchone()[0])
        if kept < self._acknowledged and oldest is not None and oldest <= kept + 1:
            self._transact(lambda: self._db.execute("update spool set acknowledged = ?", (kept,)))
            self._acknowledged = kept
            return False
        self._begin_anew(after=kept if kept < self._acknowledged else self._acknowledged)
        return True

    def _begin_anew(self, *, after: int) -> None:
        """Give the reports with a number above `after` the numbers from 1 of a new spool."""
        new_id = secrets.token_hex(16)

        def work() -> int:
            self._db.execute("delete from report where sequence <= ?", (after,))
            oldest, count = self._db.execute("select min(sequence), count(*) from report").fetchone()
            # By way of negative numbers, so that no report meets another's number.
            self._db.execute("update report set sequence = ? - sequence", ((oldest or 1) - 1,))
            self._db.execute("update report set sequence = -sequence")
            self._db.execute("update spool set id = ?, acknowledged = 0", (new_id,))
            return int(count)

        last = self._transact(work)
        self.spool_id, self._acknowledged, self._last = new_id, 0, last

    def _append_session(self, session_id: str, events: Sequence[tuple[int, bytes]]) -> int | None:
        row = self._db.execute("select told from session where session_id = ?", (session_id,)).fetchone()
        told = row[0] if row else 0
        new = [(place, body) for place, body in events if place > told]
        if not new:
            return None
        self.require_room()
        self._db.execute("insert or replace into session values (?, ?)", (session_id, new[-1][0]))
        return [self._append(body) for _, body in new][-1]

    def _append(self, body: bytes) -> int:
        if self._last - self._acknowledged >= self._limit:
            raise SpoolUnavailable(f"the spool holds {self._limit} reports the server has not taken")
        sequence = self._last + 1
        self._db.execute("insert into report values (?, ?)", (sequence, body))
        self._last = sequence
        return sequence

    def _transact(self, work: Callable[[], T]) -> T:
        last = self._last
        try:
            self._db.execute("begin immediate")
            result = work()
            self._db.execute("commit")
        except (sqlite3.Error, SpoolUnavailable) as e:
            self._last = last
            # SQLite rolls back by itself on a full disk; then there is nothing left to undo.
            with suppress(sqlite3.Error):
                self._db.execute("rollback")
            if isinstance(e, SpoolUnavailable):
                raise
            raise SpoolUnavailable(f"the spool cannot be written: {e}") from e
        return result


def _open(path: Path) -> sqlite3.Connection:
    # Transactions are ours to begin; the connection lives in whichever thread `Reports` runs it on.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    db.executescript(_SCHEMA)
    return db
