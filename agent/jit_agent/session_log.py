"""A person's own sessions, as `jit log` is told of them (SPEC 4.2): as much as one answer holds, and whether it is all.

The newest sessions and the first commands of one matter most, so what does not fit is left out at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from jit_agent.errors import AgentError
from jit_agent.model import Person
from jit_agent.ports import Json, Server

DEFAULT_LIMIT = 20
MAX_ITEMS_SIZE = 917_504
"""Bytes of JSON that a list in an answer may have: the 1 MiB of SPEC 4.1 less what one session beside it may take."""


async def newest(server: Server, person: Person, limit: int) -> Json:
    """The person's newest sessions on any host; `limit` 0 means the default."""
    answer = await server.list_my_sessions(person, limit or DEFAULT_LIMIT)
    sessions = _fitting(answer["sessions"], MAX_ITEMS_SIZE)
    return {"sessions": sessions, "truncated": answer["truncated"] or len(sessions) < len(answer["sessions"])}


async def one(server: Server, person: Person, wanted: str) -> Json:
    """One session of theirs with its environment and commands; raises `AgentError` for one too long to be told."""
    answer = await server.get_my_session(person, wanted)
    rest = _size(answer["session"]) + _size(answer["environment"])
    if rest > MAX_ITEMS_SIZE:
        raise AgentError(f"the session is {rest} bytes long, the limit is {MAX_ITEMS_SIZE}", code="invalid",
                         hint=f"jitctl sessions show {answer['session']['session_id']}")  # fmt: skip
    commands = _fitting(answer["commands"], MAX_ITEMS_SIZE - rest)
    truncated = answer["truncated"] or len(commands) < len(answer["commands"])
    return {**answer, "commands": commands, "truncated": truncated}


def _fitting(items: Iterable[Json], room: int) -> list[Json]:
    fitting = []
    for item in items:
        room -= _size(item) + 1
        if room < 0:
            break
        fitting.append(item)
    return fitting


def _size(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":")))
