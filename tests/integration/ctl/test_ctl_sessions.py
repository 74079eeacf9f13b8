"""Sessions: found, shown whole, stopped with a reason, verified, exported."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from jit_protos.v1 import sessions_pb2
from jit_testing.ctl_values import now_us
from jit_testing.fake_ctl_server import FakeServer
from jit_testing.fake_ctl_sessions import FROZEN, RUNNING, exited, framed, out, resized, session

ONE = "ses-0000000000000001"
WAITING, REJECTED = sessions_pb2.SESSION_STATE_WAITING, sessions_pb2.SESSION_STATE_REJECTED


def test_sessions_are_listed_with_who_where_what_and_how_it_ended(alice: Any, server: FakeServer) -> None:
    server.keep(session(1))
    server.keep(session(2, state=RUNNING, argv=["-c", "x\ny"], recording=sessions_pb2.RECORDING_STATE_ARRIVING))
    server.keep(session(3, signal="TERM", recording=sessions_pb2.RECORDING_STATE_INCOMPLETE, incomplete="disk full"))
    header, third, second, first = alice("sessions", "ls").out.splitlines()
    assert header.split("\t") == [
        *("ID", "STATE", "WHO", "HOST", "AS", "COMMAND", "ROLE", "STARTED", "TOOK", "RECORDING"),
    ]
    assert first.split("\t")[:7] == [
        *(ONE, "exit 0", "bob", "web1", "root", "/usr/bin/systemctl restart nginx.service", "web-operator"),
    ]
    assert first.split("\t")[8:] == ["1m0.0s", "whole"]
    assert second.split("\t")[1] == "running"
    assert second.split("\t")[5].endswith(r" -c $'x\ny'")
    assert third.split("\t")[1] == "killed by TERM"
    assert third.split("\t")[9] == "incomplete: disk full"
    assert alice("sessions", "ls", "-o", "name").out.split()[-1] == ONE
    assert set(json.loads(alice("sessions", "ls", "-o", "json").out)[0]) == {
        field.name for field in sessions_pb2.Session.DESCRIPTOR.fields
    }


def test_every_filter_reaches_the_server(alice: Any, server: FakeServer) -> None:
    alice(
        *("sessions", "ls", "--host", "web1", "--user", "bob", "--role", "web", "--grant", "gnt-1", "--text", "nginx"),
        *("--state", "running", "--state", "frozen", "--since", "2h", "--until", "2026-11-23T10:00Z", "-n", "7"),
    )
    (asked,) = server.asked
    assert (asked.host, asked.user, asked.role, asked.grant_id, asked.text) == ("web1", "bob", "web", "gnt-1", "nginx")
    assert list(asked.states) == [RUNNING, FROZEN]
    assert abs(now_us() - asked.since - 7_200_000_000) < 60_000_000
    assert asked.until == 1_795_428_000_000_000
    assert asked.limit == 7


def test_more_than_are_listed_is_said(alice: Any, server: FakeServer) -> None:
    for number in range(3):
        server.keep(session(number))
    assert alice("sessions", "ls", "-n", "3").err == ""
    assert alice("sessions", "ls", "-n", "2").err == (
        "only the newest 2 are shown; more with --limit, or fewer with a filter\n"
    )


def test_show_tells_everything_and_the_commands_in_their_order(alice: Any, server: FakeServer) -> None:
    one = session(1, state=FROZEN, ended_at=0, watchers=["alice", "carol"], order="frozen by carol: wait")
    one.ended_at = 0
    began = one.started_at
    server.keep(
        one,
        environment=["TERM=xterm", "LANG=C.UTF-8"],
        commands=[
            sessions_pb2.SessionCommand(at=began + 1_500_000, argv=["/bin/sh", "-c", "id -u"], cwd="/home/bob"),
            sessions_pb2.SessionCommand(at=began + 2_000_000, argv=["/usr/bin/id"], cwd="/", run_as_user="daemon"),
            sessions_pb2.SessionCommand(at=began + 3_000_000, command="/bin/nc", rejected="not allowed"),
        ],
        truncated=True,
    )
    told = alice("sessions", "show", "0000000000000001").out
    facts = dict(line.split("  ", 1) for line in told.splitlines() if not line.startswith(" "))
    assert facts["State"].strip() == "frozen"
    assert facts["Order"].strip() == "frozen by carol: wait"
    assert facts["Watched by"].strip() == "alice, carol"
    assert facts["Terminal"].strip() == "/dev/pts/3, 80 columns, 24 rows"
    assert facts["Recording"].strip() == "whole, 1 chunk, 300 B stored"
    assert facts["Output"].strip() == "2.0 KiB"
    assert "Ended" not in facts
    lines = [line.strip() for line in told.splitlines()]
    assert lines[lines.index("LANG=C.UTF-8") + 1 :] == [
        "Commands     +1.500s  /bin/sh -c 'id -u'",
        "+2.000s  /usr/bin/id  (as daemon, in /)",
        "+3.000s  /bin/nc  (REJECTED: not allowed)",
        "… and more that are not listed",
    ]
    shown = alice("sessions", "show", ONE, "-o", "json").json
    assert set(shown) == {field.name for field in sessions_pb2.SessionDetails.DESCRIPTOR.fields}
    assert alice("sessions", "show", "ses-9").status == 6


@pytest.mark.parametrize(("act", "state"), [("freeze", "frozen"), ("thaw", "running"), ("kill", "killed by KILL")])
def test_a_session_is_frozen_thawed_and_killed_with_a_reason(
    alice: Any, server: FakeServer, act: str, state: str
) -> None:
    server.keep(session(1, state=RUNNING))
    done = alice("sessions", act, ONE, "-m", "what is this?", *(["-y"] if act == "kill" else []))
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{ONE}: {act} ordered: bob on web1 ({state})\n"
    (asked,) = server.asked
    assert (asked.session_id, asked.act, asked.reason) == (ONE, act, "what is this?")


def test_killing_asks_first_and_nothing_goes_without_a_reason(alice: Any, server: FakeServer, on_terminal: Any) -> None:
    server.keep(session(1, state=RUNNING))
    assert alice("sessions", "kill", ONE, "-m", "x").status == 2
    for act in ("freeze", "thaw", "kill"):
        assert alice("sessions", act, ONE).status == 2
        assert alice("sessions", act, ONE, "-m", " ").status == 2
    assert server.asked == []
    child = on_terminal("sessions", "kill", ONE, "-m", "x")
    child.expect_exact("? [y/N]")
    child.sendline("n")
    assert child.end() == 1
    assert server.asked == []
    child = on_terminal("sessions", "kill", ONE, "-m", "x")
    child.expect_exact("? [y/N]")
    child.sendline("y")
    assert child.end() == 0
    assert server.asked[0].act == "kill"


def test_of_several_sessions_those_that_can_be_are_stopped(alice: Any, server: FakeServer) -> None:
    server.keep(session(1, state=RUNNING))
    server.keep(session(2))
    server.keep(session(3, state=RUNNING))
    done = alice("sessions", "kill", *server.told, "-y", "-m", "x")
    assert done.status == 7
    assert [line.partition(":")[0] for line in done.out.splitlines()] == [ONE, "ses-0000000000000003"]
    assert "ses-0000000000000002 is over" in done.err


def verdict(number: int, what: str, detail: str = "") -> sessions_pb2.RecordingVerdict:
    return sessions_pb2.RecordingVerdict(
        session_id=f"ses-{number:016d}", verdict=what, detail=detail, chunks=3, stored_bytes=5000
    )


def test_verify_prints_what_is_damaged_and_ends_with_1(alice: Any, server: FakeServer) -> None:
    server.verdicts += [verdict(1, "whole"), verdict(2, "deleted")]
    good = alice("sessions", "verify")
    assert (good.status, good.out, good.err) == (0, "", "2 recordings: 1 whole, 1 deleted\n")
    server.verdicts.append(verdict(3, "damaged", "chunk 2 has another SHA-256"))
    bad = alice("sessions", "verify", "--no-header", "--since", "1d")
    assert bad.status == 1
    assert bad.out == "ses-0000000000000003\tdamaged\t3\t4.9 KiB\tchunk 2 has another SHA-256\n"
    assert bad.err == "3 recordings: 1 whole, 1 deleted, 1 damaged\n"
    assert server.asked[-1].since > 0
    assert [one["verdict"] for one in alice("sessions", "verify", "-o", "json").json] == ["whole", "deleted", "damaged"]
    one = alice("sessions", "verify", ONE, "--no-header")
    assert (one.status, one.out) == (0, f"{ONE}\twhole\t3\t4.9 KiB\t-\n")
    assert alice("sessions", "verify", ONE, "--since", "1d").status == 2
    assert alice("sessions", "verify", "-q", "-o", "name").out.split() == [one.session_id for one in server.verdicts]


OUTPUT = b"\x1b[1mgr\xc3\xb6\xc3\x9fe\x1b[0m\r\n\x1b]0;evil\x07bye\r\n"


@pytest.fixture
def recorded(server: FakeServer) -> FakeServer:
    server.keep(session(1), environment=["TERM=xterm"])
    server.record(ONE, out(OUTPUT[:6], 0.5), out(OUTPUT[6:20], 0.5))
    server.record(ONE, out(OUTPUT[20:], 1), resized(30, 100), exited(2, after=3.0), end=3)
    return server


def test_a_recording_is_exported_in_every_form(alice: Any, recorded: FakeServer, tmp_path: Path) -> None:
    texts = {}
    for form in ("asciicast-v2", "asciicast-v3", "text", "raw"):
        file = tmp_path / form
        done = alice("sessions", "export", ONE, "--format", form, "-O", str(file))
        assert (done.status, done.out, done.err) == (0, "", f"{ONE}: written to {file}\n")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        texts[form] = file.read_bytes()
    assert texts["raw"] == OUTPUT
    assert texts["text"].decode() == "größe\nbye\n"
    header, *events = map(json.loads, texts["asciicast-v2"].splitlines())
    assert (header["version"], header["width"], header["env"]) == (2, 80, {"TERM": "xterm"})
    assert "".join(event[2] for event in events if event[1] == "o") == "\x1b[1mgröße\x1b[0m\r\nbye\r\n"
    assert events[-1] == [2.0, "r", "100x30"]
    assert json.loads(texts["asciicast-v3"].splitlines()[-1]) == [1.0, "x", "2"]
    assert alice("sessions", "export", ONE).out.encode() == texts["asciicast-v2"]


def test_a_file_that_is_there_is_kept(alice: Any, recorded: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    done = alice("sessions", "export", ONE, "-O", str(file))
    assert done.status == 7
    assert f"{file} exists" in done.err
    assert file.read_text() == "mine"
    nowhere = alice("sessions", "export", ONE, "-O", str(tmp_path / "no" / "file"))
    assert (nowhere.status, nowhere.out) == (1, "")
    assert "No such file" in nowhere.err


def test_on_a_terminal_an_export_is_harmless_and_raw_is_refused(
    alice: Any, recorded: FakeServer, on_terminal: Any
) -> None:
    child = on_terminal("sessions", "export", ONE, "--format", "raw")
    child.expect_exact("write it to a file with -O FILE")
    assert child.end() == 2
    child = on_terminal("sessions", "export", ONE, "--format", "text")
    child.expect_exact("größe\r\nbye\r\n")
    assert child.end() == 0


@pytest.mark.parametrize("bend", ["flip", "drop", "swap", "bomb", "cut"])
def test_a_damaged_recording_leaves_no_file(alice: Any, recorded: FakeServer, tmp_path: Path, bend: str) -> None:
    chunks = recorded.told[ONE].chunks
    match bend:
        case "flip":
            chunks[1].data = chunks[1].data[:-1] + bytes([chunks[1].data[-1] ^ 1])
        case "drop":
            chunks[0].decoded_size -= 1
        case "swap":
            chunks[0].encoding = "xz"
        case "bomb":
            chunks[1].decoded_size = 1 << 31
        case "cut":
            chunks[1] = type(chunks[1]).of(framed([out(b"x")])[:-1])
    file = tmp_path / "file"
    done = alice("sessions", "export", ONE, "-O", str(file))
    assert (done.status, done.out) == (1, "")
    assert f"the recording of {ONE} is damaged" in done.err
    assert f"jitctl sessions verify {ONE}" in done.err
    assert not file.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recording": sessions_pb2.RECORDING_STATE_DELETED}, "is deleted"),
        ({"recording": sessions_pb2.RECORDING_STATE_NONE, "record": "events"}, "its role records events"),
        ({"recording": sessions_pb2.RECORDING_STATE_NONE, "record": "output"}, "nothing of it came from its host"),
        (
            {"recording": sessions_pb2.RECORDING_STATE_NONE, "record": "none", "started_at": 0, "state": WAITING},
            "it starts once somebody watches it",
        ),
        (
            {"recording": sessions_pb2.RECORDING_STATE_NONE, "record": "none", "started_at": 0, "state": REJECTED},
            "sudo was refused",
        ),
    ],
)
def test_what_was_not_recorded_cannot_be_exported(
    alice: Any, server: FakeServer, changes: dict[str, Any], said: str
) -> None:
    server.keep(session(1, **changes))
    done = alice("sessions", "export", ONE)
    assert (done.status, done.out) == (6, "")
    assert said in done.err


def test_an_incomplete_recording_is_exported_and_said_to_be_so(alice: Any, recorded: FakeServer) -> None:
    one = session(1, recording=sessions_pb2.RECORDING_STATE_INCOMPLETE, incomplete="the disk was full")
    recorded.keep(one)
    done = alice("sessions", "export", ONE, "--format", "text")
    assert (done.status, done.out) == (0, "größe\nbye\n")
    assert done.err == f"{ONE}: the recording is incomplete: the disk was full\n"


@pytest.mark.parametrize("command", ["replay", "watch"])
def test_without_a_terminal_nothing_is_played_and_the_way_out_is_named(
    alice: Any, recorded: FakeServer, command: str
) -> None:
    done = alice("sessions", command, ONE)
    assert (done.status, done.out) == (2, "")
    assert "needs a terminal" in done.err
    assert "jitctl sessions export ID -O FILE" in done.err
    assert recorded.asked == []


def test_a_dumb_terminal_is_no_screen(alice: Any, recorded: FakeServer, on_terminal: Any) -> None:
    child = on_terminal("sessions", "replay", ONE, term="dumb")
    child.expect_exact("needs a terminal")
    assert child.end() == 2
