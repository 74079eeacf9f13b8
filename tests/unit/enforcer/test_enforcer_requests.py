"""The closed list of requests, and who is behind a connection (SPEC 3, REVIEW 10)."""

import base64
import contextlib
import json
import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jit_enforcer import applying, commands, connection, dbus, probe, processes, programs, units
from jit_enforcer.errors import Denied, Malformed, NotAdmitted, Unsafe
from jit_enforcer.host import Host
from jit_enforcer.paths import Paths
from unit.enforcer.conftest import BOOT, HOST, NOW, SECOND, Signer

ONE = "gnt-0000000000000001"


def ask(host: Host, **packet: Any) -> dict[str, Any]:
    act = commands.parse(json.dumps(packet).encode())
    assert act is not None
    return act(host)


def text(envelope: bytes) -> str:
    return base64.b64encode(envelope).decode()


def test_apply_status_end_and_reported(host: Host, signer: Signer) -> None:
    applied = ask(host, op="apply", grant=text(signer.grant()))
    assert applied == {"ok": True, "grant": ONE, "revision": 1, "scope": f"jit-{ONE}.scope"}
    status = ask(host, op="status")
    assert (status["host"], status["boot"], status["problems"]) == (HOST, BOOT, [])
    (live,) = status["live"]
    assert (live["user"], live["commands"], live["scope"], live["processes"]) == ("alice", "ALL", applied["scope"], 0)
    ended = ask(host, op="end", grant=ONE, reason="dropped")
    assert (ended["known"], ended["proof"]["reason"]) == (True, "dropped")
    assert ask(host, op="end", grant=ONE, reason="revoked") == ended
    assert [entry.grant.grant for entry in host.unreported()] == [ONE]
    assert ask(host, op="reported", grant=ONE) == {"ok": True}
    assert host.unreported() == []
    assert ask(host, op="status")["live"] == []


def test_commands_are_shown_as_they_were_signed(host: Host, signer: Signer) -> None:
    shown: list[dict[str, Any]] = [{"path": "/usr/bin/id", "args": ["-u"]}, {"path": "/usr/bin/ls", "args": None}]
    wanted = [one | {"sha256": ""} for one in shown]
    ask(host, op="apply", grant=text(signer.grant(commands=wanted)))
    assert json.loads(json.dumps(ask(host, op="status")))["live"][0]["commands"] == wanted


def test_what_is_unknown_ends_without_a_proof(host: Host) -> None:
    assert ask(host, op="end", grant=ONE, reason="revoked") == {"ok": True, "known": False, "proof": None}
    assert ask(host, op="reported", grant=ONE) == {"ok": True}


def test_sync_ends_what_is_not_listed(host: Host, signer: Signer) -> None:
    for number in (1, 2):
        applying.apply(host, signer.grant(grant=f"gnt-000000000000000{number}"))
    assert ask(host, op="sync", live=[ONE]) == {"ok": True, "ended": ["gnt-0000000000000002"]}
    assert ask(host, op="sync", live=[ONE]) == {"ok": True, "ended": []}


@pytest.mark.parametrize(
    "packet",
    [
        {},
        {"op": "exec"},
        {"op": "status", "more": 1},
        {"op": "apply"},
        {"op": "apply", "grant": "not base64!"},
        {"op": "apply", "grant": "A"},
        {"op": "apply", "grant": 1},
        {"op": "end", "grant": ONE},
        {"op": "end", "grant": ONE, "reason": "expired"},
        {"op": "end", "grant": "../x", "reason": "revoked"},
        {"op": "end", "grant": ONE, "reason": ["revoked"]},
        {"op": "sync", "live": ONE},
        {"op": "sync", "live": [1]},
        {"op": "sync", "live": ["*"]},
        {"op": "reported", "grant": "gnt-"},
        {"op": "admit", "client": ["127.0.0.1", 1]},
        {"op": "admit", "client": ["127.0.0.1", 1], "server": ["192.0.2.1", 843]},
        {"op": "admit", "client": ["127.0.0.1", True], "server": ["127.0.0.1", 843]},
        {"op": "admit", "client": ["127.0.0.1", 65536], "server": ["127.0.0.1", 843]},
        {"op": "watch", "since": 0},
    ],
)
def test_everything_else_is_malformed(packet: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        commands.parse(json.dumps(packet).encode())


def test_a_stranger_gets_the_code_of_the_refusal(host: Host, signer: Signer) -> None:
    for envelope, code in (
        (Signer().grant(), "unverified"),
        (signer.grant(host="hst-0000000000000009"), "wrong_host"),
        (signer.grant(boot=BOOT.replace("8", "9")), "wrong_boot"),
        (signer.grant(user="bob"), "wrong_user"),
        (signer.grant(remaining_s=86401), "beyond_ceiling"),
        (signer.grant(not_after=1_800_000_000_000_001), "expired"),
        (b"", "malformed"),
        (signer.grant(run_as_user="nobody-here"), "unsafe"),
    ):
        with pytest.raises(Denied) as refusal:
            ask(host, op="apply", grant=text(envelope or b"x"))
        assert refusal.value.code == code


def test_only_an_open_connection_of_root_counts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        ends = client.getsockname(), client.getpeername()
        assert connection.inode(*ends) == os.fstat(client.fileno()).st_ino
        for others in ((("127.0.0.1", 1), ends[1]), (("127.0.0.2", ends[0][1]), ends[1])):
            with pytest.raises(NotAdmitted):
                connection.inode(*others)
    with pytest.raises(NotAdmitted):
        connection.inode(*ends)


def fake_process(paths: Paths, pid: int, exe: str, uid: int, inode: str) -> None:
    folder = paths.proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "fd/5").symlink_to(f"socket:[{inode}]")
    (folder / "exe").symlink_to(exe)
    (folder / "status").write_text(f"Name:\tx\nUid:\t{uid}\t0\t0\t0\n")
    (folder / "stat").write_text(f"{pid} (a) b) S 7 {' '.join(['0'] * 17)} 900 0\n")


def test_the_holder_is_sudo_itself_whoever_else_has_the_socket(paths: Paths) -> None:
    fake_process(paths, 100, "/usr/bin/sudo", 4001, "4242")
    fake_process(paths, 101, "/usr/bin/env", 4002, "4242")
    fake_process(paths, 102, "/usr/bin/sudo", 4003, "1")
    assert processes.holder(paths, 4242) == processes.Sudo(pid=100, uid=4001, start=900, parent=7)
    with pytest.raises(NotAdmitted):
        processes.holder(paths, 4243)


def test_a_command_line_is_taken_whole_or_not_at_all(paths: Paths) -> None:
    (paths.proc / "9").mkdir()
    line = paths.proc / "9/cmdline"
    line.write_bytes(b"sudo\0-u\0\0x y\0")
    assert processes.command_line(paths, 9) == ["sudo", "-u", "", "x y"]
    for bad in (b"", b"sudo\0cut"):
        line.write_bytes(bad)
        with pytest.raises(NotAdmitted):
            processes.command_line(paths, 9)


@pytest.mark.parametrize(
    ("said", "version", "suitable"),
    [
        ("Sudo version 1.9.13p3\nSudoers policy plugin version 1.9.13p3\n", "1.9.13p3", True),
        ("Sudo version 1.9.16p2\n", "1.9.16p2", True),
        ("Sudo version 1.9.12\n", "1.9.12", True),
        ("Sudo version 1.9.11p3\n", "1.9.11p3", False),
        ("Sudo version 1.8.31p1\n", "1.8.31p1", False),
        ("sudo-rs 0.2.5\n", "sudo-rs 0.2.5", False),
        ("", "", False),
        ("Sudo version \x1b[31m\n", "", False),
    ],
)
def test_a_sudo_that_cannot_enforce_grants_is_named(said: str, version: str, suitable: bool) -> None:
    found, problem = probe.sudo_suitability(said)
    assert (found, problem == "") == (version, suitable)


@pytest.mark.parametrize(
    ("said", "suitable"), [("systemd 252 (252.39)\n", True), ("systemd 249\n", False), ("", False)]
)
def test_a_systemd_that_is_too_old_is_named(said: str, suitable: bool) -> None:
    assert (probe.systemd_problem(said) == "") is suitable


@pytest.mark.parametrize(
    ("main", "folder", "suitable"),
    [
        ("@includedir /etc/sudoers.d\n", {}, True),
        ("root ALL=ALL\n#includedir /etc/sudoers.d\n# the end\n", {"aaa": "", "zzzz.bak": "", "zzzz~": ""}, True),
        ("@includedir /etc/sudoers.d\nbob ALL=ALL\n", {}, False),
        ("root ALL=ALL\n", {}, False),
        ("@includedir /etc/sudoers.d\n", {"zzzz": "# nothing\n"}, True),
        ("@includedir /etc/sudoers.d\n", {"zzzz": "bob ALL=ALL\n"}, False),
        ("@includedir /etc/sudoers.d\n", {"zzz-jit": "@includedir /tmp\n"}, False),
        ("@includedir /etc/sudoers.d\n", {"zzz-jit": None}, False),
    ],
)
def test_the_include_line_must_be_there_and_last(
    paths: Paths, main: str, folder: dict[str, str | None], suitable: bool
) -> None:
    directory = paths.root / "etc/sudoers.d"
    directory.mkdir()
    paths.sudoers.write_text(main)
    for name, content in ({"zzz-jit": "# ours\n@includedir /run/jit/sudoers.d\n"} | folder).items():
        if content is not None:
            (directory / name).write_text(content)
    problems = [problem for problem in probe.Probe(paths).problems() if "sudoers" in problem]
    assert (problems == []) is suitable


def test_a_message_body_is_marshalled_as_the_bus_wants_it() -> None:
    out = bytearray()
    dbus.write(out, "(yv)", (1, ("as", ["a", "bc"])))
    # BYTE 1; signature "as"; 4-aligned array of 15 bytes: 1 "a" NUL, pad to 4, 2 "bc" NUL
    strings = struct.pack("<I", 1) + b"a\0" + b"\0\0" + struct.pack("<I", 2) + b"bc\0"
    assert bytes(out) == b"\1" + b"\2as\0" + b"\0\0\0" + struct.pack("<I", len(strings)) + strings
    assert list(dbus.complete_types("ssa(sv)a(sa(sv))")) == ["s", "s", "a(sv)", "a(sa(sv))"]


def test_a_bus_that_is_not_there_is_a_refusal(tmp_path: Path) -> None:
    method = dbus.Method("a.b", "/", "a.b", "C", "")
    with pytest.raises(Unsafe):
        dbus.call(tmp_path / "no-such-socket", method)


def test_a_program_is_heard_and_its_failure_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert programs.run("/bin/echo", "a b") == b"a b\n"
    assert programs.run("/bin/sh", "-c", "echo out; echo err >&2; exit 3", may_fail=True) == b"out\nerr\n"
    assert programs.run("/bin/cat", given=b"c d") == b"c d"
    assert programs.run("/usr/bin/env") == b"PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n"
    assert programs.run("/usr/bin/head", "-c", "1000000", "/dev/zero") == bytes(1_000_000)
    monkeypatch.setattr(programs, "_PATIENCE_S", 0.05)
    for argv, said in (
        (["/no/such"], "No such file"),
        (["/bin/sh", "-c", "echo '\033[31m' >&2; exit 3"], r"status 3: .*\\x1b\[31m"),
        (["/bin/sleep", "100"], "status -9"),
    ):
        with pytest.raises(Unsafe, match=said):
            programs.run(*argv)


def test_the_enforcer_starts_with_nothing_but_the_standard_library() -> None:
    folder = Path(commands.__file__).parents[1]
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import jit_enforcer.main; print(len(sys.modules))"
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", "-c", code], check=True, capture_output=True, env={"PATH": os.defpath}
    )
    assert int(done.stdout) > 0


@pytest.mark.parametrize(("name", "made"), [("UnitExists", True), ("LimitsExceeded", False)])
def test_a_scope_that_was_lost_finds_its_timer_still_standing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, made: bool
) -> None:
    refused = dbus.Refused(f"org.freedesktop.systemd1.{name}", "systemd refused")
    monkeypatch.setattr(dbus, "ask", lambda *_: [None, refused])
    scope = units.Scope("jit-gnt-0000000000000001.scope", "jit.slice")
    with contextlib.nullcontext() if made else pytest.raises(Unsafe):
        units.start(tmp_path, scope, pid=1, runtime_us=SECOND, not_after=NOW)


def test_a_scope_that_systemd_refuses_is_not_taken_for_one_because_its_timer_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = dbus.Refused("org.freedesktop.systemd1.UnitExists", "systemd refused")
    monkeypatch.setattr(dbus, "ask", lambda *_: [refused, refused])
    scope = units.Scope("jit-gnt-0000000000000001.scope", "jit.slice")
    with pytest.raises(Unsafe):
        units.start(tmp_path, scope, pid=1, runtime_us=SECOND, not_after=NOW)
