"""A session at a terminal is recorded, kept and shown as it was (SPEC 8.1, 8.2): the same screen, the same bytes.

Alice sits at a terminal of her host; what it showed is compared with what comes out of the server.  The screens are
computed by pyte, which has no part in sudo or jit; the asciicast is played by asciinema itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jit_testing import drills
from jit_testing.drills import on_both
from jit_testing.lab import Lab
from jit_testing.seat import Seat, Shown, Size, screen

WIDE = "日本語 한국어 naïve é ┌─┐ │x│ └─┘"
PLAIN_SHELL = ("bash", "--norc", "--noprofile", "-i")


@pytest.fixture(scope="module", autouse=True)
def _roles(lab: Lab) -> Iterator[None]:
    with drills.roles(lab):
        yield


@pytest.fixture(autouse=True)
def _nobody_is_elevated(lab: Lab) -> None:
    for host in ("web1", "web2"):
        lab.exec(host, "jit", "drop", "--all", user="alice")


@on_both
def test_a_session_with_everything_is_shown_as_it_was(lab: Lab, host: str, tmp_path: Path) -> None:
    """vim, a resize, Ctrl-Z and fg, binary output and wide characters."""
    lab.run(host, "rm", "-f", "/tmp/notes")
    grant = lab.elevate(host, role="recorded")
    with Seat(lab, host, "alice", *PLAIN_SHELL) as seat:
        seat.type("PS1='mine: '\n", "mine: $")
        seat.type(f"sudo -n {' '.join(PLAIN_SHELL)}\n", "# $")
        seat.type("PS1='root: '; bind 'set enable-bracketed-paste off'\n", "root: $")
        seat.type("vi -u NONE -N /tmp/notes\n", "/tmp/notes")
        seat.type(f"i{WIDE}\x1b", "┘")
        seat.resize(30, 100)
        seat.type("\x0c", "┘")
        seat.type("olast words\x1b", "last words")
        seat.type(":wq!\n", "root: $")
        seat.type("suspend\n", "mine: $")
        seat.type("fg\n", "fg\r\n")
        seat.type("\n", "root: $")
        seat.type("head -c 3000 /usr/bin/true; printf '\\030\\033c'; echo do''ne\n", "done\r\nroot: $")
        seat.type("printf '\\033c\\033[31mred\\033[0m\\n'; sed q /tmp/notes; stty size; exit 5\n", "exit\r\n.*mine: $")
        seat.type("echo status $?\n", "status 5")
        shown = until(seat.shown, b"exit\r\n")
        seat.type("exit\n", "exit")
    one = drills.session(lab, grant, drills.stored)
    assert (one["exit_value"], one["record"], one["incomplete"]) == (5, "output", "")
    wanted = screen(shown)
    assert wanted[:4] == ["red", WIDE, "30 100", "exit"]
    v2 = drills.export(lab, one["session_id"], "asciicast-v2")
    assert screen(of_v2(v2)) == wanted
    assert screen(of_v3(drills.export(lab, one["session_id"], "asciicast-v3"))) == wanted
    assert screen([Size(30, 100), played(v2, tmp_path / host)]) == wanted
    in_vim = screen(until(shown, b"last words"))
    assert in_vim[:3] == [WIDE, "last words", "~"]
    assert screen(until(of_v2(v2), b"last words")) == in_vim
    # Since Alice came back to it, everything on her terminal is the session's: the same bytes, text or not.
    since = joined(shown).rpartition(b"fg\r\n")[2]
    assert len(since) > 3000
    assert since[since.index(b"root: ") :] in drills.export(lab, one["session_id"], "raw")


@on_both
def test_every_byte_of_a_pipe_is_kept(lab: Lab, host: str) -> None:
    grant = lab.elevate(host, role="recorded")
    script = "head -c 3000000 /dev/urandom | tee /var/tmp/random; echo end >&2"
    done = lab.exec(host, "sh", "-c", f"sudo -n sh -c {json.dumps(script)} >/dev/null", user="alice")
    assert (done.returncode, done.stderr) == (0, "end\n")
    one = drills.session(lab, grant, drills.stored)
    raw = drills.export(lab, one["session_id"], "raw")
    assert lab.host(host).read("/var/tmp/random") in (raw, raw.replace(b"end\n", b""))
    assert one["output_bytes"] == 3_000_004


@on_both
def test_what_is_typed_is_kept_only_if_the_role_says_so_and_no_password_ever(lab: Lab, host: str) -> None:
    secret = "correct-horse"
    script = "read -p 'name: ' name; stty -echo; read -p 'Password: ' word; stty echo; echo; echo hello $name"
    for role, kept in (("recorded", False), ("typed", True)):
        grant = lab.elevate(host, role=role)
        with Seat(lab, host, "alice", "sudo", "-n", "bash", "-c", script) as seat:
            seat.type("", "name: $")
            seat.type("alice-x\n", "Password: $")
            seat.type(f"{secret}\n", "hello alice-x")
            assert seat.leave() == 0
        one = drills.session(lab, grant, drills.stored)
        cast = drills.export(lab, one["session_id"], "asciicast-v2").decode()
        typed = "".join(event[2] for event in events(cast) if event[1] == "i")
        assert ("alice-x" in typed) is kept
        assert secret not in cast
        assert (one["input_bytes"] > 0) is kept
        lab.run(host, "jit", "drop", "--all", user="alice")


@on_both
def test_a_password_is_on_no_disk_also_if_the_agent_is_killed_while_it_is_typed(lab: Lab, host: str) -> None:
    script = (
        "read -p 'name: ' name; stty -echo; read -p 'Passphrase for key: ' word; stty echo; echo; read -p 'more: ' more"
    )
    look = "cd /var/lib/jit-agent && until {}; do sleep 0.1; done"
    here, gone = "grep -rqa alice-x recordings", "! grep -rqaE 'correct|horse' ."
    grant = lab.elevate(host, role="typed")
    with Seat(lab, host, "alice", "sudo", "-n", "bash", "-c", script) as seat:
        seat.type("", "name: $")
        seat.type("alice-x\n", "Passphrase for key: $")
        lab.run(host, "timeout", "10", "sh", "-c", look.format(here))
        for part, shown in (("correct-", ""), ("horse\n", "more: $")):
            lab.run(host, "systemctl", "kill", "--signal", "KILL", "jit-agent")
            seat.type(part, shown)
        lab.run(host, "timeout", "20", "sh", "-c", look.format("systemctl is-active -q jit-agent"))
        lab.run(host, "timeout", "20", "sh", "-c", look.format(gone))
        seat.type("bob-y\n", "")
        assert seat.leave() == 0
    one = drills.session(lab, grant, drills.stored)
    cast = drills.export(lab, one["session_id"], "asciicast-v2").decode()
    typed = "".join(event[2] for event in events(cast) if event[1] == "i").replace("\r", "\n")
    assert typed == f"alice-x\n{'*' * len('correct-horse')}\nbob-y\n"


@on_both
def test_the_commands_that_a_command_starts_are_told(lab: Lab, host: str) -> None:
    """log_subcmds, where the role wants it."""
    grant = lab.elevate(host, role="recorded-with-tree")
    lab.run(host, "sudo", "-n", "sh", "-c", "/usr/bin/id -u; /usr/bin/env true", user="alice")
    one = drills.session(lab, grant, drills.stored)
    shown = json.loads(lab.jitctl("sessions", "show", one["session_id"], "-o", "json", user="dave"))
    started = [command["command"] for command in shown["commands"]]
    assert "/usr/bin/id" in started
    assert "/usr/bin/env" in started
    assert any(command["argv"] == ["/usr/bin/id", "-u"] for command in shown["commands"])


@on_both
def test_a_person_sees_their_own_sessions_and_nobody_elses(lab: Lab, host: str) -> None:
    grant = lab.elevate(host, role="recorded")
    lab.run(host, "sudo", "-n", "echo", "mine", user="alice")
    one = drills.session(lab, grant, drills.stored)
    assert one["session_id"] in lab.run(host, "jit", "log", "-o", "json", user="alice")
    assert one["session_id"] not in lab.run(host, "jit", "log", "-o", "json", user="bob")
    refused = lab.exec(host, "jit", "log", one["session_id"], user="bob")
    assert refused.returncode == 6
    assert refused.stdout == ""


def test_a_flipped_byte_in_the_store_is_reported(lab: Lab) -> None:
    """Content-addressed, and hashed into the audit event: a changed recording is noticed."""
    grant = lab.elevate("web1", role="recorded")
    lab.run("web1", "sudo", "-n", "seq", "5000", user="alice")
    one = drills.session(lab, grant, drills.stored)
    lab.jitctl("sessions", "verify", one["session_id"], user="dave")
    flip = (
        "import pathlib\n"
        "files = [f for f in pathlib.Path('/var/lib/jit-server/recordings').rglob('*') if f.is_file()]\n"
        "newest = max(files, key=lambda f: f.stat().st_mtime_ns)\n"
        "data = bytearray(newest.read_bytes()); data[len(data) // 2] ^= 1; newest.write_bytes(data)\n"
    )
    lab.run("server", "python3", "-c", flip)
    told = lab.exec("server", "jitctl", "sessions", "verify", one["session_id"], user="dave")
    assert told.returncode == 1
    assert one["session_id"] in told.stdout
    assert "damaged" in told.stdout
    heard = lab.jitctl("audit", "ls", "--kind", "recording.damaged", "-o", "jsonl", user="dave")
    assert one["session_id"] in heard


def joined(shown: list[Shown]) -> bytes:
    """All bytes of it."""
    return b"".join(one for one in shown if isinstance(one, bytes))


def until(shown: list[Shown], last: bytes) -> list[Shown]:
    """What was shown up to the last time that these bytes were."""
    left = joined(shown).rindex(last) + len(last)
    cut: list[Shown] = []
    for one in shown:
        if isinstance(one, Size):
            cut.append(one)
        elif left > 0:
            cut.append(one[:left])
            left -= len(one)
        if left <= 0:
            break
    return cut


def events(cast: str) -> list[tuple[float, str, str]]:
    return [tuple(json.loads(line)) for line in cast.splitlines()[1:] if line.startswith("[")]


def of_v2(cast: bytes) -> list[Shown]:
    """asciicast v2: a header with width and height, then [time, code, data]."""
    header = json.loads(cast.splitlines()[0])
    return [Size(header["height"], header["width"]), *_shown(events(cast.decode()))]


def of_v3(cast: bytes) -> list[Shown]:
    """asciicast v3: the header's size is of `term`, and times are intervals, which no screen depends on."""
    term = json.loads(cast.splitlines()[0])["term"]
    return [Size(term["rows"], term["cols"]), *_shown(events(cast.decode()))]


def _shown(told: list[tuple[float, str, str]]) -> Iterator[Shown]:
    for _, code, data in told:
        if code == "o":
            yield data.encode()
        elif code == "r":
            columns, rows = data.split("x")
            yield Size(int(rows), int(columns))


def played(cast: bytes, directory: Path) -> bytes:
    """What asciinema's own player writes to a terminal."""
    directory.mkdir()
    file = directory / "session.cast"
    file.write_bytes(cast)
    done = subprocess.run(
        [sys.executable, "-m", "asciinema", "cat", str(file)],
        env=os.environ | {"HOME": str(directory)}, stdin=subprocess.DEVNULL, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout
