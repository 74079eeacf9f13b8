"""sudo's log port (DESIGN 3.6): the gate, what is recorded, and what hostile bytes do, over real TCP.

The client is ours, byte by byte, because a hostile client is not something sudo can be talked into being; Debian's own
`sudo_sendlog` is the independent witness that we speak the protocol.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jit_protos.sudo import log_server_pb2 as pb

from .conftest import NOBODY, World, as_user
from .test_agent_stream import GRANT, connected

ALICE = {"grant": GRANT, "uid": 1001, "user": "alice", "pid": 4242}
IO_LOG = Path("/usr/sbin/sudo_sendlog")


class Sudo:
    """The client's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, world: World) -> Sudo:
        return cls(*await asyncio.open_connection("127.0.0.1", world.log_port))

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send(self, **kind: Any) -> None:
        await self.raw(frame(pb.ClientMessage(**kind)))

    async def hello(self) -> pb.ServerMessage:
        await self.send(hello_msg=pb.ClientHello(client_id=b"sudoers 1.9.13p3"))
        return await self.hear()

    async def hear(self) -> pb.ServerMessage:
        async with asyncio.timeout(10):
            header = await self._reader.readexactly(4)
            return pb.ServerMessage.FromString(await self._reader.readexactly(int.from_bytes(header, "big")))

    async def closed(self) -> bool:
        """Whether the agent ends the connection; what it still says is thrown away."""
        async with asyncio.timeout(10):
            try:
                await self._reader.read()
            except ConnectionError:
                return True
        return True

    def leave(self) -> None:
        self._writer.close()


def frame(message: pb.ClientMessage) -> bytes:
    body = message.SerializeToString()
    return len(body).to_bytes(4, "big") + body


def accept(*argv: bytes, io: bool = True, **texts: bytes) -> pb.AcceptMessage:
    infos = [pb.InfoMessage(key=key.encode(), strval=value) for key, value in texts.items()]
    words = pb.InfoMessage.StringList(strings=list(argv))
    infos.append(pb.InfoMessage(key=b"runargv", strlistval=words))
    return pb.AcceptMessage(
        submit_time=pb.TimeSpec(tv_sec=1), info_msgs=[*infos, pb.InfoMessage(key=b"runuid")], expect_iobufs=io
    )


ID = accept(b"id", b"-u", command=b"/usr/bin/id", runuser=b"root", submitcwd=b"/home/alice", ttyname=b"/dev/pts/1")


async def admitted(world: World) -> Sudo:
    await connected(world)
    world.enforcer.admission = ALICE
    sudo = await Sudo.connect(world)
    assert (await sudo.hello()).hello.server_id.startswith("jit-agent ")
    return sudo


async def test_no_live_grant_no_server_hello(world: World) -> None:
    sudo = await Sudo.connect(world)
    answer = await sudo.hello()
    assert answer.WhichOneof("type") == "error"
    assert answer.error == "jit: no live grant covers this command; ask with: jit sudo COMMAND"
    assert await sudo.closed()
    sudo.leave()


async def test_who_is_stopped_at_the_gate_is_an_event(world: World) -> None:
    world.enforcer.refused = {"uid": 1001, "user": "alice", "argv": ["sudo", "cat", "/etc/shadow", "\udcff"]}
    sudo = await Sudo.connect(world)
    assert (await sudo.hello()).WhichOneof("type") == "error"
    sudo.leave()
    await world.server.until(lambda: bool(world.server.told("session_rejected")))
    [rejected] = world.server.told("session_rejected")
    assert (rejected.user.uid, rejected.user.name) == (1001, "alice")
    assert list(rejected.argv) == ["sudo", "cat", "/etc/shadow", "\\xff"]
    assert rejected.reason == "no live grant covers this command"


async def test_the_enforcer_is_told_the_connection_and_nothing_else_decides(world: World) -> None:
    sudo = await admitted(world)
    [asked] = [request for request in world.enforcer.requests if request["op"] == "admit"]
    assert asked["server"] == ["127.0.0.1", world.log_port]
    assert asked["client"][0] == "127.0.0.1"
    sudo.leave()


async def test_a_session_is_recorded_from_accept_to_exit(world: World) -> None:
    sudo = await admitted(world)
    await sudo.send(accept_msg=ID)
    await sudo.send(ttyout_buf=pb.IoBuffer(delay=pb.TimeSpec(tv_sec=1, tv_nsec=900_000_000), data=b"uid=0"))
    await sudo.send(winsize_event=pb.ChangeWindowSize(delay=pb.TimeSpec(tv_nsec=200_000_000), rows=24, cols=80))
    await sudo.send(exit_msg=pb.ExitMessage(run_time=pb.TimeSpec(tv_sec=2, tv_nsec=5_000), exit_value=3))
    commit = await sudo.hear()
    assert (commit.commit_point.tv_sec, commit.commit_point.tv_nsec) == (2, 100_000_000)
    sudo.leave()
    await world.server.until(lambda: bool(world.server.told("session_ended")))
    [started] = world.server.told("session_started")
    assert (started.user.uid, started.user.name, started.run_as_user) == (1001, "alice", "root")
    assert (list(started.argv), started.command) == (["id", "-u"], "/usr/bin/id")
    assert (started.cwd, started.tty, started.standing) == ("/home/alice", "/dev/pts/1", False)
    [ended] = world.server.told("session_ended")
    assert (ended.session_id, ended.exit_value, ended.run_time_us) == (started.session_id, 3, 2_000_005)
    assert not ended.lost
    assert {report.grant_id for report in world.server.reports.values()} == {GRANT}


async def test_who_it_was_is_the_enforcers_word_not_sudos(world: World) -> None:
    sudo = await admitted(world)
    await sudo.send(accept_msg=accept(b"id", command=b"/usr/bin/id", submituser=b"bob", runuser=b"root"))
    await world.server.until(lambda: bool(world.server.told("session_started")))
    assert world.server.told("session_started")[0].user.name == "alice"
    sudo.leave()


async def test_a_connection_that_breaks_before_its_exit_is_reported_lost(world: World) -> None:
    sudo = await admitted(world)
    await sudo.send(accept_msg=ID)
    sudo.leave()
    await world.server.until(lambda: bool(world.server.told("session_ended")))
    assert world.server.told("session_ended")[0].lost


async def test_an_agent_that_died_reports_the_sessions_it_cut_off(world: World) -> None:
    sudo = await admitted(world)
    await sudo.send(accept_msg=ID)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    spool = world.directory / "spool.db"
    # What a power cut would leave: the files as they are now.
    for name in ("spool.db", "spool.db-wal"):
        if (world.directory / name).exists():
            shutil.copy(world.directory / name, world.directory / f"crashed-{name}")
    await world.stop()
    sudo.leave()
    for name in ("spool.db", "spool.db-wal"):
        (world.directory / name).unlink(missing_ok=True)
        if (world.directory / f"crashed-{name}").exists():
            (world.directory / f"crashed-{name}").rename(world.directory / name)
    assert spool.exists()
    await world.start()
    await world.server.until(lambda: bool(world.server.told("session_ended")))
    assert world.server.told("session_ended")[0].lost


async def test_a_rejection_is_recorded_and_the_connection_closed(world: World) -> None:
    """sudo waits for the server to close after it told a rejection."""
    sudo = await admitted(world)
    words = pb.InfoMessage.StringList(strings=[b"cat", b"/etc/shadow"])
    infos = [pb.InfoMessage(key=b"runargv", strlistval=words)]
    await sudo.send(reject_msg=pb.RejectMessage(reason=b"command not allowed", info_msgs=infos))
    assert await sudo.closed()
    await world.server.until(lambda: bool(world.server.told("session_rejected")))
    [rejected] = world.server.told("session_rejected")
    assert (list(rejected.argv), rejected.reason) == (["cat", "/etc/shadow"], "command not allowed")
    assert world.server.told("session_ended") == []
    sudo.leave()


async def test_a_standing_rule_is_recorded_as_one(world: World) -> None:
    await connected(world)
    world.enforcer.admission = ALICE | {"grant": None}
    sudo = await Sudo.connect(world)
    await sudo.hello()
    await sudo.send(accept_msg=ID)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    assert world.server.told("session_started")[0].standing
    assert [report.grant_id for report in world.server.reports.values()] == [""]
    sudo.leave()


async def test_a_name_that_is_not_utf8_is_recorded_visibly_and_hurts_nothing(world: World) -> None:
    sudo = await admitted(world)
    await sudo.send(accept_msg=accept(b"cat", b"na\xefve\x1b[31m", command=b"/usr/bin/cat", runuser=b"root"))
    await world.server.until(lambda: bool(world.server.told("session_started")))
    assert list(world.server.told("session_started")[0].argv) == ["cat", "na\\xefve\x1b[31m"]
    sudo.leave()


async def test_another_local_user_is_not_even_heard(world: World) -> None:
    await connected(world)
    world.enforcer.admission = ALICE
    client = (
        "import socket,sys\n"
        "c=socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "c.sendall(bytes.fromhex(sys.argv[2]))\n"
        "sys.stdout.buffer.write(c.recv(100))\n"
    )
    hello = frame(pb.ClientMessage(hello_msg=pb.ClientHello(client_id=b"sudo")))
    process = await asyncio.create_subprocess_exec(
        *as_user(NOBODY.pw_uid), "/usr/bin/python3", "-I", "-S", "-c", client, str(world.log_port), hello.hex(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert output == b""
    assert "admit" not in world.enforcer.operations()


async def test_without_a_spool_nobody_passes_the_gate(world: World) -> None:
    await connected(world)
    await world.stop()
    (world.directory / "spool.db").write_bytes(b"no database" * 500)
    world.enforcer.admission = ALICE
    await world.start()
    sudo = await Sudo.connect(world)
    assert "cannot record" in (await sudo.hello()).error
    assert "admit" not in world.enforcer.operations()
    sudo.leave()


async def test_a_dead_enforcer_lets_nobody_pass(world: World) -> None:
    await connected(world)
    await world.enforcer.__aexit__(None, None, None)
    sudo = await Sudo.connect(world)
    assert "cannot check grants" in (await sudo.hello()).error
    sudo.leave()


def endless_rejections() -> bytes:
    return frame(pb.ClientMessage(alert_msg=pb.AlertMessage(reason=b"x"))) * 20


AFTER_HELLO: dict[str, Callable[[], bytes]] = {
    "not a message": lambda: b"\0\0\0\4\xff\xff\xff\xff",
    "huge": lambda: (2**31).to_bytes(4, "big") + b"x" * 100,
    "empty": lambda: b"\0\0\0\0",
    "no kind": lambda: b"\0\0\0\2\xf8\x7f",
    "hello again": lambda: frame(pb.ClientMessage(hello_msg=pb.ClientHello(client_id=b"x"))),
    "restart": lambda: frame(pb.ClientMessage(restart_msg=pb.RestartMessage(log_id=b"../../etc/passwd"))),
    "exit first": lambda: frame(pb.ClientMessage(exit_msg=pb.ExitMessage(exit_value=0))),
    "accept of nothing": lambda: frame(pb.ClientMessage(accept_msg=pb.AcceptMessage())),
    "accept twice": lambda: frame(pb.ClientMessage(accept_msg=ID)) * 2,
    "a key twice": lambda: frame(
        pb.ClientMessage(accept_msg=pb.AcceptMessage(info_msgs=[*ID.info_msgs, *ID.info_msgs]))
    ),
    "impossible time": lambda: frame(pb.ClientMessage(ttyout_buf=pb.IoBuffer(delay=pb.TimeSpec(tv_sec=-5)))),
    "time beyond all": lambda: frame(pb.ClientMessage(ttyout_buf=pb.IoBuffer(delay=pb.TimeSpec(tv_sec=2**62)))),
    "too many words": lambda: frame(pb.ClientMessage(accept_msg=accept(*[b"x"] * 1001, command=b"/x"))),
    "too many bytes": lambda: frame(pb.ClientMessage(accept_msg=accept(b"x" * 70_000, command=b"/x"))),
    "endless alerts": endless_rejections,
}


@pytest.mark.parametrize("bytes_of", AFTER_HELLO.values(), ids=AFTER_HELLO.keys())
async def test_hostile_bytes_end_their_connection_and_nothing_else(world: World, bytes_of: Callable[[], bytes]) -> None:
    sudo = await admitted(world)
    await sudo.raw(bytes_of())
    answer = await sudo.hear()
    assert answer.WhichOneof("type") == "abort"
    assert await sudo.closed()
    sudo.leave()
    fresh = await admitted(world)
    fresh.leave()


async def test_bytes_before_hello_are_no_hello(world: World) -> None:
    world.enforcer.admission = ALICE
    for data in (frame(pb.ClientMessage(accept_msg=ID)), b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\1\xff"):
        sudo = await Sudo.connect(world)
        await sudo.raw(data)
        assert (await sudo.hear()).WhichOneof("type") == "error"
        sudo.leave()
    assert "admit" not in world.enforcer.operations()


async def test_much_terminal_output_is_drained(world: World) -> None:
    sudo = await admitted(world)
    await sudo.send(accept_msg=ID)
    chunk = frame(pb.ClientMessage(ttyout_buf=pb.IoBuffer(delay=pb.TimeSpec(tv_nsec=1_000), data=b"x" * 60_000)))
    for _ in range(200):
        await sudo.raw(chunk)
    await sudo.raw(frame(pb.ClientMessage(stdin_buf=pb.IoBuffer(delay=pb.TimeSpec(), data=b"y" * 2_000_000))))
    await sudo.send(exit_msg=pb.ExitMessage(exit_value=0))
    assert (await sudo.hear()).commit_point.tv_nsec == 200_000
    sudo.leave()


def io_log(directory: Path) -> Path:
    """An I/O log as sudo writes it (sudoers_io(5)): one second of output, then nothing."""
    directory.mkdir()
    info = {
        "command": "/usr/bin/id", "runargv": ["id", "-u"], "runuser": "root", "runuid": 0, "submituser": "alice",
        "submithost": "web1", "submitcwd": "/home/alice", "ttyname": "/dev/pts/1", "columns": 80, "lines": 24,
        "timestamp": {"seconds": 1_700_000_000, "nanoseconds": 0}, "runcwd": "/home/alice",
    }  # fmt: skip
    (directory / "log.json").write_text(json.dumps(info, indent=4))
    (directory / "log").write_text("1700000000:alice:root::/dev/pts/1:24:80\n/home/alice\n/usr/bin/id -u\n")
    (directory / "ttyout").write_bytes(b"0\r\n")
    for name in ("ttyin", "stdin", "stdout", "stderr"):
        (directory / name).write_bytes(b"")
    (directory / "timing").write_text("4 1.000000000 3\n")
    return directory


async def test_sudos_own_sendlog_is_understood(world: World, tmp_path: Path) -> None:
    """`sudo_sendlog`: "can be used to send the existing I/O log path to a remote log server"."""
    assert IO_LOG.exists(), "install Debian's sudo package"
    await connected(world)
    world.enforcer.admission = ALICE
    log = io_log(tmp_path / "iolog")
    process = await asyncio.create_subprocess_exec(
        str(IO_LOG), "-h", "127.0.0.1", "-p", str(world.log_port), str(log),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, output.decode()
    await world.server.until(lambda: bool(world.server.told("session_ended")))
    [started] = world.server.told("session_started")
    assert (list(started.argv), started.command) == (["id", "-u"], "/usr/bin/id")
