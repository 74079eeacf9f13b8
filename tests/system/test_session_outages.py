"""What becomes of sessions and their recordings when something is lost in the middle (SPEC 8.3, 8.4, S5, S7).

Each case says what was lost, and compares what the person got, what the command did, and what the server keeps; the
table of all of them is told at the end.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from jit_testing import drills
from jit_testing.drills import on_both
from jit_testing.lab import Lab
from jit_testing.seat import Seat

from .conftest import Tell

LINES = 6_000
COUNT = f"n=0; while [ $n -lt {LINES} ]; do n=$((n+1)); echo line $n; [ $((n % 100)) -ne 0 ] || sleep 0.1; done"
RECORDINGS = "/var/lib/jit-agent/recordings"
STORE = "/var/lib/jit-server/recordings"
MEGABYTES = 200
ARRIVES_S = 300
"""How long a busy machine may take until the server has it all; how fast that is is not the question here."""


@pytest.fixture(scope="module", autouse=True)
def _roles(lab: Lab) -> Iterator[None]:
    with drills.roles(lab):
        yield


@pytest.fixture(autouse=True)
def _nobody_is_elevated(lab: Lab) -> Iterator[None]:
    yield
    for host in ("web1", "web2"):
        lab.heal(host)
        lab.exec(host, "jit", "drop", "--all", user="alice")


@on_both
def test_an_agent_that_is_killed_loses_no_line_and_no_session(lab: Lab, host: str, tell: Tell) -> None:
    """kill -9 in the middle of output, three times: sudo notices nothing."""
    grant = lab.elevate(host, role="recorded")
    with Seat(lab, host, "alice", "sudo", "-n", "sh", "-c", COUNT) as seat:
        for last in (1_000, 2_500, 4_000):
            seat.type("", rf"line {last}\r\n")
            lab.run(host, "systemctl", "kill", "--signal", "KILL", "jit-agent")
        assert seat.leave(within_s=60) == 0
        assert seat.text() == lines("\r\n")
    one = drills.session(lab, grant, drills.stored)
    assert drills.export(lab, one["session_id"], "raw").decode() == lines("\r\n")
    assert (one["exit_value"], one["state"]) == (0, "ended")
    tell("agent killed 3 times in the middle of output", host, "exit 0", f"whole, {LINES} lines")


@on_both
def test_an_agent_that_is_killed_loses_no_byte_of_a_flood(lab: Lab, host: str, tell: Tell) -> None:
    grant = lab.elevate(host, role="recorded")
    with ThreadPoolExecutor(1) as beside:
        script = f"sudo -n sh -c 'head -c {MEGABYTES}000000 /dev/urandom | tee /var/tmp/flood' >/var/tmp/got-by-alice"
        command = beside.submit(lab.exec, host, "sh", "-c", script, user="alice", timeout_s=120)
        for _ in range(3):
            time.sleep(0.3)
            lab.run(host, "systemctl", "kill", "--signal", "KILL", "jit-agent")
        assert command.result().returncode == 0, command.result().stderr
    assert same(lab, host, "/var/tmp/flood", "/var/tmp/got-by-alice")
    one = drills.session(lab, grant, drills.stored, within_s=ARRIVES_S)
    assert digest_of_export(lab, one["session_id"]) == digest(lab, host, "/var/tmp/flood")
    tell("agent killed 3 times in a flood", host, "exit 0", f"whole, {MEGABYTES} MB, same SHA-256")


@on_both
def test_a_host_that_loses_power_keeps_what_it_acknowledged(lab: Lab, host: str, tell: Tell) -> None:
    """The session is lost, and said to be; its recording goes as far as the last commit point at least."""
    grant = lab.elevate(host, role="recorded")
    script = "while :; do echo line $((n += 1)); sleep 0.05; done"
    with Seat(lab, host, "alice", "sudo", "-n", "sh", "-c", script) as seat:
        seat.type("", r"line 260\r\n")
        lab.cut(host)
        seat.type("", r"line 500\r\n")
        lab.reboot(host, power_cut=True)
    lab.heal(host)
    one = drills.session(
        lab, grant, lambda one: one["state"] == "lost" and one["recording"] != "arriving", within_s=ARRIVES_S
    )
    kept = drills.export(lab, one["session_id"], "raw").decode()
    number = kept.count("\n")
    assert kept == "".join(f"line {n}\r\n" for n in range(1, number + 1))
    assert (one["recording"], bool(one["incomplete"])) == ("incomplete", True)
    # Ten seconds between two commit points, twenty lines a second.
    assert number >= 250
    tell("power of the host", host, "gone", f"{one['recording']}, {number} of 500 lines")


def test_sessions_while_the_server_is_down_all_arrive(lab: Lab, tell: Tell) -> None:
    grant = lab.elevate("web1", role="recorded")
    lab.run("server", "systemctl", "stop", "jit-server")
    try:
        for number in range(20):
            got = lab.run("web1", "sudo", "-n", "seq", str(number), "2000", user="alice")
            assert got.endswith("2000\n")
    finally:
        lab.run("server", "systemctl", "start", "jit-server")
    drills.session(lab, grant, drills.stored, within_s=ARRIVES_S)
    found = drills.sessions(lab, "--grant", grant)
    assert [drills.stored(one) for one in found] == [True] * 20
    for one in found:
        first = int(one["argv"][1])
        wanted = "".join(f"{number}\n" for number in range(first, 2001))
        assert drills.export(lab, one["session_id"], "raw").decode() == wanted
    tell("server down during 20 sessions", "web1", "exit 0, all", "whole, all 20")


@pytest.mark.parametrize("loss", ["cable cut", "server killed"])
def test_an_upload_that_breaks_goes_on_where_it_was(lab: Lab, loss: str, tell: Tell) -> None:
    grant = lab.elevate("web1", role="recorded")
    lab.cut("web1")
    make = f"head -c {MEGABYTES}000000 /dev/urandom | tee /var/tmp/flood"
    lab.run("web1", "sh", "-c", f"sudo -n sh -c '{make}' >/dev/null", user="alice", timeout_s=120)
    before = int(lab.run("server", "du", "-sm", STORE).split()[0])
    lab.heal("web1")
    lab.run("server", "sh", "-c", f"until [ $(du -sm {STORE} | cut -f1) -gt {before + 20} ]; do :; done")
    if loss == "cable cut":
        lab.cut("web1")
    else:
        lab.run("server", "systemctl", "kill", "--signal", "KILL", "jit-server")
        lab.run("server", "sh", "-c", "sleep 0.2; until systemctl is-active -q jit-server; do sleep 0.1; done")
    there = int(lab.run("server", "du", "-sm", STORE).split()[0]) - before
    assert there < MEGABYTES - 10, "it was too late"
    lab.heal("web1")
    one = drills.session(lab, grant, drills.stored, within_s=ARRIVES_S)
    assert digest_of_export(lab, one["session_id"]) == digest(lab, "web1", "/var/tmp/flood")
    tell(f"{loss} after {there} of {MEGABYTES} MB of upload", "web1", "exit 0", "whole, same SHA-256")


@on_both
def test_no_room_for_a_recording_refuses_what_must_be_recorded(lab: Lab, host: str, tell: Tell) -> None:
    """ "A role with required recording and an agent that cannot record: sudo refuses, with a text that says so"."""
    lab.run(host, "rm", "-f", "/var/tmp/never")
    with small_disk(lab, host, megabytes=18):
        lab.elevate(host, role="recorded")
        refused = lab.exec(host, "sudo", "-n", "touch", "/var/tmp/never", user="alice")
        assert refused.returncode == 1
        assert "jit: " in refused.stderr
        assert "record" in refused.stderr
        assert lab.exec(host, "test", "-e", "/var/tmp/never").returncode == 1
        tell("no room, recording required", host, "refused, with the reason", "none")
        lab.run(host, "jit", "drop", "--all", user="alice")

        grant = lab.elevate(host, role="best-effort")
        assert lab.run(host, "sudo", "-n", "id", "-u", user="alice").strip() == "0"
        one = drills.session(lab, grant, lambda one: one["state"] == "ended" and one["recording"] == "incomplete")
        assert one["incomplete"]
        tell("no room, best effort", host, "exit 0", f"incomplete: {one['incomplete']}")


@on_both
def test_a_disk_that_fills_up_ends_what_must_be_recorded_and_marks_the_rest(lab: Lab, host: str, tell: Tell) -> None:
    # Two seconds in which a shell that were left alive would go on.
    endless = "head -c 400000000 /dev/urandom; sleep 2; echo over >/var/tmp/status"
    for role, runs_on in (("recorded", False), ("best-effort", True)):
        lab.run(host, "rm", "-f", "/var/tmp/status")
        with small_disk(lab, host, megabytes=96):
            grant = lab.elevate(host, role=role)
            lab.cut(host)
            with Seat(lab, host, "alice", "sh") as seat:
                command = f"sudo -n sh -c '{endless}' >/dev/null; status=$?; sleep 1; echo status $status"
                seat.type(f"{command}\n", r"status \d+\r\n", within_s=60)
                assert ("status 0" in seat.text()) is runs_on, seat.text()
            if not runs_on:
                assert "free for recordings" in seat.text()
                assert lab.exec(host, "pgrep", "-f", "[e]cho over").returncode == 1
            assert (lab.exec(host, "test", "-e", "/var/tmp/status").returncode == 0) is runs_on
            lab.heal(host)
            one = drills.session(lab, grant, lambda one: one["recording"] == "incomplete", within_s=ARRIVES_S)
            assert one["incomplete"]
            assert one["stored_bytes"] > 10_000_000
        what = "runs on, exit 0" if runs_on else "ended, with the reason"
        kept = f"incomplete, {one['stored_bytes'] // 1_000_000} MB: {one['incomplete']}"
        tell(f"disk full in the middle, {role}", host, what, kept)
        lab.run(host, "jit", "drop", "--all", user="alice")


@contextmanager
def small_disk(lab: Lab, host: str, *, megabytes: int) -> Iterator[None]:
    """The host's recordings are on a file system of their own, of which 16 MiB are to stay free."""
    place = "/etc/jit/agent.toml"
    settings = lab.run(host, "cat", place)
    lab.run(host, "systemctl", "stop", "jit-agent")
    options = f"size={megabytes}m,mode=0700,uid=jit-agent,gid=jit-agent"
    lab.run(host, "mount", "-t", "tmpfs", "-o", options, "tmpfs", RECORDINGS)
    reserve = 16 * 2**20
    lab.host(host).run("tee", place, stdin=f"{settings}record_reserve = {reserve}\n".encode())
    lab.run(host, "systemctl", "start", "jit-agent")
    try:
        yield
    finally:
        lab.heal(host)
        lab.run(host, "systemctl", "stop", "jit-agent")
        lab.run(host, "umount", RECORDINGS)
        lab.host(host).run("tee", place, stdin=settings.encode())
        lab.run(host, "systemctl", "start", "jit-agent")


def lines(end: str) -> str:
    return "".join(f"line {number}{end}" for number in range(1, LINES + 1))


def same(lab: Lab, host: str, one: str, other: str) -> bool:
    return digest(lab, host, one) == digest(lab, host, other)


def digest(lab: Lab, host: str, file: str) -> str:
    return lab.run(host, "sha256sum", file).split()[0]


def digest_of_export(lab: Lab, session_id: str) -> str:
    return hashlib.sha256(drills.export(lab, session_id, "raw")).hexdigest()
