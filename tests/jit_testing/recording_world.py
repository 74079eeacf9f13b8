"""Sessions and their recordings over real connections: what a host tells of them, and what a person reads."""

from __future__ import annotations

from jit_protos.v1 import host_pb2, sessions_pb2
from jit_server.domain.recording import Chunk
from jit_testing.recorded import digest_of
from jit_testing.server_world import Host, Human, Session, World


async def recording_host(world: World) -> tuple[Human, Host, Session]:
    """An administrator, and a host whose stream is open."""
    admin = await world.first_admin()
    host = await world.add_host(admin, "web1", tier="web")
    session = world.session(host)
    await session.hello()
    await session.kept()
    return admin, host, session


def started(session_id: str, account: str = "alice") -> host_pb2.SessionStarted:
    return host_pb2.SessionStarted(
        session_id=session_id,
        user=host_pb2.LocalUser(uid=1001, name=account),
        argv=["/usr/bin/id"],
        command="/usr/bin/id",
        run_as_user="root",
        record="output",
    )


def ended(session_id: str, chunks: list[Chunk]) -> host_pb2.SessionEnded:
    digest = bytes.fromhex(digest_of(chunks)) if chunks else b""
    return host_pb2.SessionEnded(session_id=session_id, chunks=len(chunks), digest=digest)


async def read(
    world: World, human: Human, session_id: str, *, first: int = 0, watch: bool = False
) -> tuple[list[sessions_pb2.Session], dict[int, bytes]]:
    """What a whole call of ReadRecording gives: the sessions it showed, and the chunks."""
    request = sessions_pb2.ReadRecordingRequest(session_id=session_id, first_chunk=first, watch=watch)
    shown: list[sessions_pb2.Session] = []
    chunks: dict[int, bytes] = {}
    async for piece in world.sessions(human).ReadRecording(request):
        if piece.HasField("session"):
            if piece.data:
                raise AssertionError("a session comes with data")
            shown.append(piece.session)
            continue
        if not shown or len(piece.data) > 128 * 1024 or piece.offset != len(chunks.get(piece.chunk, b"")):
            raise AssertionError(f"a piece out of place, or too large: {piece.offset} of chunk {piece.chunk}")
        chunks[piece.chunk] = chunks.get(piece.chunk, b"") + piece.data
    return shown, chunks
