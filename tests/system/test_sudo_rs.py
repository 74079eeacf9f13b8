"""A host whose sudo is not the one that can enforce grants: sudo-rs, one too old, none at all (DESIGN 5, S1, S6).

web2 is of Debian 13, which packages sudo-rs beside the original; the tests make it /usr/bin/sudo as a site would.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from jit_testing.lab import Lab

HOST = "web2"
DIVERT = "dpkg-divert --local --rename --divert /usr/bin/sudo.ws"
PUT_IN_PLACE = {
    "sudo-rs": "ln -s /usr/lib/cargo/bin/sudo /usr/bin/sudo",
    "an old sudo": "printf '#!/bin/sh\\necho Sudo version 1.9.9\\n' >/usr/bin/sudo; chmod 4755 /usr/bin/sudo",
    "no sudo": "true",
}
PROBLEM = {
    "sudo-rs": "this host's sudo is sudo-rs, which knows neither NOTAFTER nor log servers",
    "an old sudo": "sudo 1.9.9 is too old: 1.9.12 or newer is needed",
    "no sudo": "sudo is not installed",
}
ENFORCEABLE = "sudo, include line and systemd can enforce grants"
RULES = "find /run/jit/sudoers.d -type f -size +0"
PROVED = {"reason": "stopped", "scope_empty": True, "rule_removed": True}


def swap(lab: Lab, sudo: str) -> None:
    """Put another program in sudo's place, under everything that runs."""
    lab.run(HOST, "sh", "-ec", f"{DIVERT} --add /usr/bin/sudo; {PUT_IN_PLACE[sudo]}")


def swap_back(lab: Lab) -> None:
    back = f"rm -f /usr/bin/sudo; {DIVERT} --remove /usr/bin/sudo"
    lab.run(HOST, "sh", "-ec", f"if [ -e /usr/bin/sudo.ws ]; then {back}; fi")


def in_time(holds: Callable[[], bool], within_s: float = 3.0) -> bool:
    """Whether it comes to hold; the enforcer looks every second."""
    give_up = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > give_up:
            return False
    return True


def rules(lab: Lab) -> str:
    return lab.run(HOST, "sh", "-c", RULES)


def doctor(lab: Lab) -> dict[str, tuple[bool, str]]:
    checks = json.loads(lab.exec(HOST, "jit", "doctor", "-o", "json", user="alice").stdout)["checks"]
    return {check["name"]: (check["ok"], check["detail"]) for check in checks}


def sudo_is_alices(lab: Lab) -> bool:
    return lab.exec(HOST, "sudo", "-n", "id", "-u", user="alice").stdout.strip() == "0"


def events(lab: Lab, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in lab.jitctl("audit", "ls", *words, "-o", "jsonl", user="dave").splitlines()]


def problems_of(lab: Lab) -> str:
    """What the server knows to be wrong with the host."""
    hosts = json.loads(lab.jitctl("hosts", "ls", "-o", "json", user="admin"))
    return json.dumps(next(host["problems"] for host in hosts if host["name"] == HOST))


@pytest.fixture(autouse=True)
def own_sudo(lab: Lab) -> Iterator[None]:
    """web2 has the sudo of its distribution before and after, the server knows it, and no grant lives."""
    lab.exec(HOST, "jit", "drop", "--all", user="alice")
    yield
    swap_back(lab)
    lab.exec(HOST, "jit", "drop", "--all", user="alice")
    assert in_time(lambda: problems_of(lab) == "[]", 20)


@pytest.mark.parametrize("sudo", PUT_IN_PLACE)
def test_a_sudo_that_cannot_enforce_grants_ends_those_that_live(lab: Lab, sudo: str) -> None:
    grant = lab.elevate(HOST)
    long = "setsid sudo -n sleep 86398 >/dev/null 2>&1 & until pgrep -xf 'sleep 86398'; do :; done"
    lab.run(HOST, "sh", "-c", long, user="alice")
    assert rules(lab) != ""
    swap(lab, sudo)
    assert in_time(lambda: rules(lab) == "")
    assert in_time(lambda: lab.exec(HOST, "pgrep", "-xf", "sleep 86398").returncode == 1)
    assert not sudo_is_alices(lab)
    assert doctor(lab)["enforcement"][0] is False
    assert PROBLEM[sudo] in doctor(lab)["enforcement"][1]
    assert in_time(lambda: bool(events(lab, "--grant", grant, "--kind", "grant.ended")), 20)
    details = events(lab, "--grant", grant, "--kind", "grant.ended")[0]["details"]
    assert isinstance(details, dict)
    assert PROVED.items() <= details.items()

    # Mended, it works again by itself.
    swap_back(lab)
    assert doctor(lab)["enforcement"] == (True, ENFORCEABLE)


def test_sudo_rs_finds_nothing_of_ours_that_it_does_not_understand(lab: Lab) -> None:
    """It would print an error for each line of ours, with the rule, to whoever uses it."""
    lab.elevate(HOST)
    swap(lab, "sudo-rs")
    assert in_time(lambda: rules(lab) == "")
    quiet = lab.exec(HOST, "sudo", "-n", "id", "-u")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "0\n", "")
    checked = lab.exec(HOST, "visudo-rs", "-c")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_grant_that_arrives_after_the_swap_is_refused_with_the_reason(lab: Lab) -> None:
    asked = lab.exec(HOST, "jit", "request", "drill-admin", "-d", "5m", "-m", "a test", "--no-wait", user="alice")
    request = asked.stdout.strip()
    # Approved while the server cannot know yet what has become of the host.
    lab.cut(HOST)
    try:
        lab.jitctl("requests", "approve", request, user="carol")
        swap(lab, "sudo-rs")
    finally:
        lab.heal(HOST)
    assert in_time(lambda: bool(events(lab, "--request", request, "--kind", "grant.refused")), 40)
    assert PROBLEM["sudo-rs"] in json.dumps(events(lab, "--request", request, "--kind", "grant.refused"))
    assert rules(lab) == ""
    waited = lab.exec(HOST, "jit", "status", "-w", request, user="alice")
    assert waited.returncode != 0
    assert PROBLEM["sudo-rs"] in waited.stderr
    # The server has heard of it with the refusal: who asks now is told before anybody has to approve.
    assert in_time(lambda: PROBLEM["sudo-rs"] in problems_of(lab), 10)
    refused = lab.exec(HOST, "jit", "sudo", "-r", "drill-admin", "-m", "a test", "id", user="alice")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"{HOST} cannot take grants: {PROBLEM['sudo-rs']}" in refused.stderr

    swap_back(lab)
    assert in_time(lambda: problems_of(lab) == "[]", 20)
    lab.elevate(HOST)
    assert sudo_is_alices(lab)
