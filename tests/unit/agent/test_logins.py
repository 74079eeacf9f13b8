"""How somebody came onto the host: the word of kernel and logind, and nothing of theirs (S11)."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from jit_agent import logins
from jit_agent.logins import SessionRecord, described, has_terminal, session_of_cgroup
from jit_agent.model import Arrival

INIT = "0::/init.scope\n"
IN_SESSION = "0::/user.slice/user-1001.slice/session-7.scope\n"
SSH = SessionRecord(1001, "active", "sshd", "10.1.2.3")
TERMINAL = "42 (bash) S 1 42 42 34816 42 4194304"
NO_TERMINAL = "42 (bash) S 1 42 42 0 -1 4194304"


def test_a_process_belongs_to_the_session_whose_scope_it_is_in() -> None:
    assert session_of_cgroup(1001, IN_SESSION, INIT) == "7"
    assert (
        session_of_cgroup(1001, "1:name=systemd:/x\n0::/user.slice/user-1001.slice/session-c2.scope/sub\n", INIT)
        == "c2"
    )
    nested = "0::/machine.slice/web1"
    assert session_of_cgroup(1001, f"{nested}{IN_SESSION[3:]}", f"{nested}/init.scope\n") == "7"


@pytest.mark.parametrize(
    "cgroup",
    [
        "",
        "0::/\n",
        "0::/system.slice/cron.service\n",
        "0::/user.slice/user-1001.slice/user@1001.service/app.slice/run-1.service\n",
        # Below their own service manager people name cgroups as they like.
        "0::/user.slice/user-1001.slice/user@1001.service/user.slice/user-1001.slice/session-7.scope\n",
        "0::/user.slice/user-1002.slice/session-7.scope\n",
        "0::/user.slice/user-1001.slice/session-../7.scope\n",
        "0::/user.slice/user-1001.slice/session-7.scope.evil\n",
        "1:name=systemd:/user.slice/user-1001.slice/session-7.scope\n",
    ],
)
def test_a_process_outside_of_any_session_of_its_person_belongs_to_none(cgroup: str) -> None:
    assert session_of_cgroup(1001, cgroup, INIT) is None


def test_nothing_is_believed_where_the_first_process_cannot_be_placed() -> None:
    assert session_of_cgroup(1001, IN_SESSION, "") is None


@pytest.mark.parametrize(
    ("record", "kind", "source"),
    [
        (SSH, "ssh", "10.1.2.3"),
        (replace(SSH, remote_host="2001:db8::1"), "ssh", "2001:db8::1"),
        (replace(SSH, remote_host="fe80::1%eth0"), "ssh", "fe80::1%eth0"),
        (replace(SSH, state="online", service="sshd-session"), "ssh", "10.1.2.3"),
        # What a reverse lookup said of the address is the word of whoever owns it.
        (replace(SSH, remote_host="trusted.example.org"), "ssh", ""),
        (replace(SSH, remote_host="10.0.0.1 or so"), "ssh", ""),
        (replace(SSH, service="login", remote_host=""), "console", ""),
        (replace(SSH, service="gdm-password", remote_host=""), "console", ""),
        # telnetd's login is none at the machine itself.
        (replace(SSH, service="login"), "other", "10.1.2.3"),
        (replace(SSH, service="cron", remote_host=""), "other", ""),
        # su can be started by anybody, with any environment, so it is never a console.
        (replace(SSH, service="su-l", remote_host=""), "other", ""),
    ],
)
def test_the_kind_of_a_login_is_that_of_the_program_that_opened_the_session(
    record: SessionRecord, kind: str, source: str
) -> None:
    assert described(1001, record, TERMINAL) == Arrival(kind, source, terminal=True)


@pytest.mark.parametrize(
    "record", [None, replace(SSH, uid=1002), replace(SSH, state="closing"), replace(SSH, state=""), replace(SSH, uid=0)]
)
def test_a_session_that_is_gone_over_or_another_persons_says_nothing(record: SessionRecord | None) -> None:
    """A terminal multiplexer that outlived its login is in a session that is closing."""
    assert described(1001, record, TERMINAL) == Arrival("unknown", "", terminal=False)


@pytest.mark.parametrize(
    ("stat", "there"),
    [
        (TERMINAL, True),
        (NO_TERMINAL, False),
        ("42 (a) S 1 34816) S 1 42 42 0 -1", False),
        ("42 ((sd-pam)) S 1 42 42 -1 -1", True),
        ("", False),
        ("42 (bash) S 1", False),
    ],
)
def test_a_terminal_is_what_the_kernel_says_it_is(stat: str, there: bool) -> None:
    assert has_terminal(stat) is there


def test_the_kernels_word_is_read_rightly_of_a_process_with_and_without_a_terminal() -> None:
    code = "import sys; print(open('/proc/self/stat').read())"
    bare = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, start_new_session=True
    )
    assert not has_terminal(bare.stdout)
    master, slave = os.openpty()
    try:
        seated = (
            "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
            "sys.stderr.write(open('/proc/self/stat').read())"
        )
        there = subprocess.run(
            [sys.executable, "-c", seated], check=True, stdin=slave, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(master)
        os.close(slave)
    assert has_terminal(there.stderr)


def test_a_session_that_logind_does_not_know_has_no_record() -> None:
    assert logins.logind_record("no such session") is None
    assert logins.logind_record("999999") is None


def test_a_process_of_no_session_came_in_an_unknown_way_whatever_its_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = tmp_path / "cgroup"
    first.write_text(INIT)
    monkeypatch.setattr(logins, "_FIRST_PROCESS", first)
    monkeypatch.setattr(logins, "logind_record", {"7": SSH}.get)
    monkeypatch.setenv("SSH_CONNECTION", "10.9.9.9 1 10.9.9.1 22")
    monkeypatch.setenv("SSH_CLIENT", "10.9.9.9 1 22")
    assert logins.arrival(1001, IN_SESSION, TERMINAL) == Arrival("ssh", "10.1.2.3", terminal=True)
    assert logins.arrival(1001, "0::/system.slice/cron.service\n", TERMINAL) == Arrival()
    first.unlink()
    assert logins.arrival(1001, IN_SESSION, TERMINAL) == Arrival()
