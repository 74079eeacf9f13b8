"""What the server has of the sessions that were recorded."""

from __future__ import annotations

from jit_protos.v1 import host_pb2

from .conftest import World
from .test_agent_gate import ALICE

OUTPUT = ALICE | {"record": "output"}
INPUT = ALICE | {"record": "input"}
"""What the enforcer says of a person of whose sessions that much is kept."""


async def sessions(world: World, count: int, within_s: float = 60) -> list[host_pb2.SessionEnded]:
    """So many sessions that are over, each with its whole recording at the server, in the order they ended."""
    recordings = world.server.recordings

    def there() -> bool:
        ended = world.server.told("session_ended")
        return len(ended) >= count and all(
            len(recordings.chunks.get(one.session_id, [])) == one.chunks for one in ended
        )

    await world.server.until(there, within_s)
    assert recordings.wrong == []
    ended: list[host_pb2.SessionEnded] = world.server.told("session_ended")
    assert len(ended) == count
    for one in ended:
        if one.chunks:
            assert one.digest == recordings.digest(one.session_id)
    return ended


def frames_of(world: World, session: host_pb2.SessionEnded) -> bytes:
    """All its chunks, decoded."""
    return world.server.recordings.frames(session.session_id)


def chunks_of(world: World, session: host_pb2.SessionEnded) -> list[tuple[int, bytes]]:
    """When each of its chunks begins (ns since the session's start), and what is in it."""
    return [(chunk.start_ns, chunk.frames) for chunk in world.server.recordings.chunks[session.session_id]]
