"""The local socket, for `jit` (SPEC 4.1): who asks is the kernel's word, and one connection carries one request.

Anybody on the host may connect, so everything is bounded: the line, the time to send it, connections in all and by
person.  A client that breaks a rule gets one error line; the agent gets a log line and no traceback.
"""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio.trsock import TransportSocket
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from jit_agent import peer, people_requests
from jit_agent.errors import AgentError, Malformed
from jit_agent.operations import Operations
from jit_agent.people_requests import MAX_LINE
from jit_agent.text import safe

log = logging.getLogger(__name__)

READ_S = 10.0
WRITE_S = 30.0
MAX_CONNECTIONS = 512
MAX_PER_UID = 32


class People:
    """Serves connections of the local socket."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._open: Counter[int] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection; never raises for anything the peer does."""
        connection = writer.get_extra_info("socket")
        uid = peer.uid_of(connection)
        self._open[uid] += 1
        try:
            if self._open[uid] > MAX_PER_UID or self._open.total() > MAX_CONNECTIONS:
                raise AgentError("the agent has too many open requests", code="try_again", hint="try again in a moment")
            async with aclosing(self._answers(connection, reader)) as answers:
                async for answer in answers:
                    await _write(writer, answer)
        except AgentError as e:
            await _write_error(writer, e)
        except (ConnectionError, TimeoutError):
            # The person went away; a request goes on without them.
            pass
        except Exception:
            log.exception("A local request failed")
            await _write_error(writer, AgentError("the agent failed; its journal says why"))
        finally:
            self._open[uid] -= 1
            if not self._open[uid]:
                del self._open[uid]
            writer.close()

    async def _answers(
        self, connection: TransportSocket, reader: asyncio.StreamReader
    ) -> AsyncGenerator[dict[str, Any], None]:
        untrusted_line = await _read_line(reader)
        request = people_requests.parse(untrusted_line)
        who = await peer.caller(connection)
        async with aclosing(self._operations.perform(who, request)) as answers:
            async for answer in answers:
                yield answer


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(READ_S):
            line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise Malformed(f"the request is longer than {MAX_LINE} bytes") from None
    except asyncio.IncompleteReadError:
        raise Malformed("the request is not a whole line") from None
    except TimeoutError:
        raise AgentError("the request did not come in time", code="try_again") from None
    if len(line) > MAX_LINE:
        raise Malformed(f"the request is longer than {MAX_LINE} bytes")
    return line


async def _write(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    writer.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
    async with asyncio.timeout(WRITE_S):
        await writer.drain()


async def _write_error(writer: asyncio.StreamWriter, error: AgentError) -> None:
    try:
        body = {"code": error.code, "message": safe(str(error)), "hint": safe(error.hint)}
        await _write(writer, {"ok": False, "error": body})
    except (ConnectionError, TimeoutError):
        # Nobody is left to hear it.
        pass
