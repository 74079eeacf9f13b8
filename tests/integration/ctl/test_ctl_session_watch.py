"""Watching live: what is written is seen at once, and the watcher has a hand on the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from jit_protos.v1 import sessions_pb2
from jit_testing.ctl_certificates import Authority
from jit_testing.fake_ctl_server import FakeServer
from jit_testing.fake_ctl_sessions import FROZEN, RUNNING, exited, out, session
from jit_testing.viewer import Viewer

ONE = "ses-0000000000000001"
Watch = Callable[..., Viewer]


@pytest.fixture
def watch(on_terminal: Any) -> Watch:
    def start(*arguments: str, rows: int = 24, columns: int = 80) -> Viewer:
        child = on_terminal("sessions", "watch", ONE, *arguments, term="xterm", rows=rows, columns=columns)
        return Viewer(child, rows, columns)

    return start


@pytest.fixture
def running(alice: Any, server: FakeServer) -> FakeServer:
    live = session(1, state=RUNNING, recording=sessions_pb2.RECORDING_STATE_ARRIVING)
    live.ended_at = live.run_time_us = 0
    server.keep(live)
    return server


def state(server: FakeServer, now: sessions_pb2.SessionState.ValueType, **changes: Any) -> None:
    one = sessions_pb2.Session()
    one.CopyFrom(server.told[ONE].details.session)
    one.state = now
    one.MergeFrom(sessions_pb2.Session(**changes))
    server.keep(one)


def test_what_is_written_is_shown_at_once_with_what_was_there_before(watch: Watch, running: FakeServer) -> None:
    running.record(ONE, out(b"long ago\r\n", 5), out(b"and later\r\n", 3600))
    viewer = watch()
    viewer.until_shown("and later")
    delays = []
    for number in range(20):
        sent = running.record(ONE, out(b"new %d.\r\n" % number, 60))
        delays.append(viewer.until_shown(f"new {number}.") - sent)
    assert viewer.lines[0] == "long ago"
    # The bound is 0.1 s; a machine that is busy otherwise may make single ones late.
    assert sorted(delays)[len(delays) // 2] < 0.1


def test_from_the_start_it_is_played_as_it_was_and_then_goes_on_live(watch: Watch, running: FakeServer) -> None:
    running.record(ONE, out(b"one\r\n"), out(b"two\r\n", 2))
    viewer = watch("--from-start")
    first, second = viewer.until_shown("one"), viewer.until_shown("two")
    assert second - first > 1.0
    running.record(ONE, out(b"three\r\n", 3600))
    viewer.until_shown("three")


def test_its_end_is_told_and_q_leaves(watch: Watch, running: FakeServer) -> None:
    running.record(ONE, out(b"working\r\n"))
    viewer = watch()
    viewer.until_shown("working")
    assert running.told[ONE].watched == 1
    running.record(ONE, out(b"done\r\n"), exited(3, after=1))
    state(running, sessions_pb2.SESSION_STATE_ENDED, exit_value=3)
    viewer.until(lambda seen: "ended: exit 3" in seen.last_line and "done" in seen.lines)
    viewer.press("q")
    assert viewer.end() == 0
    assert f"{ONE}: exit 3" in viewer.text_seen


@pytest.mark.parametrize(("keys", "status"), [("q", 0), ("\x03", 130)])
def test_who_leaves_watches_no_more_and_the_session_goes_on(
    watch: Watch, running: FakeServer, keys: str, status: int
) -> None:
    running.record(ONE, out(b"working\r\n"))
    viewer = watch()
    viewer.until_shown("working")
    viewer.press(keys)
    assert viewer.end() == status
    with running.changed:
        assert running.changed.wait_for(lambda: running.told[ONE].watched == 0, timeout=20)
    assert running.told[ONE].details.session.state == RUNNING
    assert "Traceback" not in viewer.text_seen


def test_f_freezes_and_t_thaws_at_once(watch: Watch, running: FakeServer) -> None:
    running.record(ONE, out(b"working\r\n"))
    viewer = watch()
    viewer.until_shown("working")
    viewer.press("f")
    viewer.until(lambda seen: seen.last_line.startswith("FROZEN by alice: frozen by who watches"))
    running.record(ONE, out(b"what was on its way\r\n"))
    viewer.until(lambda seen: "what was on its way" in seen.lines and "FROZEN" in seen.last_line)
    viewer.press("t")
    viewer.until(lambda seen: "THAWED" in seen.last_line)
    running.record(ONE, out(b"it goes on\r\n"))
    viewer.until(lambda seen: "it goes on" in seen.lines and seen.last_line == "")
    assert [asked.act for asked in running.asked if hasattr(asked, "act")] == ["freeze", "thaw"]


def test_what_somebody_else_orders_is_seen_and_made_harmless(watch: Watch, running: FakeServer) -> None:
    viewer = watch()
    state(running, FROZEN, order="frozen by carol: \x1b]0;evil\x07")
    viewer.until(lambda seen: r"FROZEN by carol: \x1b]0;evil\x07" in seen.last_line)
    state(running, RUNNING)
    viewer.until(lambda seen: "THAWED" in seen.last_line)
    assert "\x1b]0" not in viewer.text_seen


def test_k_asks_why_and_then_kills(watch: Watch, running: FakeServer) -> None:
    running.record(ONE, out(b"working\r\n"))
    viewer = watch()
    viewer.until_shown("working")
    for keys in ("\x1b", "\r", "  \r"):
        viewer.press("k")
        viewer.until(lambda seen: "kill" in seen.last_line)
        viewer.press(keys)
        viewer.until(lambda seen: seen.last_line == "")
    assert not any(hasattr(asked, "act") for asked in running.asked)
    viewer.press("kno busyness\x7f\x7f\x7f\x7f")
    viewer.until(lambda seen: seen.last_line.endswith("do not): no busy_"))
    viewer.press("!\r")
    viewer.until(lambda seen: "killed by KILL" in seen.last_line)
    (asked,) = (asked for asked in running.asked if hasattr(asked, "act"))
    assert (asked.session_id, asked.act, asked.reason) == (ONE, "kill", "no busy!")


def test_an_order_that_is_refused_is_told_and_the_picture_goes_on(watch: Watch, running: FakeServer) -> None:
    running.record(ONE, out(b"working\r\n"))
    viewer = watch()
    viewer.until_shown("working")
    running.failure = (grpc.StatusCode.PERMISSION_DENIED, "you approve nothing here", "denied", "")
    viewer.press("f")
    viewer.until(lambda seen: "freeze: you approve nothing here" in seen.last_line)
    running.record(ONE, out(b"it goes on\r\n"))
    viewer.until(lambda seen: "it goes on" in seen.lines and seen.last_line == "")


def test_a_session_that_waits_for_its_watcher_starts_before_their_eyes(watch: Watch, running: FakeServer) -> None:
    state(running, sessions_pb2.SESSION_STATE_WAITING)
    viewer = watch()
    viewer.until(lambda seen: "WAITING" in seen.last_line)
    state(running, RUNNING)
    running.record(ONE, out(b"it runs\r\n"))
    viewer.until_shown("it runs")


def test_a_watcher_can_go_back_and_return_to_what_is_now(watch: Watch, running: FakeServer) -> None:
    running.record(ONE, out(b"one\r\n"), out(b"two\r\n", 1000), out(b"three\r\n", 1000), end=2000)
    viewer = watch()
    viewer.until_shown("three")
    viewer.press("4")
    viewer.until(lambda seen: "two" not in seen.text and "one" in seen.text)
    running.record(ONE, out(b"four\r\n", 1000), end=3000)
    viewer.press("l")
    viewer.until(lambda seen: seen.lines[:4] == ["one", "two", "three", "four"])


def test_watching_goes_on_where_it_was_when_the_server_is_back(authority: Authority, jitctl: Any, watch: Watch) -> None:
    with FakeServer(authority) as first:
        jitctl.login(first)
        first.keep(session(1, state=RUNNING))
        first.record(ONE, out(b"one\r\n"))
        viewer = watch()
        viewer.until_shown("one")
    viewer.until(lambda seen: "trying again" in seen.last_line)
    port = int(first.mtls.rpartition(":")[2])
    with FakeServer(authority, mtls_port=port) as second:
        second.keep(session(1, state=RUNNING))
        second.record(ONE, out(b"not again\r\n"))
        second.record(ONE, out(b"two\r\n"))
        viewer.until(lambda seen: seen.lines[:2] == ["one", "two"])
        assert [asked.first_chunk for asked in second.asked] == [1]
        viewer.press("q")
        assert viewer.end() == 0


def test_what_may_not_be_watched_is_an_error_and_no_screen(watch: Watch, running: FakeServer, alice: Any) -> None:
    running.told.clear()
    viewer = watch()
    assert viewer.end() == 6
    assert "\x1b[?1049h" not in viewer.text_seen
