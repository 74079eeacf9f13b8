"""Four ends that do not need each other (DESIGN 3): each is shown to end a grant with the other three disabled.

That it was this one end and nothing else is shown by the first test: with all of them disabled the right would live on.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from faults import host_faults
from faults.life import Life, now
from faults.rig import Rig, wait_for
from faults.server import Server
from faults.verdict import Seen
from jit_testing.lab import Lab

HOST = "web2"
EVERY_END = ("removal", "kill", "notafter", "runtime", "timer")
PASSWORD = "a password is required"


@pytest.fixture(scope="module")
def rig(lab: Lab) -> Iterator[Rig]:
    """web2 with its programs under the launcher."""
    rig = Rig(lab, HOST, ("enforcer", "agent"))
    lab.jitctl("whoami", user="carol")
    rig.install()
    yield rig
    rig.uninstall()


@contextlib.contextmanager
def grant(rig: Rig, *, lasts_s: int = 8) -> Iterator[Life]:
    """A grant in force, with programs running under it that ignore TERM and HUP."""
    life = Life(rig, Server(Rig(rig.lab, "server", ("server",))), lasts_s)
    try:
        life.elevate()
        life.run_programs()
        assert life.try_sudo().ran is not None
        yield life
    finally:
        life.session.close()


def until(life: Life, seconds_after_the_end: float) -> None:
    wait_for("the end", lambda: now() > life.ends_at + seconds_after_the_end)


def rule_is_on_disk(life: Life) -> bool:
    return life.grant in life.rig.look()["rules"]


def left(life: Life) -> list[int]:
    return list(life.session.ask(do="marked", mark=life.mark))


def is_over(life: Life) -> Seen:
    """What is seen once everything works again."""
    seen = life.seen(server="ended", fired=True, trouble=[])
    assert (seen.server, seen.shell_lives, left(life)) == ("ended", True, [])
    return seen


def test_with_all_four_disabled_a_right_and_its_programs_would_live_on(rig: Rig) -> None:
    with rig.without(*EVERY_END), grant(rig) as life, host_faults.gate_open(rig):
        until(life, 1)
        assert life.try_sudo().ran is not None
        assert left(life)
        assert rule_is_on_disk(life)
    # What it was kept from the enforcer makes good at its next start.
    wait_for("the end", lambda: not rule_is_on_disk(life))


def test_the_gate_alone_lets_no_sudo_start_after_the_end(rig: Rig) -> None:
    with rig.without(*EVERY_END), grant(rig) as life:
        until(life, 0)
        refused = life.try_sudo()
        assert refused.ran is None
        assert "jit:" in refused.said
        assert rule_is_on_disk(life)


def test_the_enforcer_alone_takes_the_rule_away_on_time(rig: Rig) -> None:
    with rig.without("notafter", "runtime", "timer"), grant(rig) as life:
        with host_faults.gate_open(rig):
            assert life.try_sudo().ran is not None
            with life.watched_end():
                pass
            last = max(run.ran for run in life.runs if run.ran is not None)
            assert last <= life.ends_at
            assert PASSWORD in life.runs[-1].said
            assert life.watched["rule_gone"] - life.ends_at < 0.5
        is_over(life)


def test_the_enforcer_alone_ends_what_runs_on_time(rig: Rig) -> None:
    with rig.without("removal", "notafter", "runtime", "timer"), grant(rig) as life:
        with life.watched_end():
            pass
        assert max(life.watched["died"].values()) - life.ends_at < 0.5
        assert life.watched["left"] == []


def test_notafter_alone_refuses_every_sudo_after_the_end(rig: Rig) -> None:
    with rig.without("runtime", "timer"), grant(rig) as life:
        with host_faults.dead(rig, "enforcer"), host_faults.gate_open(rig):
            assert life.try_sudo().ran is not None
            until(life, 0)
            refused = life.try_sudo()
            assert refused.ran is None
            assert PASSWORD in refused.said
            assert rule_is_on_disk(life)
            assert left(life)
        is_over(life)


@pytest.mark.parametrize("disabled", ["timer", "runtime"])
def test_pid_1_alone_ends_what_runs_by_its_run_time_limit_or_by_the_calendar(rig: Rig, disabled: str) -> None:
    with rig.without(disabled), grant(rig) as life:
        with host_faults.dead(rig, "agent", "enforcer"):
            assert left(life)
            with life.watched_end():
                pass
            assert max(life.watched["died"].values()) - life.ends_at < 2
            assert life.watched["left"] == []
        is_over(life)


def test_with_agent_and_enforcer_dead_all_is_over_on_time_and_told_truly_later(rig: Rig) -> None:
    with grant(rig) as life:
        with host_faults.dead(rig, "agent", "enforcer"):
            with life.watched_end():
                pass
            until(life, 3)
            assert rule_is_on_disk(life)
            assert "may run" in rig.sh("sudo -l -U alice")  # sudo's list is no evidence (REVIEW 21)
            assert life.try_sudo().ran is None
        seen = is_over(life)
        assert max(seen.deaths.values()) - life.ends_at < 2
        assert max(run.ran for run in seen.runs if run.ran is not None) < life.ends_at
        words = ["audit", "ls", "--request", life.request, "--kind", "grant.ended", "-o", "jsonl"]
        ended = json.loads(rig.lab.jitctl(*words, user="dave"))["details"]
        # The enforcer proves it when it is back, and says how late that is.
        assert 3_000_000 < ended["late_us"] < 60_000_000
        assert (ended["reason"], ended["scope_empty"], ended["rule_removed"]) == ("expired", True, True)
