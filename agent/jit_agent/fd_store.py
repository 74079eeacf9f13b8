"""Connections that outlive the agent: kept by systemd (FDSTORE) while it is away, and taken up where they were.

How far a connection was read is the kernel's knowledge, and exact: what arrived, less what still waits to be read.
"""

from __future__ import annotations

import fcntl
import logging
import socket
import struct
import termios
from typing import Protocol

log = logging.getLogger(__name__)

_BYTES_RECEIVED_AT = 128
"""Of tcpi_bytes_received in struct tcp_info (linux/tcp.h)."""
_INFO_SIZE = 232
# States in which the other side's FIN was received: it counts as a byte.
_CLOSE_WAIT, _LAST_ACK, _CLOSING, _TIME_WAIT = 8, 9, 11, 6
_FINISHED = frozenset({_CLOSE_WAIT, _LAST_ACK, _CLOSING, _TIME_WAIT})


class FdStore(Protocol):
    def keep(self, name: str, fd: int) -> None:
        """Hold this descriptor, also while the agent is away."""
        ...

    def drop(self, name: str) -> None:
        """Hold it no more.  Idempotent."""
        ...


class SystemdStore:
    """systemd's; does nothing where systemd did not start us."""

    def keep(self, name: str, fd: int) -> None:
        # Without FDPOLL=0 it would be dropped as soon as sudo is gone, and with it what sudo last said.
        _notify(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", [fd])

    def drop(self, name: str) -> None:
        _notify(f"FDSTOREREMOVE=1\nFDNAME={name}", [])


def consumed(connection: socket.socket) -> int:
    """How many bytes of the connection's stream were read by whoever held it before.  Raises `OSError`."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
    (arrived,) = struct.unpack_from("=Q", info, _BYTES_RECEIVED_AT)
    (waiting,) = struct.unpack("=i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))
    return int(arrived) - int(waiting) - (info[0] in _FINISHED)


def _notify(state: str, fds: list[int]) -> None:
    from systemd import daemon

    try:
        if fds:
            daemon.notify(state, fds=fds)
        else:
            daemon.notify(state)
    except OSError as e:
        # What is not kept is cut off if we are killed, and reported as that; what is kept too long the next run drops.
        log.warning("systemd does not hear of a connection: %s", e.strerror)
