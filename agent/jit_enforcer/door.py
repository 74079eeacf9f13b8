"""The socket at which the enforcer is asked, and whom it lets ask (SPEC 1.5, 3.1)."""

import contextlib
import grp
import os
import pwd
import socket
from typing import Final

from jit_enforcer.errors import Unsafe
from jit_enforcer.paths import Paths

_AGENT: Final = "jit-agent"


def listen(paths: Paths) -> tuple[socket.socket, set[int]]:
    """The socket, and the uids of peers that may ask: root's and the agent's.  Raises `Unsafe`."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    with contextlib.suppress(FileNotFoundError):  # of the run before
        paths.socket.unlink()
    mask = os.umask(0o177)
    try:
        server.bind(str(paths.socket))
    except OSError as e:
        server.close()
        raise Unsafe(f"cannot listen on {paths.socket}: {e.strerror}") from e
    finally:
        os.umask(mask)
    uids = {0, paths.owner}
    with contextlib.suppress(KeyError):  # without the agent's account only root may ask
        uids.add(pwd.getpwnam(_AGENT).pw_uid)
        os.chown(paths.socket, -1, grp.getgrnam(_AGENT).gr_gid)
        paths.socket.chmod(0o660)
    server.listen(16)
    return server, uids
