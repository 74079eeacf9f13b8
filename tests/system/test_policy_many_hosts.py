"""`jit request --hosts` on booted hosts: one request, one approval, a grant on each (SPEC 9.7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from jit_testing import live_policy
from jit_testing.lab import Lab
from jit_testing.live_policy import HOSTS, LivePolicy

ROLE = """\
  {name}:
    hosts: {{tier: web}}
    commands: [/usr/bin/id]
    eligible: {{people: [alice], permanent: true}}
    approvers: {{groups: [leads]}}
    duration: {{default: 5m, max: 10m}}
    mfa: false
    max_hosts: {most}
"""
POLICY = "roles:\n" + ROLE.format(name="many", most=5) + ROLE.format(name="single", most=1)


@pytest.fixture(scope="module")
def live(lab: Lab) -> Iterator[LivePolicy]:
    with live_policy.opened(lab) as live:
        live.apply(POLICY)
        yield live


@pytest.fixture(autouse=True)
def nothing_left_over(lab: Lab, live: LivePolicy) -> Iterator[None]:
    yield
    for host in HOSTS:
        lab.heal(host)
        lab.exec(host, "jit", "drop", "--all", user="alice")


def request(lab: Lab, *words: str) -> tuple[int, dict[str, Any]]:
    """Alice's, from web1."""
    done = lab.exec("web1", "jit", "request", "-m", "a test", "-o", "json", *words, user="alice")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["request"]


def may(lab: Lab, host: str) -> bool:
    return lab.exec(host, "sudo", "-n", "id", user="alice").returncode == 0


def test_one_approval_gives_a_grant_on_each_host(lab: Lab, live: LivePolicy) -> None:
    status, asked = request(lab, "many", "--hosts", "tier=web", "--no-wait")
    assert status == 3
    assert [(one["host"], one["state"]) for one in asked["batch"]] == [("web1", "pending"), ("web2", "pending")]
    assert not any(may(lab, host) for host in HOSTS)
    live.carol.call("approve", asked["request_id"], "")
    lab.run("web1", "jit", "status", "-w", asked["request_id"], user="alice")
    assert all(may(lab, host) for host in HOSTS)
    names = {one["request_id"] for one in asked["batch"]}
    granted = [one for one in live.admin.call("grants", [], 100)["said"] if one["request_id"] in names]
    assert sorted(one["host"] for one in granted) == ["web1", "web2"]
    # Ending one is for that one alone.
    lab.run("web1", "jit", "drop", "--all", user="alice")
    assert (may(lab, "web1"), may(lab, "web2")) == (False, True)


def test_a_host_that_cannot_be_reached_is_left_out_and_named(lab: Lab, live: LivePolicy) -> None:
    lab.cut("web2")
    status, asked = request(lab, "many", "--hosts", "tier=web", "--no-wait")
    assert status == 3
    here, there = asked["batch"]
    assert (here["host"], here["state"], here["why"]) == ("web1", "pending", "")
    assert (there["host"], there["state"], there["request_id"]) == ("web2", "", "")
    assert there["why"] in ("it does not answer", "it is not connected")
    lab.heal("web2")
    live.carol.call("approve", asked["request_id"], "")
    assert lab.exec("web1", "jit", "status", "-w", asked["request_id"], user="alice").returncode == 0
    assert (may(lab, "web1"), may(lab, "web2")) == (True, False)


def test_more_hosts_than_the_role_lets_one_request_name_are_refused(lab: Lab, live: LivePolicy) -> None:
    words = ("jit", "request", "single", "-m", "a test", "--no-wait", "--hosts")
    refused = lab.exec("web1", *words, "tier=web", user="alice")
    assert refused.returncode != 0
    assert "2 hosts are selected, and a request for role single may name 1 host at most" in refused.stderr
    status, asked = request(lab, "single", "--hosts", "tier=web,debian=13", "--no-wait")
    assert (status, asked["host"]) == (3, "web2")
    lab.run("web1", "jit", "cancel", asked["request_id"], user="alice")


def test_a_dry_run_asks_for_nothing(lab: Lab, live: LivePolicy) -> None:
    before = [one["request_id"] for one in live.admin.call("requests", [], 1000)["said"]]
    status, asked = request(lab, "many", "--hosts", "tier=web", "--dry-run")
    assert (status, asked["request_id"]) == (0, "")
    assert [one["host"] for one in asked["batch"]] == ["web1", "web2"]
    assert [one["request_id"] for one in live.admin.call("requests", [], 1000)["said"]] == before
