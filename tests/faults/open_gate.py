"""A log server on 127.0.0.1:843 that lets every sudo start: the gate of a host whose gate is no good.

Enough of sudo_logsrv.proto(5) for sudo to go on and to end: a hello at once, a log id for what is to be recorded, and
after the exit a commit point that names the time sudo counted.  Run as root on a lab host in the agent's place, until
its standard input ends.  Standard library only.
"""

import socket
import struct
import sys
import threading
from typing import Final

# ServerMessage: hello { server_id "open" }, log_id "open".
_HELLO: Final = b"\x0a\x06\x0a\x04open"
_LOG_ID: Final = b"\x1a\x04open"
# Numbers of the fields of ClientMessage.
_ACCEPT: Final = 1
_EXIT: Final = 3
_TIMED: Final = range(6, 13)


def fields(message: bytes) -> dict[int, int | bytes]:
    """The fields of a protobuf message by their numbers: varints and what has a length."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag & 7 == 2:
            found[tag >> 3] = message[at : at + value]
            at += value
        else:
            found[tag >> 3] = value
    return found


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at


def _encoded(value: int) -> bytes:
    content = b""
    while value >= 0x80:
        content += bytes([value & 0x7F | 0x80])
        value >>= 7
    return content + bytes([value])


def commit_point(nanoseconds: int) -> bytes:
    """ServerMessage: commit_point { tv_sec, tv_nsec }."""
    time = b"\x08" + _encoded(nanoseconds // 10**9) + b"\x10" + _encoded(nanoseconds % 10**9)
    return b"\x12" + _encoded(len(time)) + time


def _delay(event: bytes) -> int:
    """Nanoseconds since the event before."""
    time = fields(event).get(1, b"")
    parts = fields(time) if isinstance(time, bytes) else {}
    return sum(value * unit for number, unit in ((1, 10**9), (2, 1)) if isinstance(value := parts.get(number, 0), int))


def _receive(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        more = connection.recv(size - len(content))
        if not more:
            raise EOFError
        content += more
    return content


def _send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(struct.pack(">I", len(message)) + message)


def serve(connection: socket.socket) -> None:
    """One sudo, from its hello to its end."""
    elapsed = 0
    with connection:
        try:
            _send(connection, _HELLO)
            while True:
                (size,) = struct.unpack(">I", _receive(connection, 4))
                for number, event in fields(_receive(connection, size)).items():
                    if number == _ACCEPT:
                        _send(connection, _LOG_ID)
                    elif number == _EXIT:
                        _send(connection, commit_point(elapsed))
                    elif number in _TIMED and isinstance(event, bytes):
                        elapsed += _delay(event)
        except (OSError, EOFError):
            return


def accept(server: socket.socket) -> None:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def main() -> None:
    with socket.create_server(("127.0.0.1", 843), backlog=64) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        print("open", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
