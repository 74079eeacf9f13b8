"""The agent's way in (SPEC 3.1): SEQPACKET, peers known to the kernel, one answer to each packet, one thread."""

import json
import selectors
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from jit_enforcer import commands, door, ending
from jit_enforcer.clock import Steps
from jit_enforcer.closing import LastMinutes
from jit_enforcer.errors import Denied, Malformed, Unsafe
from jit_enforcer.host import Host
from jit_enforcer.lookout import Lookout
from jit_enforcer.supervision import Heartbeat

REQUEST_LIMIT: Final = 65_536
ANSWER_LIMIT: Final = 204_800
_MOST_CONNECTIONS: Final = 64


@dataclass(slots=True, eq=False)
class _Peer:
    """`told` holds the ends already sent on a connection that watches; None: it does not watch."""

    connection: socket.socket
    told: set[tuple[str, int]] | None = None


class Listener:
    """Serves until `stop` is readable."""

    def __init__(self, host: Host, stop: socket.socket) -> None:
        self._host = host
        self._peers: set[_Peer] = set()
        self._server, self._uids = door.listen(host.paths)
        self._steps = Steps()
        self._lookout = Lookout(host)
        self._last_minutes = LastMinutes(host)
        self._heartbeat = Heartbeat()
        self._look_for_used = 0.0
        self._selector = selectors.DefaultSelector()
        for source in (self._server, self._steps, stop):
            self._selector.register(source, selectors.EVENT_READ, source)
        self._stop = stop

    def serve(self) -> None:
        """Answer packets and keep deadlines until told to stop; live grants stay."""
        while True:
            self._heartbeat.beat()
            waits = (step.wait_s() for step in (self._lookout, self._last_minutes, self._heartbeat))
            ready = self._selector.select(min(ending.wait_s(self._host), *waits))
            if ready:
                self._lookout.look()
            for key, _ in ready:
                if key.data is self._stop:
                    return
                if key.data is self._server:
                    self._accept()
                elif key.data is self._steps:
                    self._steps.acknowledge()
                else:
                    self._answer(key.data)
            self._last_minutes.tick()
            ending.tick(self._host)
            if time.monotonic() >= self._look_for_used:
                ending.end_used(self._host)
                self._host.sweep()
                self._look_for_used = time.monotonic() + ending.USED_EVERY_S
            self._lookout.look()
            self._host.rest()
            self._tell()

    def close(self) -> None:
        for peer in list(self._peers):
            self._drop(peer)
        self._selector.close()
        self._steps.close()
        self._server.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._server.accept()
        except OSError:  # it went away again
            return
        connection.setblocking(False)
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in self._uids or len(self._peers) >= _MOST_CONNECTIONS:
            connection.close()
            return
        peer = _Peer(connection)
        self._peers.add(peer)
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _answer(self, peer: _Peer) -> None:
        try:
            packet, _, flags, _ = peer.connection.recvmsg(REQUEST_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            packet, flags = b"", 0
        if not packet or peer.told is not None:
            self._drop(peer)
            return
        try:
            if flags & socket.MSG_TRUNC:
                raise Malformed(f"packet over {REQUEST_LIMIT} bytes")
            act = commands.parse(packet)
            answer = {"ok": True} if act is None else act(self._host)
            if act is None:
                peer.told = set()
        except Denied as e:
            answer = {"ok": False, "error": e.code, "message": str(e), **e.told}
        except Exception as e:  # a fault of ours must neither give a right nor stop the ends of others
            sys.stderr.write(f"Request failed: {e!r}\n")
            answer = {"ok": False, "error": Denied.code, "message": "the enforcer failed; see its journal"}
        self._send(peer, answer)

    def _tell(self) -> None:
        """Send each end that is not reported yet, once, to each connection that watches."""
        watching = [peer for peer in self._peers if peer.told is not None]
        for entry in self._host.unreported() if watching else ():
            for peer in watching:
                end = entry.grant.grant, entry.grant.revision  # after a reboot a grant may end once more
                if peer.told is not None and end not in peer.told:
                    peer.told.add(end)
                    self._send(peer, {"event": "ended", "proof": entry.proof})

    def _send(self, peer: _Peer, answer: dict[str, Any]) -> None:
        packet = json.dumps(answer).encode()
        if len(packet) > ANSWER_LIMIT:
            too_long = {"ok": False, "error": Unsafe.code, "message": f"the answer is over {ANSWER_LIMIT} bytes"}
            packet = json.dumps(too_long).encode()
        try:
            peer.connection.send(packet)
        except OSError:  # it does not read; it may come again
            self._drop(peer)

    def _drop(self, peer: _Peer) -> None:
        if peer in self._peers:
            self._peers.discard(peer)
            self._selector.unregister(peer.connection)
            peer.connection.close()
