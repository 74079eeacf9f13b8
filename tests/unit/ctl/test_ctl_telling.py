"""Audit events in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from jit_ctl.model import Event
from jit_ctl.telling import told

EVENT = Event(
    1, datetime(2026, 1, 1, tzinfo=UTC), "grant.ended", "host web1", "alice", "web1", "admin", "req-1", "gnt-1", {}
)
PROOF = {"reason": "expired", "rule_removed": True, "scope_empty": True, "killed": 2, "late_us": 13714}


def test_an_end_says_why_what_was_proved_and_how_late() -> None:
    assert told(replace(EVENT, details=PROOF)) == "expired, proved: no rule, no process, 2 killed, 14 ms late"
    assert "NOT proved" in told(replace(EVENT, details={**PROOF, "scope_empty": False}))


def test_a_session_says_how_it_went() -> None:
    ended = {"exit_value": 3, "lost": False, "run_time_us": 18730}
    assert told(replace(EVENT, kind="session.ended", details=ended)) == "exit 3 after 0.02 s"
    assert told(replace(EVENT, kind="session.ended", details={**ended, "signal": "TERM"})).startswith("killed by TERM")
    assert told(replace(EVENT, kind="session.ended", details={**ended, "lost": True})).startswith("cut off")


def test_details_that_are_not_as_expected_and_unknown_kinds_are_shown_whole() -> None:
    assert told(replace(EVENT, details={"reason": "expired"})) == "reason=expired"
    assert told(replace(EVENT, kind="future.kind", details={"a": "b c", "n": 1})) == "a='b c' n=1"
