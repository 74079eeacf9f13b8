"""What differs between Debian 12 (sudo 1.9.13p3, systemd 252) and 13 (1.9.16p2, 257) makes no difference to a grant.

web1 is of 12, web2 of 13: a test that runs on both says so by its parameter.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jit_testing import lab as labs
from jit_testing.lab import Lab
from lab import product
from lab.process import LabError

BOTH = pytest.mark.parametrize("host", ["web1", "web2"])
LOGINS = (["su", "-", "-c"], ["su", "-c"], ["sudo", "-n", "-i", "sh", "-c"], ["runuser", "-l", "root", "-c"])
IN_A_GRANT = re.compile(r"^0::/(user\.slice/user-1001|jit)\.slice/jit-gnt-[0-9a-z]{16}(-r\d+)?\.scope", re.MULTILINE)
# As cron, or a program that drops its rights, starts things: no PAM, so that logind hears of nobody.
UNTRACKED = ("setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "env", "HOME=/home/alice", "USER=alice")
LONG = "sleep 86397"


def in_time(holds: Callable[[], bool], within_s: float) -> bool:
    give_up = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > give_up:
            return False
    return True


def rules(lab: Lab, host: str) -> list[str]:
    return lab.run(host, "find", "/run/jit/sudoers.d", "-name", "gnt-*", "-size", "+0").split()


def put_sudoers(lab: Lab, host: str, text: str) -> None:
    lab.exec(host, "sh", "-c", "umask 227; cat >/etc/sudoers.d/aaa-test", stdin=text.encode())


@pytest.fixture(autouse=True)
def clean(lab: Lab) -> Iterator[None]:
    """No grant lives before or after, and the hosts' own rules are the distribution's."""

    def clear() -> None:
        for host in ("web1", "web2"):
            lab.run(host, "rm", "-f", "/etc/sudoers.d/aaa-test")
            for person in ("alice", "bob"):
                lab.exec(host, "jit", "drop", "--all", user=person)

    clear()
    yield
    clear()


@pytest.mark.parametrize(
    ("host", "release", "sudo", "python"), [("web1", "12", "1.9.13p3", "3.11"), ("web2", "13", "1.9.16p2", "3.13")]
)
def test_each_host_runs_its_own_release(lab: Lab, host: str, release: str, sudo: str, python: str) -> None:
    """Or everything else here would prove nothing."""
    assert f'VERSION_ID="{release}"' in lab.run(host, "cat", "/etc/os-release")
    assert f"Sudo version {sudo}\n" in lab.run(host, "sudo", "-V")
    pid = lab.run(host, "systemctl", "show", "-p", "MainPID", "--value", "jit-agent").strip()
    assert lab.run(host, "readlink", "-f", f"/proc/{pid}/exe").strip() == f"/usr/bin/python{python}"
    shown = {one["name"]: one for one in json.loads(lab.jitctl("hosts", "ls", "-o", "json", user="admin"))}
    assert (shown[host]["sudo_version"], shown[host]["problems"]) == (sudo, [])


@BOTH
@pytest.mark.parametrize("tracked", [True, False], ids=["logged in", "not logged in"])
def test_a_login_inside_a_grant_stays_in_its_scope(lab: Lab, host: str, tracked: bool) -> None:
    """REVIEW 1: a session of its own would outlive the grant; systemd 257 makes one where 252 did not."""
    if tracked:
        lab.elevate(host)
    else:
        log_out(lab, host)
        elevate_untracked(lab, host)
    for login in LOGINS:
        words = ("sudo", "-n", *login, "cat /proc/self/cgroup")
        said = lab.run(host, *words, user="alice") if tracked else lab.run(host, *UNTRACKED, *words)
        found = IN_A_GRANT.search(said)
        assert found, (login, said)
        assert (found[1] == "jit") is not tracked


def log_out(lab: Lab, host: str) -> None:
    lab.exec(host, "loginctl", "terminate-user", "alice")
    gone = ("test", "!", "-e", "/sys/fs/cgroup/user.slice/user-1001.slice")
    assert in_time(lambda: lab.exec(host, *gone).returncode == 0, 20)


def elevate_untracked(lab: Lab, host: str) -> None:
    asked = lab.exec(host, *UNTRACKED, "jit", "request", "drill-admin", "-d", "5m", "-m", "a test", "--no-wait")
    lab.jitctl("requests", "approve", asked.stdout.strip(), user="carol")
    lab.run(host, *UNTRACKED, "jit", "status", "-w", asked.stdout.strip())


@BOTH
def test_the_rule_alone_stops_sudo_on_time(lab: Lab, host: str) -> None:
    """DESIGN 3: NOTAFTER as we write it, without gate, enforcer or scope; here in a rule of the host's own for bob."""
    lab.elevate(host, role="drill-operator")
    (rule,) = rules(lab, host)
    ours = lab.run(host, "cat", rule)
    lab.exec(host, "jit", "drop", "--all", user="alice")
    end = datetime.now(UTC) + timedelta(seconds=4)
    alone, count = re.subn(r"^#1001 (.*) NOTAFTER=\d{14}Z ", rf"#1002 \1 NOTAFTER={end:%Y%m%d%H%M%SZ} ", ours)
    assert count == 1
    put_sudoers(lab, host, alone)
    assert lab.run(host, "sudo", "-n", "id", user="bob").startswith("uid=0(root)")
    assert in_time(lambda: lab.exec(host, "sudo", "-n", "id", user="bob").returncode == 1, 8)
    # sudo lets the whole of the second pass that NOTAFTER names.
    assert datetime.now(UTC) >= end.replace(microsecond=0)


@pytest.mark.parametrize("host", ["web1"])
def test_pid_1_alone_ends_what_runs(lab: Lab, host: str) -> None:
    """DESIGN 3: with agent and enforcer frozen, the scope's own limit (on 13: test_independent_ends)."""
    lab.elevate(host, lasts="12s")
    ends = time.monotonic() + 12
    start = f"setsid sudo -n {LONG} >/dev/null 2>&1 & until pgrep -xf '{LONG}'; do :; done"
    lab.run(host, "sh", "-c", start, user="alice")
    lab.run(host, "systemctl", "kill", "--signal=STOP", "jit-enforcer", "jit-agent")
    try:
        assert in_time(lambda: lab.exec(host, "pgrep", "-xf", LONG).returncode == 1, 20)
        assert time.monotonic() < ends + 2
        assert rules(lab, host), "the enforcer was not frozen"
    finally:
        lab.run(host, "systemctl", "kill", "--signal=CONT", "jit-enforcer", "jit-agent")
    assert in_time(lambda: not rules(lab, host), 5)


@BOTH
def test_a_remembered_password_serves_neither_the_grant_nor_what_comes_after(lab: Lab, host: str) -> None:
    """sudo names its tickets after the person up to 1.9.14, after the uid since."""
    put_sudoers(lab, host, "Defaults:bob timestamp_type=global\nbob ALL=(ALL) ALL\n")

    def with_password() -> str:
        words = ("sudo", "-S", "-p", "", "ls", "-A", "/run/sudo/ts")
        return lab.exec(host, *words, user="bob", stdin=b"bob-lab\n").stdout.strip()

    assert with_password() == ("bob" if host == "web1" else "1002")
    assert lab.exec(host, "sudo", "-n", "true", user="bob").returncode == 0
    lab.elevate(host, user="bob", role="drill-operator")
    lab.exec(host, "jit", "drop", "--all", user="bob")
    asked = lab.exec(host, "sudo", "-n", "true", user="bob")
    assert (asked.returncode, "a password is required" in asked.stderr) == (1, True)


@pytest.fixture(scope="module")
def new_server(packages: Path, lab_name: str) -> Iterator[Lab]:
    """A server of Debian 13 with its people, who have logged in with passwords already."""
    made = labs.up(f"{lab_name}s", ["server:13"], packages)
    try:
        yield made
    finally:
        labs.down(made)


def log_in(lab: Lab, person: str, password: str, code: str) -> int:
    words = ("jitctl", "login", "--user", person, "--password-stdin", "--otp", code)
    return lab.exec("server", *words, user=person, stdin=f"{password}\n".encode()).returncode


def test_a_server_of_debian_13_checks_passwords(new_server: Lab) -> None:
    """Since Linux-PAM 1.6 a helper program reads the password file, even for who may read it."""
    code = new_server.otp("dave")
    assert log_in(new_server, "dave", "wrong", code) == 4
    assert log_in(new_server, "dave", product.password("dave"), code) == 0
    assert "dave" in new_server.jitctl("whoami", user="dave")


def test_the_first_password_after_a_start_is_checked_like_any_other(new_server: Lab) -> None:
    """PAM's helper is forked from a process of gRPC's threads: it must not run gRPC's hooks, in which it can crash."""
    for _ in range(6):
        new_server.run("server", "systemctl", "restart", "jit-server")
        # Right or wrong the code is refused; whether the password was looked at is in the journal.
        log_in(new_server, "carol", product.password("carol"), "000000")
    journal = new_server.run(
        "server", "journalctl", "--no-pager", "--boot", "-o", "cat", "_COMM=python", "_COMM=jit-server"
    )
    assert "unix_chkpwd" not in journal
    assert "authentication failure; logname= uid=" in journal, "the wrong password of the test before must show"
    assert journal.count("authentication failure") == 1


def test_a_host_cannot_be_of_a_release_nobody_has(lab_name: str) -> None:
    with pytest.raises(LabError, match="there are 12, 13"):
        labs.up(f"{lab_name}x", ["web1:11"], None)
