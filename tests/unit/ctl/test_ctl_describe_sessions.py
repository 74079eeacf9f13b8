"""Sessions in words: what ran, how it ended, what there is of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jit_ctl import describe_sessions as describe
from jit_ctl.recording import captions
from jit_ctl.recording.frames import Exit
from jit_ctl.session_model import RecordingState, Session, SessionCommand, SessionDetails, SessionState

STARTED = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


def session(**changes: Any) -> Session:
    values = dict.fromkeys(Session.__slots__, "") | {
        "session_id": "ses-0000000000000001",
        "argv": ("/usr/bin/id",),
        "state": SessionState.ENDED,
        "recording": RecordingState.WHOLE,
        "started_at": STARTED,
        "ended_at": None,
        "exit_value": 0,
        "run_time_us": 0,
        "rows": 24,
        "columns": 80,
        "chunks": 0,
        "output_bytes": 0,
        "input_bytes": 0,
        "stored_bytes": 0,
        "standing": False,
        "watchers": (),
    }
    return Session(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exit_value": 3}, "exit 3"),
        ({"exit_value": 0, "signal": "KILL"}, "killed by KILL"),
        ({"state": SessionState.LOST}, "lost: its end was not told"),
        ({"state": SessionState.REJECTED, "reject_reason": "not allowed"}, "rejected: not allowed"),
        ({"state": SessionState.REJECTED}, "rejected"),
        ({"state": SessionState.WAITING}, "waiting for a watcher"),
        ({"state": SessionState.RUNNING}, "running"),
        ({"state": SessionState.FROZEN}, "frozen"),
    ],
)
def test_the_state_says_how_it_ended_or_stands(changes: dict[str, Any], said: str) -> None:
    assert describe.outcome(session(**changes)) == said


@pytest.mark.parametrize(
    ("us", "said"), [(1_500_000, "1.5s"), (61_250_000, "1m1.2s"), (3_661_000_000, "1h1m1s"), (0, ""), (-5, "0.0s")]
)
def test_the_time_it_took_is_short(us: int, said: str) -> None:
    assert describe.took(session(run_time_us=us)) == said
    assert describe.took(session(run_time_us=us, state=SessionState.RUNNING)) == ""


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5000, "4.9 KiB"), (500 << 20, "500 MiB"), (1 << 42, "4096 GiB")],
)
def test_sizes_have_a_unit(count: int, said: str) -> None:
    assert describe.size(count) == said


def test_a_command_line_nobody_may_know_is_said_to_be_so() -> None:
    assert describe.command(session(argv=())) == "(not recorded)"
    assert describe.command(session(argv=("/bin/echo", "a b"))) == "/bin/echo 'a b'"
    assert describe.recording(session(recording=RecordingState.NONE, record="events")) == "events"
    assert describe.recording(session(recording=RecordingState.NONE, record="none")) == "none"
    assert describe.recording(session(recording=RecordingState.NONE, record="output")) == "none"


def test_what_is_kept_of_a_session_is_said_once_it_is_known() -> None:
    def told(**changes: Any) -> list[str]:
        return describe.session_facts(SessionDetails(session(record="none", **changes), (), (), False), str)

    assert any(line.startswith("Kept of it") for line in told())
    waiting = told(state=SessionState.WAITING, started_at=None, recording=RecordingState.NONE)
    assert not any(line.startswith("Kept of it") for line in waiting)


def test_commands_say_only_what_differs_from_the_session() -> None:
    one = SessionCommand(STARTED + timedelta(milliseconds=5), "/bin/sh", ("/bin/sh",), "/root", "root", "")
    told = SessionDetails(session(run_as_user="root", cwd="/root"), (), (one,), False)
    assert describe.session_facts(told, str)[-1].endswith("+0.005s  /bin/sh")
    elsewhere = SessionDetails(session(run_as_user="www", cwd="/srv", started_at=None), (), (one,), False)
    assert describe.session_facts(elsewhere, str)[-1].endswith("  /bin/sh  (as root, in /root)")


def test_a_rule_of_the_hosts_own_is_named() -> None:
    lines = describe.session_facts(SessionDetails(session(standing=True), (), (), False), str)
    assert any(line.endswith("- (a rule of the host's own)") for line in lines)


def test_the_player_tells_time_and_sizes() -> None:
    assert captions.clock(0) == "0:00"
    assert captions.clock(3_599_999_999_999) == "59:59"
    assert captions.clock(3_600_000_000_000) == "1:00:00"
    assert captions.sizes((24, 80), (24, 80)) == ""
    assert captions.sizes((0, 0), (24, 80)) == ""
    assert captions.sizes((24, 80), (50, 132)) == "the session's terminal has 80x24, this one 132x50"


def test_the_player_tells_how_it_ended_and_what_it_waits_for() -> None:
    assert captions.outcome(session(exit_value=1), None) == "ended: exit 1"
    assert captions.outcome(session(exit_value=1), Exit(0, 2, "")) == "ended: exit 2"
    assert captions.outcome(session(state=SessionState.LOST), None).startswith("LOST")
    assert "not allowed" in captions.outcome(session(state=SessionState.REJECTED, reject_reason="not allowed"), None)
    assert captions.standing(session(state=SessionState.RUNNING)) == ""
    frozen = session(state=SessionState.FROZEN, order="frozen by carol: \x07wait")
    assert captions.standing(frozen).startswith(r"FROZEN by carol: \x07wait |")
    assert "no watcher" in captions.standing(session(state=SessionState.FROZEN))
    assert "may still come" in captions.standing(session(exit_value=1))
