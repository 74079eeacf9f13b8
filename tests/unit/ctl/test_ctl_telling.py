"""Audit events in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from jit_ctl.model import Event
from jit_ctl.telling import told

EVENT = Event(
    1, datetime(2026, 1, 1, tzinfo=UTC), "grant.ended", "host web1", "alice", "web1", "admin", "req-1", "gnt-1", {}
)
NOON_US = 1_795_435_200_000_000
DAY_US = 86_400_000_000
APPLIED = {
    "version": 7,
    "digest": "0123456789abcdef" * 4,
    "reason": "",
    "approved_by": [],
    "rolled_back_to": 0,
    "grants_ended": 2,
    "requests_cancelled": 0,
}
PROPOSED = {"change": "chg-1", "base_version": 6, "reason": "CHG-12", "why": "bob gains ops", "rolled_back_to": 0}
PROOF = {"reason": "expired", "rule_removed": True, "scope_empty": True, "killed": 2, "late_us": 13714}


def test_an_end_says_why_what_was_proved_and_how_late() -> None:
    assert told(replace(EVENT, details=PROOF)) == "expired, proved: no rule, no process, 2 killed, 14 ms late"
    cut_off = {**PROOF, "after_due_us": 93_500_000}
    assert told(replace(EVENT, details=cut_off)).endswith("14 ms late for the host, 1m33s after it was due")
    assert told(replace(EVENT, details={**PROOF, "after_due_us": 40_000})).endswith(", 14 ms late")
    assert "NOT proved" in told(replace(EVENT, details={**PROOF, "scope_empty": False}))


def test_a_session_says_how_it_went() -> None:
    ended = {"exit_value": 3, "lost": False, "run_time_us": 18730}
    assert told(replace(EVENT, kind="session.ended", details=ended)) == "exit 3 after 0.02 s"
    assert told(replace(EVENT, kind="session.ended", details={**ended, "signal": "TERM"})).startswith("killed by TERM")
    assert told(replace(EVENT, kind="session.ended", details={**ended, "lost": True})).startswith("cut off")
    unheard = {**ended, "lost": True, "why": "web1 was removed"}
    assert told(replace(EVENT, kind="session.ended", details=unheard)) == "lost: web1 was removed"


def test_details_that_are_not_as_expected_and_unknown_kinds_are_shown_whole() -> None:
    assert told(replace(EVENT, details={"reason": "expired"})) == "reason=expired"
    assert told(replace(EVENT, kind="future.kind", details={"a": "b c", "n": 1})) == "a='b c' n=1"


def test_an_end_names_what_was_left_over_and_one_without_a_host_says_why() -> None:
    left = {**PROOF, "leftovers": ["41 sleep 9", "42 nc (killed)"]}
    assert told(replace(EVENT, details=left)).endswith("14 ms late; left over: 41 sleep 9, 42 nc (killed)")
    unsigned = {"reason": "revoked", "proof": "it had not started"}
    assert told(replace(EVENT, details=unsigned)) == "revoked, it had not started"


@pytest.mark.parametrize(
    ("kind", "details", "words"),
    [
        (
            "report.refused",
            {"report": 7, "what": "session_ended", "why": "its digest has 3 bytes", "bytes": 9, "sha256": "ab"},
            "a report of session_ended was not taken: its digest has 3 bytes",
        ),
        (
            "grant.scheduled",
            {"run_as": "root", "not_before": NOON_US, "not_after": NOON_US + 3_600_000_000, "reason": ""},
            "as root until 2026-11-23T13:00:00Z, from 2026-11-23T12:00:00Z",
        ),
        (
            "grant.extended",
            {"request": "req-2", "duration_s": 1_800, "old_end": NOON_US - 1_800_000_000, "new_end": NOON_US},
            "30m more, until 2026-11-23T12:00:00Z",
        ),
        (
            "request.created",
            {"extends": "gnt-1", "duration_s": 1_800, "reason": "not done"},
            "30m more for gnt-1: not done",
        ),
        (
            "request.created",
            {"command": "/bin/id", "run_as": "root", "duration_s": 60, "reason": "", "starts_at": NOON_US},
            "/bin/id as root for 1m from 2026-11-23T12:00:00Z",
        ),
        (
            "policy.applied",
            APPLIED,
            "version 7; 2 grants revoked, 0 requests cancelled",
        ),
        (
            "policy.applied",
            {**APPLIED, "reason": "INC-7", "approved_by": ["carol"], "rolled_back_to": 5},
            "version 7, that of version 5 again, approved by carol; 2 grants revoked, 0 requests cancelled: INC-7",
        ),
        (
            "policy.proposed",
            PROPOSED,
            "chg-1, a change of version 6: CHG-12; bob gains ops",
        ),
        (
            "policy.proposed",
            {**PROPOSED, "reason": "", "rolled_back_to": 5},
            "chg-1, a change of version 6 to go back to version 5; bob gains ops",
        ),
        ("policy.approved", {"change": "chg-1", "reason": "as agreed"}, "chg-1: as agreed"),
        ("policy.approved", {"change": "chg-1", "reason": ""}, "chg-1"),
        ("policy.rejected", {"change": "chg-1", "reason": "too wide", "withdrawn": False}, "chg-1: too wide"),
        ("policy.rejected", {"change": "chg-1", "reason": "", "withdrawn": True}, "chg-1, withdrawn"),
        ("policy.overtaken", {"change": "chg-1", "version": 8}, "chg-1, by version 8"),
        (
            "eligibility.renewal_asked",
            {"renewal": "rnw-1", "reason": "still here", "ends_at": NOON_US, "until": NOON_US + DAY_US},
            "rnw-1, until 2026-11-24T12:00:00Z instead of 2026-11-23T12:00:00Z: still here",
        ),
        (
            "eligibility.renewed",
            {"renewal": "rnw-1", "reason": "", "until": NOON_US},
            "rnw-1, until 2026-11-23T12:00:00Z",
        ),
        (
            "eligibility.renewal_denied",
            {"renewal": "rnw-1", "reason": "has left", "until": NOON_US},
            "rnw-1: has left",
        ),
        (
            "eligibility.renewal_lapsed",
            {"renewal": "rnw-1", "why": "nobody decided in time"},
            "rnw-1: nobody decided in time",
        ),
        (
            "eligibility.ending",
            {"kind": "eligible", "until": NOON_US, "days_left": 14},
            "eligible until 2026-11-23T12:00:00Z, 14 days left",
        ),
        (
            "eligibility.ending",
            {"kind": "active", "until": NOON_US, "days_left": 1},
            "active until 2026-11-23T12:00:00Z, 1 day left",
        ),
        ("eligibility.ended", {"kind": "eligible", "until": NOON_US}, "was eligible until 2026-11-23T12:00:00Z"),
        (
            "eligibility.ended",
            {"kind": "eligible", "until": NOON_US, "why": "policy version 8 no longer has it"},
            "was to be eligible until 2026-11-23T12:00:00Z: policy version 8 no longer has it",
        ),
        ("request.refused", {"why": "alice is locked: x (by carol)"}, "alice is locked: x (by carol)"),
        ("grant.refused", {"message": "alice is disabled"}, "alice is disabled"),
        ("grant.unconfirmed", {"reason": "revoked", "due_at": NOON_US}, "revoked, and the host has not said so"),
        (
            "grant.footprint",
            {"changes": ["/etc/sudoers.d/x added (sudoers)"], "truncated": True},
            "not as it was before: /etc/sudoers.d/x added (sudoers) and more",
        ),
        (
            "lock.created",
            {"lock": "lck-1", "reason": "stolen", "expires_at": None, "grants_ended": 2, "requests_cancelled": 0},
            "lck-1 until it is lifted: stolen; 2 grants revoked, 0 requests cancelled",
        ),
        ("lock.lifted", {"lock": "lck-1", "reason": "its time was up"}, "lck-1: its time was up"),
        ("session.waiting", {"session": "ses-1", "command_line": "/bin/id"}, "/bin/id, until somebody watches"),
        ("session.rejected", {"command_line": "/bin/id", "reason": "not allowed"}, "/bin/id: not allowed"),
        (
            "session.frozen",
            {"session": "ses-1", "why": "order", "reason": "what is this?", "done": False},
            "ses-1: ordered: what is this?",
        ),
        (
            "session.frozen",
            {"session": "ses-1", "why": "unwatched", "reason": "", "done": True},
            "ses-1: by the host: unwatched",
        ),
        (
            "session.thawed",
            {"session": "ses-1", "why": "order", "reason": "", "done": True},
            "ses-1: done by the host",
        ),
        ("session.replayed", {"session": "ses-1"}, "ses-1"),
        ("recording.damaged", {"session": "ses-1", "why": "chunk 2 is gone"}, "ses-1: chunk 2 is gone"),
        (
            "recording.deleted",
            {"session": "ses-1", "chunks": 3, "bytes": 900, "digest": "0123456789abcdef" * 4},
            "ses-1: 900 bytes in 3 chunks, digest 0123456789ab",
        ),
        (
            "recording.stored",
            {"session": "ses-1", "chunks": 1, "bytes": 67, "digest": "0123456789abcdef" * 4},
            "ses-1: 67 bytes in 1 chunk, digest 0123456789ab",
        ),
    ],
)
def test_what_happens_is_told_in_words(kind: str, details: dict[str, Any], words: str) -> None:
    assert told(replace(EVENT, kind=kind, details=details)) == words
