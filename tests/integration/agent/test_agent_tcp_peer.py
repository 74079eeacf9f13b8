"""The kernel's own word on who is at the other end (threat A2)."""

from __future__ import annotations

import os
import socket
import subprocess

from jit_agent import tcp_peer

NOBODY = 65534
CONNECT = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(connection.getsockname()[1], flush=True)
input()
"""
# Not the tests' own, which another user may not be able to reach.
PYTHON = "/usr/bin/python3"


def test_the_owner_of_a_connection_is_the_owner_of_its_clients_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        log = server.getsockname()
        with socket.create_connection(log) as ours:
            assert tcp_peer.owner(ours.getsockname(), log) == os.getuid()
        become = ["setpriv", f"--reuid={NOBODY}", "--clear-groups", PYTHON, "-c", CONNECT, str(log[1])]
        with subprocess.Popen(become, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as stranger:
            assert stranger.stdout
            port = int(stranger.stdout.readline())
            assert tcp_peer.owner(("127.0.0.1", port), log) == NOBODY
            assert tcp_peer.owner(("127.0.0.2", port), log) is None
            stranger.communicate("")


def test_a_connection_that_its_owner_has_closed_is_nobodys() -> None:
    """The kernel shows uid 0 for it: anybody could pose as root by sending fast and leaving."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        log = server.getsockname()
        with socket.create_connection(log) as ours:
            client = ours.getsockname()
        accepted, _ = server.accept()
        with accepted:
            assert tcp_peer.owner(client, log) is None


def test_a_listener_is_nobodys_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        assert tcp_peer.owner(other.getsockname(), server.getsockname()) is None
