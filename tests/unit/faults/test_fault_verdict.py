"""The judge of the fault table: what makes a row ok, and that nothing less does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faults.person import CANNOT_START
from faults.verdict import OK, Run, Seen, judge

END = 100.0
REFUSED = "sudo: a password is required"


def sudo(at: float, *, ran: bool, said: str = "", status: int = 1) -> Run:
    return Run(began=at, over=at + 0.02, ran=at + 0.01 if ran else None, status=0 if ran else status, said=said)


GOOD = Seen(
    ends_at=END,
    runs=[sudo(98, ran=True), sudo(99.5, ran=False, said=REFUSED), sudo(100.5, ran=False, said=REFUSED)],
    deaths={7: 99.9, 8: 99.8},
    left=[],
    rule_gone=100.001,
    limit_at=None,
    shell_lives=True,
    traces={"rules": [], "scopes": {}},
    server="ended",
)


def verdict(seen: Seen) -> str:
    return judge("a fault", seen, limit_ms=500).verdict


def test_a_grant_that_left_nothing_is_ok_with_its_lateness_and_who_stopped_it() -> None:
    row = judge("a fault", GOOD, limit_ms=500)
    assert (row.verdict, row.late_ms, row.stopped_by) == (OK, -100, "NOTAFTER; enforcer")


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (replace(GOOD, fired=False), "never fired"),
        (replace(GOOD, deaths={7: END + 0.501}), "501 ms late"),
        (replace(GOOD, runs=[*GOOD.runs, sudo(END + 0.6, ran=True)]), "610 ms late"),
        (replace(GOOD, left=[7]), "outlived"),
        (replace(GOOD, shell_lives=False), "shell died"),
        (replace(GOOD, traces={"rules": ["gnt-x"]}), "rules left"),
        (replace(GOOD, server="active"), "calls the grant active"),
        (replace(GOOD, others=["bob could run sudo"]), "bob could run sudo"),
        (replace(GOOD, deaths={}), "no process to be ended"),
        (replace(GOOD, runs=GOOD.runs[1:]), "never worked"),
        (replace(GOOD, runs=GOOD.runs[:2]), "no sudo was seen to be refused"),
        (replace(GOOD, runs=[GOOD.runs[0], sudo(100.5, ran=False, status=CANNOT_START)]), "no sudo was seen"),
        (replace(GOOD, trouble=["something else"]), "something else"),
    ],
)
def test_one_broken_promise_is_enough(seen: Seen, why: str) -> None:
    assert why in verdict(seen)


def test_who_stopped_new_sudo_is_told_by_what_sudo_said_and_by_the_rule_on_disk() -> None:
    def by(said: str, rule_gone: float | None) -> str:
        runs = [sudo(98, ran=True), sudo(100.5, ran=False, said=said)]
        return judge("", replace(GOOD, runs=runs, rule_gone=rule_gone), limit_ms=500).stopped_by.split(";")[0]

    assert by(REFUSED, None) == "NOTAFTER"
    assert by(REFUSED, 100.001) == "removal"
    assert by("sudo: error initializing I/O plugin sudoers_io", None) == "gate"
    assert by("sudo: jit: no live grant covers this command", 100.001) == "gate"


def test_what_died_when_pid_1_said_so_was_its_doing() -> None:
    def by(limit_at: float | None) -> str:
        return judge("", replace(GOOD, limit_at=limit_at), limit_ms=500).stopped_by.split("; ")[1]

    assert by(None) == "enforcer"
    assert by(99.7) == "PID 1"
    assert by(99.95) == "enforcer"
