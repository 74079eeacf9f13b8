"""For policies at random: who-can, real requests and sudo on the hosts say the same (SPEC 9.5).

The same policies again: $JIT_RANDOM_SEED; more of them: $JIT_RANDOM_POLICIES.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from jit_testing import live_policy, random_policies
from jit_testing.lab import Lab
from jit_testing.live_policy import HOSTS, LivePolicy
from jit_testing.random_policies import ACCOUNTS, PEOPLE, PROBES, RandomPolicy

SEED = int(os.environ.get("JIT_RANDOM_SEED") or random.SystemRandom().randrange(1 << 32))
POLICIES = int(os.environ.get("JIT_RANDOM_POLICIES", "200"))

Can = dict[tuple[str, ...], set[tuple[str, str]]]
"""For each command line: who can run it by which role."""


@dataclass(frozen=True, slots=True)
class Try:
    """One person on one host asks for each role, with this command, as this account."""

    host: str
    person: str
    account: str
    words: tuple[str, ...]

    def request(self, role: str) -> tuple[str, dict[str, Any]]:
        ask = {"argv": list(self.words), "run_as_user": self.account}
        return self.person, {"op": "request", "role": role, "ask": ask, "duration_s": 300}


@pytest.fixture(scope="module")
def live(lab: Lab) -> Iterator[LivePolicy]:
    with live_policy.opened(lab) as live:
        yield live


@pytest.mark.timeout(1800)
def test_what_who_can_says_is_what_requests_give_and_what_sudo_lets_through(live: LivePolicy) -> None:
    given = refused = allowed = 0
    for number in range(POLICIES):
        chance = random.Random(f"{SEED} {number}")
        policy = random_policies.policy(chance)
        live.apply(policy.text)
        tries = {
            host: Try(host, chance.choice(PEOPLE), chance.choice(ACCOUNTS), chance.choice(PROBES)) for host in HOSTS
        }
        where = f"JIT_RANDOM_SEED={SEED}, policy {number}:\n{policy.text}"
        for one in tries.values():
            live.hands[one.host].send(do="jits", asked=[one.request(role) for role in policy.roles])
        said = {host: who_can(live, one) for host, one in tries.items()}
        answers = {host: live.hands[host].receive()["answers"] for host in HOSTS}
        for host, one in tries.items():
            asked = dict(zip(policy.roles, answers[host], strict=True))
            got = {role: answer["request"] for role, answer in asked.items() if answer["ok"]}
            codes = {answer["error"]["code"] for answer in asked.values() if not answer["ok"]}
            assert codes <= {"denied", "not_found"}, f"{where}{one}\n{asked}"
            could = {role for person, role in said[host][one.words] if person == one.person and role in asked}
            assert set(got) == could, f"{where}{one}\nrequests gave {sorted(got)}, who-can said {sorted(could)}"
            active = into_force(live, one, policy, got)
            expected = {probe: any((one.person, role) in said[host][probe] for role in active) for probe in PROBES}
            assert sudo_lets(live, one) == {
                (person, account, probe): (person, account) == (one.person, one.account) and expected[probe]
                for person, account, probe in everything()
            }, f"{where}{one}\nin force: {sorted(active)}"
            given, refused, allowed = (
                given + len(got),
                refused + len(asked) - len(got),
                allowed + sum(expected.values()),
            )
        for one in tries.values():
            live.hands[one.host].send(do="jit", person=one.person, request={"op": "drop", "grant": ""})
        for host in HOSTS:
            live.hands[host].receive()
    counted = f"{given} requests given, {refused} refused, {allowed} command lines let through"
    print(f"{POLICIES} policies, seed {SEED}: {counted}")
    # Nothing would be shown by policies that give nothing, or all.
    assert min(given, refused, allowed) > POLICIES // 4


def who_can(live: LivePolicy, one: Try) -> Can:
    return {
        probe: {
            (found["user"], found["role"])
            for found in live.admin.call("policy.who_can", one.account, [one.host], list(probe))["said"]
        }
        for probe in PROBES
    }


def into_force(live: LivePolicy, one: Try, policy: RandomPolicy, got: dict[str, Any]) -> set[str]:
    """The roles that are in force on the host then; those that wait for somebody else than carol are taken back."""
    hands, active = live.hands[one.host], set()
    for role, request in got.items():
        name = request["request_id"]
        if request["state"] == "pending":
            assert role in policy.approved
            if request["approvers"] != ["carol"]:
                assert hands.jit(one.person, op="cancel", request=name)["ok"]
                continue
            live.carol.call("approve", name, "")
        waited = hands.jit(one.person, op="wait", request=name)
        assert waited["in_force"], waited
        active.add(role)
    return active


def everything() -> list[tuple[str, str, tuple[str, ...]]]:
    return [(person, account, probe) for person in PEOPLE for account in ACCOUNTS for probe in PROBES]


def sudo_lets(live: LivePolicy, one: Try) -> dict[tuple[str, str, tuple[str, ...]], bool]:
    """`sudo -l -U PERSON -u ACCOUNT COMMAND`, for all of them."""
    asked = everything()
    statuses = live.hands[one.host].ask(do="listed", asked=asked)["statuses"]
    return {probe: status == 0 for probe, status in zip(asked, statuses, strict=True)}
