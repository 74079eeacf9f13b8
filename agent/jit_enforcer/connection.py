"""Which of root's sockets is the other end of a loopback connection (S11, REVIEW 10).

The kernel is asked for that one socket (sock_diag(7)); /proc/net/tcp would be a walk through its whole table, 5 ms.
"""

import socket
import struct
from typing import Final

from jit_enforcer.errors import NotAdmitted

_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_REQUEST: Final = 1
_ANY_STATE: Final = 0xFFFFFFFF
_ESTABLISHED: Final = 1
_NO_COOKIE: Final = b"\xff" * 8
# nlmsghdr; inet_diag_req_v2 up to its socket id; the ports and addresses of inet_diag_sockid.
_HEADER: Final = struct.Struct("=IHHII")
_QUESTION: Final = struct.Struct("=BBBxI")
_ENDS: Final = struct.Struct(">HH16s16s")
# inet_diag_msg: family and state; the ends, interface and cookie; expiry and two queues; uid and inode.
_ANSWER: Final = struct.Struct("=BBxx36s4x8x12xII")


def inode(client: tuple[str, int], server: tuple[str, int]) -> int:
    """The inode of the client's end, which is open and root's own.  Raises `NotAdmitted`."""
    ends = _ENDS.pack(client[1], server[1], _address(client[0]), _address(server[0]))
    question = _QUESTION.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, _ANY_STATE) + ends + bytes(4) + _NO_COOKIE
    header = _HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.settimeout(1)
            kernel.sendto(header + question, (0, 0))
            answer = kernel.recv(4096)
    except OSError as e:
        raise NotAdmitted(f"the host's connections cannot be looked up: {e.strerror or e}") from e
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _BY_FAMILY:
        raise NotAdmitted("there is no such connection")
    _, state, found, uid, number = _ANSWER.unpack_from(answer, _HEADER.size)
    # A listener on the port answers where there is no such connection.  A closed socket has no owner any more.
    if found != ends or state != _ESTABLISHED:
        raise NotAdmitted("there is no such connection")
    if uid != 0:
        raise NotAdmitted("the connection does not come from root")
    return int(number)


def _address(text: str) -> bytes:
    return socket.inet_aton(text) + bytes(12)
