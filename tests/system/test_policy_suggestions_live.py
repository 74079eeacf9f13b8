"""A role that allows everything is narrowed to what was run under it, and then allows that and no more (SPEC 9.8)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from jit_testing import live_policy
from jit_testing.lab import Lab
from jit_testing.live_policy import HOSTS, LivePolicy

ROLE = """\
roles:
  {role}:
    hosts: {{tier: web}}
    commands: ALL
    eligible: {{people: [alice], permanent: true}}
    approvals: 0
    duration: {{default: 5m, max: 10m}}
    mfa: false
    reason: false
"""
RUN = (("id", "-u"), ("tail", "-n", "1", "/etc/hosts"), ("stat", "/etc/hosts"))
NOT_RUN = (("id",), ("id", "-g"), ("tail", "-n", "2", "/etc/hosts"), ("tail", "-n", "1", "/etc/shadow"), ("env",))


@pytest.fixture
def live(lab: Lab) -> Iterator[LivePolicy]:
    with live_policy.opened(lab) as live:
        yield live


@pytest.mark.parametrize("host", HOSTS)
def test_a_suggested_role_lets_through_what_was_run_and_nothing_else(live: LivePolicy, host: str) -> None:
    began = time.time_ns() // 1000
    role, sudo = f"narrowed-{began}", live.hands[host].sudo
    live.apply(ROLE.format(role=role))
    wide = live.have(host, "alice", role)
    for words in (*RUN, ("sh", "-c", "true")):
        assert sudo("alice", *words) == 0, words
    give_up = time.monotonic() + 20
    suggested: dict[str, Any] = {"sessions": 0, "left_out": [], "text": ""}
    while suggested["sessions"] < len(RUN) + 1:
        assert time.monotonic() < give_up, suggested
        suggested = live.admin.call("policy.suggest", role, began)["said"]
    assert ["/usr/bin/sh" in one or "/bin/sh" in one for one in suggested["left_out"]] == [True]

    files = {**live.files(""), "more.yaml": suggested["text"]}
    applied = live.admin.call("policy.apply", files=files, expected_version=0, reason="narrowed")["said"]
    assert [ended["grant_id"] for ended in applied["grants"]] == [wide]
    live.have(host, "alice", role)
    assert [words for words in RUN if sudo("alice", *words) != 0] == []
    assert [words for words in (*NOT_RUN, ("sh", "-c", "true")) if sudo("alice", *words) == 0] == []
