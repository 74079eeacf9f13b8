"""sudo's log server on the host, which is also the gate (DESIGN 3.6, S5, S11).

sudo connects and blocks until ServerHello.  It gets one only when its socket is root's, the enforcer admitted the
process into a grant's scope, and the spool proved that it can store; everything else ends in one `error` line that the
person sees.  Afterwards sudo is always drained, for it buffers without limit in root's memory, and a record that cannot
be stored aborts the command.  A hostile message ends its connection and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from jit_agent import enforcer_wire, sudo_wire
from jit_agent.errors import AgentError, EnforcerRefused, Malformed, SpoolUnavailable
from jit_agent.model import Admission, SessionEnded, SessionRejected, SessionStarted, new_session_id
from jit_agent.ports import Enforcer
from jit_agent.reports import Reports
from jit_agent.text import safe

log = logging.getLogger(__name__)

HELLO_S = 5.0
"""How long a peer may take to say hello; sudo says it at once."""
PART_S = 1.0
COMMIT_EVERY_NS = 10 * 1_000_000_000
MAX_CONNECTIONS = 4_096
MAX_REJECTIONS = 8
"""Rejections and alerts of one connection that are recorded; sudo sends one."""
ROOT = 0

Address = tuple[str, int]
FindOwner = Callable[[Address, Address], int | None]


class Refusal(Exception):
    """Ends the connection; the text is for the person at the terminal."""


@dataclass(slots=True)
class Session:
    """One sudo invocation, from its admission on."""

    session_id: str
    admission: Admission
    accepted: sudo_wire.Accept | None = None
    ended: SessionEnded | None = None
    rejections: int = 0
    rejected: bool = False
    elapsed_ns: int = 0
    committed_ns: int = 0

    @property
    def grant_id(self) -> str:
        return self.admission.grant_id or ""


class SudoLog:
    """The gate; `serve` handles one connection, and all of them share enforcer and spool."""

    def __init__(self, enforcer: Enforcer, reports: Reports | None, *, server_id: str, find_owner: FindOwner) -> None:
        """Without `reports` nothing can be recorded, and nobody is admitted."""
        self._enforcer = enforcer
        self._reports = reports
        self._hello = sudo_wire.hello(server_id)
        self._find_owner = find_owner
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection; never raises for anything the peer does."""
        self._open += 1
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            # The peer went away, or is too slow; what that means for its session is already recorded.
            pass
        finally:
            self._open -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if writer.get_extra_info("peername") is None:
            # Reset by the peer before it was accepted.
            return
        client, server = _address(writer, "peername"), _address(writer, "sockname")
        if self._open > MAX_CONNECTIONS:
            log.warning("Connection to the sudo log port refused: %d are open", MAX_CONNECTIONS)
            return
        if self._find_owner(client, server) != ROOT:
            log.warning("Connection to the sudo log port refused: port %d is not a socket of root", client[1])
            return
        try:
            await self._expect_hello(reader)
            if self._reports is None:
                raise Refusal("this host cannot record commands (jit doctor says more)")
            session = await self._admit(self._reports, client, server)
        except Refusal as e:
            log.info("sudo refused: %s", e)
            await _part(reader, writer, sudo_wire.error(f"jit: {e}"))
            return
        await _Recorder(session, self._reports).record(self._hello, reader, writer)

    async def _expect_hello(self, reader: asyncio.StreamReader) -> None:
        try:
            async with asyncio.timeout(HELLO_S):
                event = await _read(reader)
        except Malformed as e:
            raise Refusal(safe(str(e))) from e
        if isinstance(event, sudo_wire.Restart):
            raise Refusal("an interrupted record cannot be resumed")
        if not isinstance(event, sudo_wire.Hello):
            raise Refusal("sudo's first message is not a hello")

    async def _admit(self, reports: Reports, client: Address, server: Address) -> Session:
        """The gate: admitted by the enforcer, and known to the disk, or `Refusal`."""
        try:
            admission = await self._enforcer.admit(client, server)
            session = Session(new_session_id(), admission)
            await reports.open_session(session.session_id, session.grant_id)
        except EnforcerRefused as e:
            await _record_refusal(reports, e)
            raise Refusal(_explain(e)) from e
        except SpoolUnavailable as e:
            log.error("sudo cannot be recorded: %s", e)
            raise Refusal("this host cannot record commands now (jit doctor says more)") from e
        except AgentError as e:
            log.error("sudo cannot be admitted: %s", e)
            raise Refusal("this host cannot check grants now (jit doctor says more)") from e
        return session


async def _record_refusal(reports: Reports, refusal: EnforcerRefused) -> None:
    """Who was stopped at the gate is an event too; that it cannot be stored lets nobody in."""
    known = enforcer_wire.parse_refused(refusal)
    if known is None:
        return
    person, argv = known
    session_id = new_session_id()
    try:
        # Opened like a session, so that refusals cannot fill what is kept free for the ends of grants.
        await reports.open_session(session_id, "")
        await reports.session("", SessionRejected(session_id, person, argv, str(refusal)))
        await reports.close_session(session_id, "", None)
    except SpoolUnavailable as e:
        log.error("A refusal cannot be recorded: %s", e)


class _Recorder:
    """The rest of an admitted connection."""

    def __init__(self, session: Session, reports: Reports) -> None:
        self._session = session
        self._reports = reports

    async def record(self, hello: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say hello and keep what sudo tells, until its end; whichever way that comes, the session is closed."""
        session = self._session
        farewell = b""
        try:
            writer.write(hello)
            while session.ended is None and not session.rejected:
                _acknowledge_at_once(writer)
                await self._handle(await _read(reader), writer)
        except (Malformed, SpoolUnavailable) as e:
            log.error("sudo session %s cannot be recorded and is ended: %s", session.session_id, e)
            farewell = sudo_wire.abort(f"jit: {safe(str(e))}")
        finally:
            await asyncio.shield(self._close())
        if farewell or session.rejected:
            # sudo waits for us to close after it told a rejection.
            await _part(reader, writer, farewell)
        # After its exit sudo closes by itself, once it has the commit point; whatever else comes is drained.
        while await reader.read(65_536):
            pass

    async def _handle(self, event: sudo_wire.Event, writer: asyncio.StreamWriter) -> None:
        """Record one event, durably, before the next is read; raises `Malformed` or `SpoolUnavailable`."""
        session = self._session
        match event:
            case sudo_wire.Elapsed():
                session.elapsed_ns += event.delay_ns
                if session.elapsed_ns - session.committed_ns >= COMMIT_EVERY_NS:
                    await self._commit(writer)
            case sudo_wire.Accept() if session.accepted is None:
                session.accepted = event
                await self._reports.session(session.grant_id, _started(session, event))
            case sudo_wire.Exit() if session.accepted is not None:
                session.ended = SessionEnded(session.session_id, event.exit_value, event.signal, event.run_time_us)
                if session.accepted.expects_commit:
                    await self._commit(writer)
            case sudo_wire.Reject() | sudo_wire.Alert():
                if session.rejections >= MAX_REJECTIONS:
                    raise Malformed("sudo rejects more often than is recorded")
                session.rejections += 1
                reason = event.reason if isinstance(event, sudo_wire.Reject) else f"alert: {event.reason}"
                rejected = SessionRejected(session.session_id, session.admission.person, event.argv, reason)
                await self._reports.session(session.grant_id, rejected)
                session.rejected = isinstance(event, sudo_wire.Reject) and session.accepted is None
            case _:
                raise Malformed(f"sudo's {type(event).__name__.lower()} message is out of order")

    async def _commit(self, writer: asyncio.StreamWriter) -> None:
        self._session.committed_ns = self._session.elapsed_ns
        writer.write(sudo_wire.commit_point(self._session.elapsed_ns))
        await writer.drain()

    async def _close(self) -> None:
        """The session's last report: its exit, or that its record was lost; a mere rejection has none."""
        session = self._session
        ended = session.ended
        if ended is None and (session.accepted is not None or not session.rejections):
            ended = SessionEnded(session.session_id, lost=True)
        try:
            await self._reports.close_session(session.session_id, session.grant_id, ended)
        except SpoolUnavailable as e:
            # The open session is on the disk already: the next start of the agent reports it as lost.
            log.error("The end of sudo session %s cannot be stored: %s", session.session_id, e)


def _started(session: Session, accept: sudo_wire.Accept) -> SessionStarted:
    """Who it was is the enforcer's word, not sudo's: a name can be spelled in many ways, a uid in one."""
    return SessionStarted(
        session_id=session.session_id,
        person=session.admission.person,
        run_as_user=accept.run_as_user,
        argv=accept.argv,
        command=accept.command,
        cwd=accept.cwd,
        tty=accept.tty,
        standing=session.admission.grant_id is None,
    )


def _acknowledge_at_once(writer: asyncio.StreamWriter) -> None:
    """Spare every command 40 ms: sudo's next small message waits (Nagle) for the acknowledgement of the last one.

    The kernel falls back to delayed acknowledgements by itself (tcp(7)), so this is asked for before each read.
    """
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def _read(reader: asyncio.StreamReader) -> sudo_wire.Event:
    length = sudo_wire.parse_length(await reader.readexactly(4))
    return sudo_wire.parse(await reader.readexactly(length))


async def _part(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, farewell: bytes) -> None:
    """Say a last word and make sure it arrives: closing on unread bytes would send a reset that overtakes it."""
    writer.write(farewell)
    writer.write_eof()
    async with asyncio.timeout(PART_S):
        while await reader.read(65_536):
            pass


def _explain(refusal: EnforcerRefused) -> str:
    if refusal.enforcer_code == "not_admitted":
        return f"{safe(str(refusal), 300)}; ask with: jit sudo COMMAND"
    return safe(str(refusal), 300)


def _address(writer: asyncio.StreamWriter, which: str) -> Address:
    host, port = writer.get_extra_info(which)[:2]
    return str(host), int(port)
