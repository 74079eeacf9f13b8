"""Whose socket is the other end of a loopback connection (S11): only root's sudo may speak to the log port.

The kernel's table of this network namespace names the owner of each socket.  The enforcer looks again for itself; this
look is what keeps other local users from speaking to the parser at all.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

TABLE = Path("/proc/net/tcp")


def owner(client: tuple[str, int], server: tuple[str, int], table: Path = TABLE) -> int | None:
    """The uid that made the client's end of the connection; None if the table has no such row."""
    wanted = (_hex(client), _hex(server))
    with table.open(encoding="ascii", errors="replace") as rows:
        next(rows, None)
        for row in rows:
            fields = row.split(maxsplit=8)
            if len(fields) > 7 and (fields[1], fields[2]) == wanted:
                return int(fields[7]) if fields[7].isdigit() else None
    return None


def _hex(address: tuple[str, int]) -> str:
    # The table shows the address as the machine's integer, so its bytes appear in host order.
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"
