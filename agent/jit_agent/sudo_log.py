"""sudo's log server on the host, which is also the gate (DESIGN 3.6, S5, S11).

sudo connects and blocks until ServerHello.  It gets one only when its socket is root's, the enforcer admitted the
process into a grant's scope, the record is open, and somebody watches where somebody has to; everything else ends in
one `error` line that the person sees.  From then on the connection is the recording's.  A hostile message ends its
connection and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from jit_agent import enforcer_wire, sudo_wire
from jit_agent.connections import BACKLOG
from jit_agent.errors import AgentError, EnforcerRefused, Malformed, SpoolUnavailable
from jit_agent.model import Admission, new_session_id
from jit_agent.ports import Enforcer
from jit_agent.recorder import AGENT_STOPPED, Recorder
from jit_agent.report_model import SessionRejected, SessionWaiting
from jit_agent.reports import Reports
from jit_agent.segments import Segments
from jit_agent.session_orders import waiting_message
from jit_agent.sudo_connection import Address, Connection, FirstMessage
from jit_agent.text import safe

log = logging.getLogger(__name__)

HELLO_S = 5.0
"""How long a peer may take to say hello; sudo says it at once."""
MAX_HELLO = 8_192
MAX_CONNECTIONS = 4_096
ROOT = 0
UNWATCHED = "nobody watched this command in time"

FindOwner = Callable[[Address, Address], int | None]


class Refusal(Exception):
    """Ends the connection; the text is for the person at the terminal."""


class SudoLog:
    """The gate; all connections share enforcer and recorder."""

    def __init__(self, enforcer: Enforcer, recorder: Recorder | None, *, server_id: str, find_owner: FindOwner) -> None:
        """Without a recorder nothing can be recorded, and nobody is admitted."""
        self._enforcer = enforcer
        self._recorder = recorder
        self._server_id = server_id
        self._find_owner = find_owner
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[Connection] = set()

    async def start(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=listener, backlog=BACKLOG, start_serving=False)
        await self._server.start_serving()

    async def stop(self) -> None:
        """Admit no more; sessions that are recorded are the recorder's."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _connection(self) -> Connection:
        first = FirstMessage(MAX_HELLO)

        def made(connection: Connection) -> None:
            task = asyncio.create_task(self._serve(connection, first))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return Connection(made, first)

    async def _serve(self, connection: Connection, first: FirstMessage) -> None:
        """Handle one connection up to ServerHello; never raises for anything the peer does."""
        client, server = connection.address("peername"), connection.address("sockname")
        if client is None or server is None:
            # Reset by the peer before it was accepted.
            return
        self._open = {one for one in self._open if not one.lost.is_set()}
        if len(self._open) >= MAX_CONNECTIONS:
            log.warning("Connection to the sudo log port refused: %d are open", MAX_CONNECTIONS)
            connection.close()
            return
        self._open.add(connection)
        if self._find_owner(client, server) != ROOT:
            log.warning("Connection to the sudo log port refused: port %d is not a socket of root", client[1])
            connection.close()
            return
        try:
            if not await _said_hello(first):
                connection.close()
                return
            if self._recorder is None:
                raise Refusal("this host cannot record commands (jit doctor says more)")
            await self._let_in(self._recorder, connection, first, client, server)
        except Refusal as e:
            log.info("sudo refused: %s", e)
            await connection.part(sudo_wire.error(f"jit: {e}"))
        except BaseException:
            # Whatever it was, it lets nobody in, and sudo does not wait for it.
            connection.close()
            raise

    async def _let_in(
        self, recorder: Recorder, connection: Connection, first: FirstMessage, client: Address, server: Address
    ) -> None:
        """The gate: admitted by the enforcer, its record open, watched if it must be; or `Refusal`."""
        session_id = new_session_id()
        reports = recorder.workshop.reports
        # At the same time: the one waits for the enforcer, the other for the disk.
        opening = asyncio.create_task(_open(recorder, session_id))
        try:
            admission = await self._admit(reports, session_id, client, server)
            opened = await opening
            if isinstance(opened, SpoolUnavailable) and admission.required:
                raise Refusal(f"this host cannot record commands now: {safe(str(opened), 200)}")
            if admission.watch_s:
                await recorder.wait(session_id, admission, opened)
                await self._wait_for_a_watcher(recorder, reports, session_id, admission, connection)
            hello = sudo_wire.hello(self._server_id, subcommands=admission.subcommands)
            recorder.begin(session_id, admission, opened, connection, first, greeting=hello)
        except BaseException as e:
            # Whoever is refused does not wait for the disk.
            recorder.workshop.start(_discard(recorder, session_id, opening))
            if isinstance(e, AgentError):
                log.error("sudo cannot be recorded: %s", e)
                raise Refusal("this host cannot record commands now (jit doctor says more)") from e
            raise

    async def _admit(self, reports: Reports, session_id: str, client: Address, server: Address) -> Admission:
        try:
            return await self._enforcer.admit(client, server, session_id)
        except EnforcerRefused as e:
            await _record_refusal(reports, session_id, e)
            raise Refusal(_explain(e)) from e
        except AgentError as e:
            log.error("sudo cannot be admitted: %s", e)
            raise Refusal("this host cannot check grants now (jit doctor says more)") from e

    async def _wait_for_a_watcher(
        self, recorder: Recorder, reports: Reports, session_id: str, admission: Admission, connection: Connection
    ) -> None:
        """SPEC 8.5: sudo of a watched role starts only once somebody watches."""
        grant_id, person = admission.grant_id or "", admission.person
        await reports.session(grant_id, SessionWaiting(session_id, person, admission.argv))
        why = AGENT_STOPPED
        try:
            await self._enforcer.tell(session_id, waiting_message(session_id))
            why = "" if await recorder.orders.wait_watched(session_id, connection.lost) else UNWATCHED
        finally:
            if why:
                why = "sudo did not wait for a watcher" if connection.lost.is_set() else why
                rejected = SessionRejected(session_id, person, admission.argv, why)
                await asyncio.shield(reports.close_session(session_id, grant_id, rejected))
        if why:
            raise Refusal(f"{why}; ask somebody who approves your role to be ready: jitctl sessions watch {session_id}")


async def _said_hello(first: FirstMessage) -> bool:
    """False if the peer went instead, or said nothing."""
    try:
        async with asyncio.timeout(HELLO_S):
            message = await first.message()
        event = None if message is None else sudo_wire.parse(message)
    except TimeoutError:
        return False
    except Malformed as e:
        raise Refusal(safe(str(e))) from e
    if isinstance(event, sudo_wire.Restart):
        raise Refusal("an interrupted record cannot be resumed")
    if event is not None and not isinstance(event, sudo_wire.Hello):
        raise Refusal("sudo's first message is not a hello")
    return event is not None


async def _open(recorder: Recorder, session_id: str) -> Segments | SpoolUnavailable:
    try:
        return await recorder.open(session_id)
    except SpoolUnavailable as e:
        log.error("No record can be opened: %s", e)
        return e


async def _discard(recorder: Recorder, session_id: str, opening: asyncio.Task[Segments | SpoolUnavailable]) -> None:
    opened = await opening
    if isinstance(opened, Segments):
        await recorder.discard(session_id, opened)


async def _record_refusal(reports: Reports, session_id: str, refusal: EnforcerRefused) -> None:
    """Who was stopped at the gate is an event too; that it cannot be stored lets nobody in."""
    known = enforcer_wire.parse_refused(refusal)
    if known is None:
        return
    person, argv = known
    try:
        await reports.session("", SessionRejected(session_id, person, argv, str(refusal)))
    except SpoolUnavailable as e:
        log.error("A refusal cannot be recorded: %s", e)


def _explain(refusal: EnforcerRefused) -> str:
    if refusal.enforcer_code == "not_admitted":
        return f"{safe(str(refusal), 300)}; ask with: jit sudo COMMAND"
    return safe(str(refusal), 300)
