"""Attacks with a name (SECURITY.md), each beside what the same hands may do: after its time nothing of a grant is left.

Lab hosts share the machine's clock and may not set it, so `date -s` by another root is shown with `faults/clock.c`:
sudo, enforcer and agent take their time from it, PID 1 and the kernel's timers do not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from faults import host_faults
from faults.life import Life, now
from faults.rig import Rig, wait_for
from faults.server import Server
from jit_testing.lab import Lab

HOST = "web2"
REFUSED = "a password is required"
ASK = """
import json, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as enforcer:
    enforcer.connect("/run/jit/enforcer.sock")
    enforcer.send(json.dumps({"op": "apply", "grant": sys.argv[1]}).encode())
    print(enforcer.recv(65536).decode())
"""


@pytest.fixture(autouse=True)
def nothing_left_over(lab: Lab) -> None:
    lab.exec(HOST, "jit", "drop", "--all", user="alice")


@pytest.fixture(scope="module")
def rig(lab: Lab) -> Iterator[Rig]:
    """web2 with its programs under the launcher."""
    rig = Rig(lab, HOST, ("enforcer", "agent"))
    lab.jitctl("whoami", user="carol")
    rig.install()
    yield rig
    rig.uninstall()


@pytest.fixture
def life(rig: Rig) -> Iterator[Life]:
    """A grant to come, of ten seconds."""
    life = Life(rig, Server(Rig(rig.lab, "server", ("server",))), 10)
    yield life
    life.session.close()


def until_the_end(life: Life) -> None:
    wait_for("the end", lambda: now() > life.ends_at)


def wait_until_sudo_works(lab: Lab) -> None:
    give_up = time.monotonic() + 30
    while lab.exec(HOST, "sudo", "-n", "true", user="alice").returncode:
        assert time.monotonic() < give_up


# --- a sudo that waits at its prompt while the grant ends ---


@pytest.mark.parametrize("answered", ["in time", "after the end"])
@pytest.mark.parametrize("disabled", [("nopasswd",), ("nopasswd", "kill", "removal", "notafter")])
def test_a_sudo_held_at_its_password_prompt_runs_in_time_and_never_after_the_end(
    rig: Rig, life: Life, disabled: tuple[str, ...], answered: str
) -> None:
    """T7: our rules ask for no password; these are bent to.  The end kills such a sudo, or else the gate stops it."""
    with rig.without(*disabled):
        life.elevate()
        alice = rig.lab.terminal(HOST, "sudo", "sh", "-c", "echo ran as $(id -u)", user="alice")
        alice.expect("password for alice")
        if answered == "after the end":
            until_the_end(life)
        alice.sendline("alice-lab")
        alice.expect(pexpect.EOF)
        assert ("ran as 0" in alice.before) == (answered == "in time")
        alice.close()


def test_a_grant_asks_for_no_password_that_could_be_held_back(rig: Rig, life: Life) -> None:
    before = rig.lab.exec(HOST, "sudo", "-k", "-S", "id", "-u", user="alice", stdin=b"")
    assert "password for alice" in before.stderr
    life.elevate()
    assert rig.lab.exec(HOST, "sudo", "-k", "-S", "id", "-u", user="alice", stdin=b"").stdout.strip() == "0"


# --- a password that sudo remembers ---


@pytest.fixture
def own_rule(lab: Lab) -> Iterator[None]:
    """The host lets alice run one program by her password, without us."""
    rule = "/etc/sudoers.d/10-alice"
    lab.run(HOST, "sh", "-c", f"echo 'alice ALL=(root) /usr/bin/id' >{rule}; chmod 440 {rule}; visudo -cf {rule}")
    yield
    lab.run(HOST, "rm", rule)


@pytest.mark.usefixtures("own_rule")
@pytest.mark.parametrize("elevated", [False, True])
def test_a_remembered_password_outlives_everything_but_a_grant(lab: Lab, elevated: bool) -> None:
    """T8: a ticket from before a grant must not serve what comes after it."""
    alice = lab.terminal(HOST, "bash", "--norc", user="alice")
    alice.sendline("sudo id -u && echo first=$?")
    alice.expect("password for alice")
    alice.sendline("alice-lab")
    alice.expect("first=0\r\n")
    alice.sendline("sudo -n id -u; echo second=$?")
    alice.expect("second=0\r\n")
    if elevated:
        lab.elevate(HOST, lasts="1m")
        lab.run(HOST, "jit", "drop", "--all", user="alice")
    alice.sendline("sudo -n id -u; echo third=$?")
    alice.expect(r"third=(\d)\r\n")
    assert alice.match.group(1) == ("1" if elevated else "0")
    alice.close()


# --- the bytes of a grant, once more ---


def test_the_bytes_of_a_grant_are_worth_nothing_after_a_reboot_and_new_ones_are(lab: Lab) -> None:
    """T9: whoever has the signed bytes has nothing on the next boot; only what the server signs for it counts."""
    grant = lab.elevate(HOST, lasts="2m")
    envelope = json.loads(lab.run(HOST, "cat", f"/var/lib/jit-enforcer/{grant}.json"))["envelope"]

    def replay() -> dict[str, object]:
        answer: dict[str, object] = json.loads(lab.run(HOST, "python3", "-c", ASK, envelope))
        return answer

    assert replay()["ok"] is True  # while it lives it is the same once more
    lab.cut(HOST)
    try:
        lab.reboot(HOST, power_cut=True)
        assert replay()["error"] == "replayed"
        # Nor where the host has forgotten that it had them.
        lab.run(HOST, "sh", "-c", f"rm /var/lib/jit-enforcer/{grant}.json; systemctl restart jit-enforcer")
        assert replay()["error"] == "wrong_boot"
        assert REFUSED in lab.exec(HOST, "sudo", "-n", "id", user="alice").stderr
    finally:
        lab.heal(HOST)
    wait_until_sudo_works(lab)
    lab.run(HOST, "jit", "drop", "--all", user="alice")
    assert replay()["ok"] is False
    assert REFUSED in lab.exec(HOST, "sudo", "-n", "id", user="alice").stderr


# --- another root sets the clock ---


def test_a_clock_set_back_by_another_root_gains_no_time(rig: Rig, life: Life) -> None:
    """T1: the host's programs see the hour again, and the grant ends on the second."""
    with host_faults.steppable_clock(rig) as clock:
        life.begin()
        with life.watched_end():
            clock.step(wall_s=-3600)
            stepped = now()
            assert abs(float(rig.sh("date +%s")) - (time.time() - 3600)) < 5
        assert any(run.ran for run in life.runs if run.began > stepped)
        assert max(run.ran for run in life.runs if run.ran is not None) < life.ends_at
        assert max(life.watched["died"].values()) < life.ends_at + 0.5


def test_a_clock_set_forward_by_another_root_ends_a_grant_at_once(rig: Rig, life: Life) -> None:
    with host_faults.steppable_clock(rig) as clock:
        life.begin()
        with life.watched_end(foreseen=False):
            clock.step(wall_s=3600)
            stepped = now()
        assert max(run.ran for run in life.runs if run.ran is not None) < stepped + 0.5
        assert max(life.watched["died"].values()) < stepped + 0.5


# --- two grants of one person ---


def test_of_two_overlapping_grants_the_end_of_one_takes_nothing_from_the_other(lab: Lab) -> None:
    """S3: they add up; and after the second nothing is left."""
    admin = lab.elevate(HOST, lasts="5m")
    operator = lab.elevate(HOST, role="drill-operator", lasts="5m")
    lab.run(HOST, "jit", "drop", admin, user="alice")
    assert "uid=0" in lab.run(HOST, "sudo", "-n", "id", user="alice")
    assert lab.exec(HOST, "sudo", "-n", "cat", "/etc/shadow", user="alice").returncode == 1
    again = lab.elevate(HOST, lasts="5m")
    lab.run(HOST, "jit", "drop", operator, user="alice")
    assert lab.run(HOST, "sudo", "-n", "head", "-c", "5", "/etc/shadow", user="alice") == "root:"
    lab.run(HOST, "jit", "drop", again, user="alice")
    assert REFUSED in lab.exec(HOST, "sudo", "-n", "id", user="alice").stderr


# --- no room on any disk when the time is over ---


def test_with_every_disk_full_nothing_new_is_recorded_so_nothing_runs_and_the_end_holds(rig: Rig, life: Life) -> None:
    """T12: rights go without room; what cannot be recorded does not start (S5, S6)."""
    disks: tuple[host_faults.Disk, ...] = ("/run/jit", "/var/lib/jit-enforcer", "/var/lib/jit-agent")
    with host_faults.small_disks(rig):
        life.begin()
        with life.watched_end(), host_faults.full(rig, *disks):
            wait_for("the end", lambda: now() > life.ends_at + 0.7)
            assert life.grant not in rig.look()["rules"]
        assert max(run.ran for run in life.runs if run.ran is not None) < life.ends_at
        assert max(life.watched["died"].values()) < life.ends_at + 0.5
        wait_for("the server's word", lambda: life.of_server().get("state") == "ended")


def test_with_room_again_the_host_takes_grants_as_before(rig: Rig, life: Life) -> None:
    with host_faults.small_disks(rig):
        with host_faults.full(rig, "/var/lib/jit-enforcer"):
            assert Path(rig.path("/var/lib/jit-enforcer/.filling")).stat().st_size > 1_000_000
        life.begin()
