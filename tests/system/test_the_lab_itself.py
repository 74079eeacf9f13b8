"""Labs do not disturb each other, and nothing of a lab is left, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jit_testing import lab as labs
from lab import cgroup
from lab.places import NAMESPACES, PROPAGATE, Places
from lab.process import LabError

# Datagrams to a port where nobody listens are counted by the receiving kernel (SNMP "Udp: NoPorts").
SEND_UDP = "import socket, sys; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', (sys.argv[1], 9))"
COUNT_UDP = "print([line.split()[2] for line in open('/proc/net/snmp') if line.startswith('Udp:')][1])"
TESTS = Path(__file__).parents[1]
LAB = TESTS / "lab" / "lab"
WANT_THE_TABLE = """
import pathlib, sys
log, tests = map(pathlib.Path, sys.argv[1:])
sys.path.insert(0, str(tests))
from faults import run
with run.whole_table(log) as player:
    player.wait()
"""


def traces(places: Places) -> list[str]:
    """Everything on the outer machine that carries the lab's name."""
    named = [*NAMESPACES.glob(f"jit.{places.name}*"), *PROPAGATE.glob(f"jit.{places.name}.*")]
    named += [path for path in (places.run, places.disks, places.cgroup) if path.exists()]
    named += Path("/sys/fs/cgroup").glob(f"*/jit-lab/{places.name}")
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if f"/{places.name}/" in line]
    commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    processes = [line for line in commands if f"jit.{places.name}." in line]
    return [*map(str, named), *mounts, *processes]


@pytest.fixture
def places(lab_name: str) -> Iterator[Places]:
    """Names for a lab that a test starts itself; ended whatever the test did."""
    places = Places(f"{lab_name}2")
    yield places
    lab(places, "down")


def lab(places: Places, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LAB, "--name", places.name, *words], capture_output=True, text=True, check=False, timeout=100
    )


def test_a_lab_leaves_nothing_and_changes_nothing_outside(places: Places) -> None:
    def outside() -> list[str]:
        words = (["ip", "address"], ["ip", "route"], ["ip", "link"], ["cat", "/etc/hosts", "/etc/resolv.conf"])
        return [subprocess.run(command, capture_output=True, text=True, check=True).stdout for command in words]

    before = outside()
    assert lab(places, "up", "--bare", "--hosts", "web1,web2").returncode == 0
    assert traces(places)
    assert outside() == before
    assert lab(places, "down").returncode == 0
    assert traces(places) == []
    assert outside() == before


def test_ending_a_lab_that_is_not_there_is_no_error(places: Places) -> None:
    assert lab(places, "down").returncode == 0
    assert lab(places, "down").returncode == 0


def test_two_labs_do_not_disturb_each_other(places: Places, lab_name: str) -> None:
    other = labs.up(f"{lab_name}3", ["web1", "web2"], None)
    try:
        assert lab(places, "up", "--bare", "--hosts", "web1,web2").returncode == 0
        lab(places, "exec", "web1", "--", "sh", "-c", "echo ours >/root/mark")
        with pytest.raises(LabError):
            other.run("web1", "cat", "/root/mark")
        # Same names, same addresses, another network.
        other.cut("web2")
        assert lab(places, "exec", "web1", "--", "ping", "-c1", "-W2", "web2").returncode == 0
        assert other.exec("web1", "ping", "-c1", "-W1", "web2").returncode != 0
        assert lab(places, "down").returncode == 0
        assert other.run("web1", "hostname").strip() == "web1"
    finally:
        labs.down(other)


def test_hosts_that_were_killed_are_cleaned_up(places: Places) -> None:
    assert lab(places, "up", "--bare", "--hosts", "web1,web2").returncode == 0
    # The first member of a supervisor's cgroup is the systemd-nspawn of that host.
    os.kill(cgroup.members(places.cgroup / "web1" / "supervisor")[0], signal.SIGKILL)
    assert lab(places, "down").returncode == 0
    assert traces(places) == []


def test_a_lab_whose_start_was_killed_is_cleaned_up(places: Places) -> None:
    with subprocess.Popen([LAB, "--name", places.name, "up", "--bare", "--hosts", "web1,web2"]) as starting:
        while not cgroup.members(places.cgroup):
            assert starting.poll() is None
        starting.kill()
    assert lab(places, "up", "--bare", "--hosts", "web1").returncode == 1
    assert lab(places, "down").returncode == 0
    assert traces(places) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_fault_table_goes_with_the_run_that_wanted_it(lab_name: str, tmp_path: Path, how: signal.Signals) -> None:
    name, log = f"{lab_name}4", tmp_path / "log"
    both = [Places(f"{name}-f"), Places(f"{name}-fs")]
    words = [sys.executable, "-c", WANT_THE_TABLE, str(log), str(TESTS)]
    with subprocess.Popen(words, env=os.environ | {"JIT_LAB": name}) as wanting:
        while not all(cgroup.members(places.cgroup) for places in both):
            assert wanting.poll() is None
        wanting.send_signal(how)
    give_up = time.monotonic() + 60
    while left := [trace for places in both for trace in traces(places)]:
        assert time.monotonic() < give_up, (left, log.read_text())


def test_a_command_on_a_host_is_run_by_a_person_who_is_logged_in(places: Places) -> None:
    assert lab(places, "up", "--bare", "--hosts", "web1").returncode == 0
    lab(places, "exec", "web1", "--", "useradd", "--create-home", "alice")
    done = lab(places, "exec", "web1", "-u", "alice", "--", "sh", "-c", "id -un; pwd; cat /proc/self/cgroup; exit 7")
    name, home, *groups = done.stdout.split()
    assert (done.returncode, name, home) == (7, "alice", "/home/alice")
    # logind knows the session, as after a login at the console.
    assert groups[-1].startswith("0::/user.slice/user-1000.slice/session-")


def test_files_and_folders_arrive_whole(places: Places, tmp_path: Path) -> None:
    assert lab(places, "up", "--bare", "--hosts", "web1").returncode == 0
    content = bytes(range(256)) * 1000
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(content)
    (folder / "file").chmod(0o751)
    assert lab(places, "put", "web1", str(folder), "/srv/there").returncode == 0
    assert lab(places, "put", "web1", str(folder / "file"), "/tmp/renamed").returncode == 0
    said = lab(places, "exec", "web1", "--", "stat", "-c", "%a %s %U", "/srv/there/file", "/tmp/renamed").stdout
    assert said.splitlines() == [f"751 {len(content)} root"] * 2


@pytest.mark.parametrize("direction", ["in", "out", "both"])
def test_what_is_cut_is_lost_until_it_is_healed(places: Places, direction: str) -> None:
    def told() -> str:
        """Which way to and from web2 is lost, by a packet each way that wants no answer."""
        arrives = []
        for sender, receiver in (("web1", "web2"), ("web2", "web1")):
            count = ["python3", "-c", COUNT_UDP]
            before = int(lab(places, "exec", receiver, "--", *count).stdout)
            lab(places, "exec", sender, "--", "python3", "-c", SEND_UDP, receiver)
            arrives.append(int(lab(places, "exec", receiver, "--", *count).stdout) > before)
        names = {(True, True): "none", (False, True): "in", (True, False): "out", (False, False): "both"}
        return names[arrives[0], arrives[1]]

    assert lab(places, "up", "--bare", "--hosts", "web1,web2").returncode == 0
    assert told() == "none"
    words = [] if direction == "both" else ["--only", direction]
    assert lab(places, "cut", "web2", *words).returncode == 0
    assert told() == direction
    assert "cable cut" in lab(places, "status").stdout
    assert lab(places, "heal", "web2").returncode == 0
    assert told() == "none"
    assert "cable cut" not in lab(places, "status").stdout
