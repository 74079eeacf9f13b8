"""What follows from a host's word about a sudo session, in the transaction that keeps it (SPEC 5.3, 8).

A word that says nothing new, that comes too late, or that is about another host's session changes nothing and leaves
no event: hosts say things again, and may lie (S11).  The words are theirs, and are escaped where shown (S12).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jit_server.domain import session as sessions
from jit_server.domain import shell
from jit_server.domain.events import EventKind, JsonValue
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, LocalUser
from jit_server.domain.report import (
    Report,
    SessionEnded,
    SessionFrozen,
    SessionRejected,
    SessionReport,
    SessionStarted,
    SessionWaiting,
    Subcommand,
)
from jit_server.domain.session import SESSION_MOVES, Session, SessionState
from jit_server.services.recording import host_actor, note_session
from jit_server.services.recordings import settle
from jit_server.store import Transaction


@dataclass(frozen=True, slots=True)
class Word:
    """Who said it and when; `grant` is None for a session by a standing rule, or if none of this host's is named."""

    tx: Transaction
    host: Host
    grant: Grant | None
    report: Report
    now: int

    async def follow(self, body: SessionReport) -> None:
        """Do what follows."""
        stored = await self.tx.sessions.get(body.session_id)
        if stored is not None and stored.host_id != self.host.host_id:
            return
        match body:
            case SessionWaiting():
                await self._waiting(stored, body)
            case SessionStarted():
                await self._started(stored, body)
            case SessionRejected():
                await self._rejected(stored, body)
            case SessionEnded():
                await self._ended(stored, body)
            case Subcommand():
                if stored is None:
                    await self.tx.sessions.add(await self._named(self._unknown(body.session_id), None))
                await self.tx.sessions.add_command(body.session_id, sessions.subcommand(body, self.report.at))
            case SessionFrozen():
                await self._frozen(stored, body)

    async def _waiting(self, stored: Session | None, told: SessionWaiting) -> None:
        if stored is not None:
            return
        named = await self._named(self._unknown(told.session_id), told.user)
        session = sessions.waiting(named, told)
        await self.tx.sessions.add(session)
        await self._note(EventKind.SESSION_WAITING, session, uid=told.user.uid, command_line=shell.join(told.argv))

    async def _started(self, stored: Session | None, told: SessionStarted) -> None:
        if stored is not None and (stored.started_at or stored.state is SessionState.REJECTED):
            return
        named = await self._named(stored or self._unknown(told.session_id), told.user)
        session = await self._keep(stored, sessions.started(named, told, self.report.at))
        await self._note(
            EventKind.SESSION_STARTED,
            session,
            uid=told.user.uid,
            run_as=told.run_as_user,
            command=told.command,
            command_line=shell.join(told.argv),
            cwd=told.cwd,
            tty=told.tty,
            standing=told.standing,
            record=told.record.value,
        )

    async def _rejected(self, stored: Session | None, told: SessionRejected) -> None:
        if stored is not None and (stored.state, SessionState.REJECTED) not in SESSION_MOVES:
            return
        named = await self._named(stored or self._unknown(told.session_id), told.user)
        session = await self._keep(stored, sessions.rejected(named, told, self.report.at))
        line = shell.join(told.argv)
        await self._note(EventKind.SESSION_REJECTED, session, uid=told.user.uid, command_line=line, reason=told.reason)

    async def _ended(self, stored: Session | None, told: SessionEnded) -> None:
        known = stored or self._unknown(told.session_id)
        if not known.user:
            # Nobody has told whose it is: its chunks came first, or the word of its start was lost.
            known = await self._named(known, None)
        session = sessions.ended(known, told, self.report.at, self.now)
        if stored is not None and not _is_news(stored, session.state):
            return
        await self._keep(stored, session)
        await self._note(
            EventKind.SESSION_ENDED,
            session,
            exit_value=told.exit_value,
            signal=told.signal,
            run_time_us=told.run_time_us,
            lost=told.lost,
            output_bytes=told.output_bytes,
            input_bytes=told.input_bytes,
            chunks=told.chunks,
            digest=told.digest,
            incomplete=told.incomplete,
        )
        await settle(self.tx, session, self.now)

    async def _frozen(self, stored: Session | None, told: SessionFrozen) -> None:
        before, after = SessionState.RUNNING, SessionState.FROZEN
        if not told.frozen:
            before, after = after, before
        if stored is None or stored.state is not before:
            return
        session = await self.tx.sessions.change(stored, replace(stored, state=after))
        kind = EventKind.SESSION_FROZEN if told.frozen else EventKind.SESSION_THAWED
        await self._note(kind, session, why=told.why, reason="", done=True)

    def _unknown(self, session_id: str) -> Session:
        return sessions.unknown(session_id, self.host.host_id, self.host.name, self.report.at)

    async def _named(self, session: Session, user: LocalUser | None) -> Session:
        """The session with its grant, and with whose it is: the grant's person, or else whoever has that account."""
        session = sessions.under(session, self.grant)
        if self.grant is not None:
            person = await self.tx.people.get(self.grant.user_id)
        else:
            person = None if user is None else await self.tx.people.by_account(user.name)
        if person is not None:
            return replace(session, user_id=person.user_id, user=person.name)
        return session if user is None else replace(session, user=local_name(user))

    async def _keep(self, stored: Session | None, session: Session) -> Session:
        if stored is None:
            await self.tx.sessions.add(session)
            return session
        return await self.tx.sessions.change(stored, session)

    async def _note(self, kind: EventKind, session: Session, **said: JsonValue) -> None:
        actor, at = host_actor(self.host), self.report.at
        await note_session(self.tx, kind, session, actor=actor, now=self.now, host_time=at, **said)


def _is_news(stored: Session, state: SessionState) -> bool:
    """Whether it may end like this.  What was taken for lost here its host may call so too: it knows what there is."""
    if stored.state is state is SessionState.LOST:
        return not stored.end_told
    return (stored.state, state) in SESSION_MOVES


def local_name(user: LocalUser) -> str:
    """An account as its host knows it, for an event."""
    return f"{user.name} (uid {user.uid})"
