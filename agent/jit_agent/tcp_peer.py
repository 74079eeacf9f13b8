"""Whose socket is the other end of a loopback connection (S11): only root's sudo may speak to the log port.

The kernel is asked for that one socket (sock_diag(7)): reading /proc/net/tcp walks its whole table, which took 5 ms.
The enforcer looks again for itself; this look is what keeps other local users from speaking to the parser at all.
"""

from __future__ import annotations

import socket
import struct

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_ANY_STATE = 0xFFFFFFFF
_ESTABLISHED = 1
_NO_COOKIE = b"\xff" * 8
# nlmsghdr; inet_diag_req_v2 without its socket id; inet_diag_sockid up to the interface.
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBxI")
_SOCKET_ID = struct.Struct(">HH16s16s4x")
_ADDRESSES = _SOCKET_ID.size - 4
# inet_diag_msg: family to retransmissions, its socket id, expiry and the two queues, then the owner.
_STATE_AT = _HEADER.size + 1
_OWNER_AT = _HEADER.size + 4 + _SOCKET_ID.size + len(_NO_COOKIE) + 12


def owner(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """The uid that made the client's end of the connection; None if the kernel knows no such socket."""
    socket_id = _SOCKET_ID.pack(client[1], server[1], _address(client[0]), _address(server[0]))
    question = _QUESTION.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, _ANY_STATE) + socket_id + _NO_COOKIE
    header = _HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(1)
            kernel.sendto(header + question, (0, 0))
            answer = kernel.recv(4096)
    except OSError:
        return None
    _, kind, *_ = _HEADER.unpack_from(answer)
    # The kernel says 0 for a socket that its owner has closed, whoever that was.
    if kind != _SOCK_DIAG_BY_FAMILY or answer[_STATE_AT] != _ESTABLISHED:
        return None
    # Without such a connection the kernel may answer with a listener on that port: the ports tell them apart.
    found = answer[_HEADER.size + 4 :][:_ADDRESSES]
    if found != socket_id[: len(found)]:
        return None
    (uid,) = struct.unpack_from("=I", answer, _OWNER_AT)
    return int(uid)


def _address(text: str) -> bytes:
    return socket.inet_aton(text) + bytes(12)
