"""One TCP connection of sudo: received straight into whatever room its receiver has.

Who receives changes in a connection's life: the gate for the first message, then the session's recording, then nobody.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

from jit_agent.scratch import Scratch
from jit_agent.sudo_frames import PREFIX
from jit_agent.sudo_wire import parse_length

PART_S = 1.0
SMALL = 16_384

Address = tuple[str, int]


class Receiver(Protocol):
    def receive(self) -> memoryview:
        """Room for what comes next, never empty while the connection is read."""
        ...

    def received(self, count: int) -> None:
        """So many bytes came into that room."""
        ...

    def ended(self) -> None:
        """Nothing more comes.  May be called twice."""
        ...


class Drain:
    """Whatever comes is thrown away: sudo must never wait for us, and buffers without limit."""

    def __init__(self) -> None:
        self._room = memoryview(bytearray(65_536))
        self.over = asyncio.Event()

    def receive(self) -> memoryview:
        return self._room

    def received(self, count: int) -> None:
        pass

    def ended(self) -> None:
        self.over.set()


class FirstMessage:
    """Waits for one whole message."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of the message, its length not counted."""
        self._limit = limit
        self._changed = asyncio.Event()
        self._over = False
        self.bytes = Scratch()
        self.size = 0
        """Bytes of the message and its length, once it is there."""

    @property
    def said(self) -> bytes:
        """All that came so far."""
        return self.bytes.peek(0, self.bytes.received)

    def receive(self) -> memoryview:
        return self.bytes.receive()

    def received(self, count: int) -> None:
        self.bytes.advance(count)
        self._changed.set()

    def ended(self) -> None:
        self._over = True
        self._changed.set()

    async def message(self) -> bytes | None:
        """The message without its length; None if the peer went first.  Raises `Malformed`."""
        while True:
            if self.bytes.received >= PREFIX:
                size = parse_length(self.bytes.peek(0, PREFIX), self._limit)
                if self.bytes.received >= PREFIX + size:
                    self.size = PREFIX + size
                    return self.bytes.peek(PREFIX, size)
            if self._over:
                return None
            self._changed.clear()
            await self._changed.wait()


class Connection(asyncio.BufferedProtocol):
    """`made` is called once there is a connection; whatever comes, from the first byte on, is the receiver's."""

    def __init__(self, made: Callable[[Connection], None], receiver: Receiver) -> None:
        self._made = made
        self._transport: asyncio.Transport | None = None
        self._receiver = receiver
        self.lost = asyncio.Event()
        """The peer has nothing more to say, or is gone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._receiver.receive()

    def buffer_updated(self, nbytes: int) -> None:
        if nbytes < SMALL:
            self._acknowledge_at_once()
        self._receiver.received(nbytes)

    def eof_received(self) -> bool:
        self.lost.set()
        self._receiver.ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._receiver.ended()

    def hand_to(self, receiver: Receiver) -> None:
        """Everything that comes from now on is this one's."""
        self._receiver = receiver
        if self.lost.is_set():
            receiver.ended()

    @property
    def socket(self) -> socket.socket:
        # asyncio gives out a wrapper that knows all a socket does but how to be received from.
        return cast(socket.socket, self._live.get_extra_info("socket"))

    def address(self, which: str) -> Address | None:
        """peername or sockname; None if the peer reset the connection before it was accepted."""
        found = self._live.get_extra_info(which)
        return None if found is None else (str(found[0]), int(found[1]))

    def write(self, data: bytes) -> None:
        if not self._live.is_closing():
            self._live.write(data)

    def pause(self) -> None:
        self._live.pause_reading()

    def resume(self) -> None:
        if not self._live.is_closing():
            self._live.resume_reading()

    async def part(self, farewell: bytes) -> None:
        """Say a last word and make sure it arrives: closing on unread bytes would send a reset that overtakes it."""
        drain = Drain()
        self.hand_to(drain)
        self.resume()
        self.write(farewell)
        if not self._live.is_closing():
            self._live.write_eof()
        try:
            async with asyncio.timeout(PART_S):
                await drain.over.wait()
        except TimeoutError:
            pass
        self.close()

    def close(self) -> None:
        self._live.abort()

    def _acknowledge_at_once(self) -> None:
        """Spare every command 40 ms: sudo's next small message waits (Nagle) for the acknowledgement of the last one.

        The kernel falls back to delayed acknowledgements by itself (tcp(7)), so this is asked for at each read.
        """
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    @property
    def _live(self) -> asyncio.Transport:
        if self._transport is None:
            raise RuntimeError("there is no connection yet")
        return self._transport
