"""An agent's side of HostService.Record: chunks go up in pieces, what is kept comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import grpc
import grpc.aio

from jit_protos.v1 import host_pb2, host_pb2_grpc, sessions_pb2
from jit_server.domain.recording import Chunk

PIECE = 128 * 1024


def pieces(chunk: Chunk, content: bytes, size: int = PIECE) -> Iterator[sessions_pb2.RecordingPiece]:
    for offset in range(0, len(content), size):
        yield sessions_pb2.RecordingPiece(
            session_id=chunk.session_id,
            chunk=chunk.number,
            start_ns=chunk.start_ns,
            end_ns=chunk.end_ns,
            encoding=chunk.encoding,
            size=chunk.size,
            decoded_size=chunk.decoded_size,
            sha256=bytes.fromhex(chunk.sha256),
            offset=offset,
            data=content[offset : offset + size],
        )


class Upload:
    """One call of Record."""

    def __init__(self, host: host_pb2_grpc.HostServiceAsyncStub) -> None:
        self.call: grpc.aio.StreamStreamCall[sessions_pb2.RecordingPiece, host_pb2.RecordingKept] = host.Record()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.call.cancel()

    async def send(self, chunk: Chunk, content: bytes) -> None:
        for piece in pieces(chunk, content):
            await self.call.write(piece)

    async def kept(self) -> host_pb2.RecordingKept:
        """The next answer; raises `AioRpcError` if the call ended otherwise."""
        async for answer in self.call:
            return answer
        raise AssertionError("the server ended the call")

    async def keep(self, chunk: Chunk, content: bytes) -> host_pb2.RecordingKept:
        await self.send(chunk, content)
        return await self.kept()

    async def ended_with(self) -> grpc.StatusCode:
        return await self.call.code()
