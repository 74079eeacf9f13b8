"""A file of the host that would weaken what grants need stops them, and is named with its line (DESIGN 5, S1, S5)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from jit_testing.lab import Lab

# Debian 12 and 13.
HOSTS = ("web1", "web2")
# Text of a file, and what is said of it.
WEAKENING = {
    "zzzz-later": ("# ours\n\nDefaults ignore_logfile_errors\n", "/etc/sudoers.d/zzzz-later:3 comes after the rules"),
    "zzzz-rule": ("alice ALL=(ALL) \\\n  NOPASSWD: ALL\n", "/etc/sudoers.d/zzzz-rule:1 comes after the rules"),
    "zzzz-uid": ("#1001 ALL=(ALL) NOPASSWD: ALL\n", "/etc/sudoers.d/zzzz-uid:1 comes after the rules"),
    "aaa-bound": (
        "Defaults env_reset\nDefaults>root !log_output\n",
        "Defaults in /etc/sudoers.d/aaa-bound:2 change log_output",
    ),
    "aaa-command": (
        "Defaults!/usr/bin/id ignore_logfile_errors\n",
        "Defaults in /etc/sudoers.d/aaa-command:1 change ignore_logfile_errors",
    ),
    "aaa-list": ("Defaults log_servers+=192.0.2.1\n", "Defaults in /etc/sudoers.d/aaa-list:1 add to log_servers"),
    "aaa-nonsense": ("nonsense ALL=\n", "/etc/sudoers.d/aaa-nonsense:1"),
}
HARMLESS = {
    "zzzz-comment": "# nothing\n",
    "zzzz.bak": "Defaults ignore_logfile_errors\n",
    "aaa": "Defaults !log_output\n",
}


def put(lab: Lab, host: str, name: str, text: str) -> None:
    lab.exec(host, "sh", "-c", f"umask 227; cat >/etc/sudoers.d/{name}", stdin=text.encode())


def enforcement(lab: Lab, host: str) -> str:
    checks = json.loads(lab.exec(host, "jit", "doctor", "-o", "json", user="alice").stdout)["checks"]
    return str(next(check["detail"] for check in checks if check["name"] == "enforcement"))


@pytest.fixture(autouse=True)
def clean(lab: Lab) -> Iterator[None]:
    yield
    for host in HOSTS:
        lab.run(host, "sh", "-c", "cd /etc/sudoers.d && ls | grep -vx -e README -e zzz-jit | xargs -r rm")
        lab.exec(host, "jit", "drop", "--all", user="alice")


@pytest.mark.parametrize("host", HOSTS)
def test_what_weakens_ours_is_named_before_anybody_asks(lab: Lab, host: str) -> None:
    for name, (text, said) in WEAKENING.items():
        put(lab, host, name, text)
        assert said in enforcement(lab, host)
        lab.run(host, "rm", f"/etc/sudoers.d/{name}")
        assert "can enforce grants" in enforcement(lab, host)
    for name, text in HARMLESS.items():
        put(lab, host, name, text)
        assert "can enforce grants" in enforcement(lab, host), name


@pytest.mark.parametrize("host", HOSTS)
def test_a_line_after_the_include_in_the_main_file_is_named(lab: Lab, host: str) -> None:
    lines = len(lab.run(host, "cat", "/etc/sudoers").split("\n"))
    lab.run(host, "sh", "-c", "cp -p /etc/sudoers /var/tmp/kept; echo 'Defaults !use_pty' >>/etc/sudoers")
    try:
        assert f"/etc/sudoers:{lines} comes after the rules" in enforcement(lab, host)
    finally:
        lab.run(host, "mv", "/var/tmp/kept", "/etc/sudoers")
    assert "can enforce grants" in enforcement(lab, host)


@pytest.mark.parametrize("host", HOSTS)
def test_planted_under_a_live_grant_it_ends_the_grant(lab: Lab, host: str) -> None:
    """What runs under weaker settings would escape the gate: they are watched, not only checked when written."""
    grant = lab.elevate(host)
    put(lab, host, "zzzz-comment", HARMLESS["zzzz-comment"])
    assert lab.run(host, "sudo", "-n", "id", "-u", user="alice").strip() == "0"
    put(lab, host, "zzzz-later", WEAKENING["zzzz-later"][0])
    give_up = time.monotonic() + 3
    while lab.exec(host, "sh", "-c", "find /run/jit/sudoers.d -type f -size +0 | grep -q .").returncode == 0:
        assert time.monotonic() < give_up
    assert lab.exec(host, "sudo", "-n", "id", user="alice").returncode == 1
    assert f"All grants end: {WEAKENING['zzzz-later'][1]}" in lab.run(
        host, "journalctl", "-u", "jit-enforcer", "-n", "20"
    )
    give_up = time.monotonic() + 20
    words = ["audit", "ls", "--grant", grant, "--kind", "grant.ended", "-o", "jsonl"]
    while '"stopped"' not in lab.jitctl(*words, user="dave"):
        assert time.monotonic() < give_up
