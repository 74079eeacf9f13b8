"""The spool (SPEC 5.3, S7): numbered without gaps, kept until acknowledged, and true after any crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jit_agent.errors import SpoolUnavailable
from jit_agent.spool import Spool

HOST = "hst-0000000000000001"
GRANT = "gnt-0000000000000001"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def test_reports_are_numbered_from_one_and_survive_a_new_start(path: Path) -> None:
    spool = Spool(path, HOST)
    assert [spool.append(b"a"), spool.append(b"b")] == [1, 2]
    name = spool.spool_id
    spool.close()
    again = Spool(path, HOST)
    assert again.spool_id == name
    assert again.pending(0, 10) == [(1, b"a"), (2, b"b")]
    assert again.append(b"c") == 3
    again.close()


def test_what_the_server_keeps_goes_and_its_number_never_comes_back(path: Path) -> None:
    spool = Spool(path, HOST)
    for body in (b"a", b"b", b"c"):
        spool.append(body)
    spool.acknowledge(2)
    assert spool.pending(0, 10) == [(3, b"c")]
    spool.acknowledge(3)
    spool.close()
    again = Spool(path, HOST)
    assert (again.acknowledged, again.append(b"d")) == (3, 4)
    again.close()


def test_an_acknowledgement_of_what_was_never_sent_loses_nothing(path: Path) -> None:
    spool = Spool(path, HOST)
    spool.append(b"a")
    spool.acknowledge(99)
    assert spool.append(b"b") == 2
    assert spool.pending(0, 10) == [(2, b"b")]
    spool.acknowledge(1)
    assert spool.acknowledged == 1
    spool.close()


CRASH = """
import os, sys
from pathlib import Path
from jit_agent.spool import Spool
spool = Spool(Path(sys.argv[1]), sys.argv[2])
for number in range(int(sys.argv[3])):
    spool.append(b"%d" % number)
    os.write(1, b"%d\\n" % number)
spool.append_session("ses-0000000000000001", [(20, b"started")])
os._exit(9)
"""


def test_everything_that_was_told_as_stored_is_there_after_a_crash(path: Path) -> None:
    for crash in (1, 2):
        done = subprocess.run(
            [sys.executable, "-c", CRASH, str(path), HOST, "7"], capture_output=True, check=False, env=os.environ
        )
        assert done.returncode == 9, done.stderr
        spool = Spool(path, HOST)
        told = [line.encode() for line in done.stdout.decode().split()]
        reports = [body for _, body in spool.pending(0, 100)]
        assert reports[-8:] == [*told, b"started"]
        assert [number for number, _ in spool.pending(0, 100)] == list(range(1, 8 * crash + 1))
        spool.close_session("ses-0000000000000001", None)
        spool.forget_sessions([])
        spool.close()


SESSION = "ses-0000000000000001"


def test_what_a_session_tells_is_stored_once_however_often_its_stream_is_read(path: Path) -> None:
    spool = Spool(path, HOST)
    assert spool.append_session(SESSION, [(100, b"started"), (150, b"make")]) == 2
    spool.close()
    again = Spool(path, HOST)
    assert again.append_session(SESSION, [(100, b"started"), (150, b"make"), (180, b"cc")]) == 3
    assert again.append_session(SESSION, [(100, b"started"), (150, b"make"), (180, b"cc")]) is None
    # Another session has a stream of its own.
    assert again.append_session("ses-0000000000000002", [(100, b"other")]) == 4
    assert [body for _, body in again.pending(0, 10)] == [b"started", b"make", b"cc", b"other"]
    again.close()


def test_a_session_ends_once_and_is_forgotten_when_nothing_is_left_of_it(path: Path) -> None:
    spool = Spool(path, HOST)
    spool.append_session(SESSION, [(100, b"started")])
    assert not spool.is_closed(SESSION)
    assert spool.close_session(SESSION, b"ended") == 2
    assert spool.is_closed(SESSION)
    assert spool.close_session(SESSION, b"ended") is None
    assert spool.append_session(SESSION, [(200, b"late")]) is None
    assert spool.close_session("ses-0000000000000002", b"other", [SESSION]) == 3
    assert not spool.is_closed(SESSION)
    spool.forget_sessions([SESSION])
    assert not spool.is_closed("ses-0000000000000002")
    spool.close()


def test_what_is_left_to_tell_of_a_session_is_stored_with_its_end_and_once(path: Path) -> None:
    spool = Spool(path, HOST)
    spool.append_session(SESSION, [(100, b"started")])
    assert spool.close_session(SESSION, b"ended", events=[(100, b"started"), (150, b"make")]) == 3
    assert [body for _, body in spool.pending(0, 9)] == [b"started", b"make", b"ended"]
    assert spool.close_session(SESSION, b"ended", events=[(150, b"make")]) is None
    assert spool.close_session("ses-0000000000000003", None, events=[(9, b"rejected")]) == 4
    spool.close()


def test_a_session_that_cannot_be_recorded_is_refused_while_ends_of_grants_still_fit(path: Path) -> None:
    spool = Spool(path, HOST, limit=1_003)
    spool.require_room()
    for number in range(3):
        spool.append_session(f"ses-{number:016d}", [(1, b"started")])
    with pytest.raises(SpoolUnavailable, match="3 reports the server has not taken"):
        spool.require_room()
    with pytest.raises(SpoolUnavailable, match="3 reports the server has not taken"):
        spool.append_session("ses-0000000000000009", [(1, b"started")])
    assert spool.append_outcome(GRANT, 1, "ended", b"proof", at=1) == 4
    assert spool.close_session("ses-0000000000000000", b"ended") == 5
    spool.acknowledge(5)
    spool.require_room()
    spool.close()


def test_a_full_spool_takes_nothing_and_loses_nothing(path: Path) -> None:
    spool = Spool(path, HOST, limit=5)
    for _ in range(5):
        spool.append(b"x")
    with pytest.raises(SpoolUnavailable):
        spool.append(b"y")
    assert (len(spool.pending(0, 10)), spool.last) == (5, 5)
    spool.close()


def test_a_full_disk_is_an_error_and_the_next_number_is_not_wasted(path: Path) -> None:
    spool = Spool(path, HOST)
    spool.append(b"a")
    pages = spool._db.execute("pragma page_count").fetchone()[0]
    spool._db.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(SpoolUnavailable, match="full"):
        spool.append(b"x" * 1_000_000)
    spool._db.execute("pragma max_page_count = 100000")
    assert spool.append(b"b") == 2
    assert spool.pending(0, 10) == [(1, b"a"), (2, b"b")]
    spool.close()


def test_an_outcome_is_one_report_however_often_it_is_told(path: Path) -> None:
    spool = Spool(path, HOST)
    assert spool.append_outcome(GRANT, 1, "applied", b"a", at=1) == 1
    assert spool.append_outcome(GRANT, 1, "applied", b"a", at=2) is None
    assert spool.append_outcome(GRANT, 2, "applied", b"a", at=3) == 2
    assert spool.append_outcome(GRANT, 2, "ended", b"e", at=4) == 3
    assert spool.append_outcome(GRANT, 2, "ended", b"e", at=5) is None
    spool.close()


def test_a_refusal_of_what_was_in_force_in_this_revision_is_no_news(path: Path) -> None:
    spool = Spool(path, HOST)
    assert spool.append_outcome(GRANT, 1, "refused", b"r", at=1) == 1
    assert spool.append_outcome(GRANT, 2, "applied", b"a", at=1) == 2
    assert spool.append_outcome(GRANT, 2, "refused", b"r", at=1) is None
    assert spool.append_outcome(GRANT, 3, "refused", b"r", at=1) == 3
    assert spool.append_outcome(GRANT, 2, "ended", b"e", at=1) == 4
    assert spool.append_outcome(GRANT, 4, "refused", b"r", at=1, too_late=True) is None
    # After a reboot it may be signed again, and refused for another reason than its end.
    assert spool.append_outcome(GRANT, 5, "refused", b"r", at=1) == 5
    spool.close()


def test_that_a_newer_revision_is_in_force_is_news_to_a_server_that_has_forgotten_it(path: Path) -> None:
    spool = Spool(path, HOST)
    for revision in (1, 2, 3):
        spool.append_outcome(GRANT, revision, "applied", b"a", at=1)
    assert spool.append_outcome(GRANT, 3, "refused", b"r", at=1, too_late=True) is None
    assert spool.append_outcome(GRANT, 2, "refused", b"r", at=1, too_late=True) == 4
    assert spool.append_outcome(GRANT, 2, "refused", b"r", at=2, too_late=True) is None
    spool.close()


def filled(path: Path, count: int, *, acknowledged: int, kept_longer: int = 10_000) -> Spool:
    spool = Spool(path, HOST, kept_longer=kept_longer)
    for number in range(1, count + 1):
        spool.append(b"%d" % number)
    spool.acknowledge(acknowledged)
    return spool


def test_a_server_that_lost_reports_is_told_them_again_under_the_same_numbers(path: Path) -> None:
    """SPEC 5.3: a server restored from a backup says less than it once did."""
    spool = filled(path, 5, acknowledged=4)
    name = spool.spool_id
    assert spool.agree(2) is False
    assert (spool.spool_id, spool.acknowledged, spool.last) == (name, 2, 5)
    assert spool.pending(0, 10) == [(3, b"3"), (4, b"4"), (5, b"5")]
    spool.close()
    again = Spool(path, HOST)
    assert (again.acknowledged, again.append(b"6")) == (2, 6)
    again.close()


def test_what_a_server_lost_and_this_host_no_longer_has_ends_the_numbering(path: Path) -> None:
    spool = filled(path, 6, acknowledged=5, kept_longer=2)
    name = spool.spool_id
    assert spool.agree(1) is True
    assert spool.spool_id != name
    assert spool.pending(0, 10) == [(1, b"4"), (2, b"5"), (3, b"6")]
    renamed = spool.spool_id
    spool.close()
    again = Spool(path, HOST)
    assert (again.spool_id, again.acknowledged, again.append(b"7")) == (renamed, 0, 4)
    again.close()


def test_a_host_that_was_set_back_does_not_reuse_numbers_the_server_has(path: Path) -> None:
    spool = filled(path, 3, acknowledged=2)
    name = spool.spool_id
    assert spool.agree(9) is True
    assert spool.spool_id != name
    assert (spool.pending(0, 10), spool.append(b"new")) == ([(1, b"3")], 2)
    spool.close()


def test_a_new_numbering_of_nothing_starts_at_one(path: Path) -> None:
    spool = Spool(path, HOST)
    assert spool.agree(7) is True
    assert (spool.pending(0, 10), spool.append(b"first")) == ([], 1)
    spool.close()


def test_a_server_that_says_what_it_said_changes_nothing(path: Path) -> None:
    spool = filled(path, 5, acknowledged=3)
    name = spool.spool_id
    assert [spool.agree(kept) for kept in (3, 4, 5)] == [False, False, False]
    assert (spool.spool_id, spool.acknowledged, spool.pending(0, 10)) == (name, 5, [])
    spool.close()


def test_only_so_many_reports_stay_after_the_server_has_them(path: Path) -> None:
    spool = filled(path, 9, acknowledged=9, kept_longer=3)
    assert spool._db.execute("select min(sequence), count(*) from report").fetchone() == (7, 3)
    assert (spool.pending(0, 10), spool.append(b"next")) == ([], 10)
    spool.close()


def test_outcomes_are_forgotten_when_they_are_old_and_no_longer_listed(path: Path) -> None:
    spool = Spool(path, HOST)
    other = "gnt-0000000000000002"
    for grant in (GRANT, other):
        spool.append_outcome(grant, 1, "applied", b"a", at=10)
    spool.forget_outcomes(before=11, listed=[GRANT])
    assert spool.append_outcome(GRANT, 1, "applied", b"a", at=12) is None
    assert spool.append_outcome(other, 1, "applied", b"a", at=12) == 3
    spool.close()


def test_a_host_enrolled_anew_starts_a_new_spool_and_keeps_the_old_file(path: Path) -> None:
    spool = Spool(path, HOST)
    spool.append(b"old")
    old_name = spool.spool_id
    spool.close()
    new = Spool(path, "hst-0000000000000002")
    assert (new.spool_id != old_name, new.pending(0, 10), new.append(b"new")) == (True, [], 1)
    new.close()
    aside = Spool(path.with_name(f"spool-{HOST}.db"), HOST)
    assert aside.pending(0, 10) == [(1, b"old")]
    aside.close()


def test_a_file_that_is_no_spool_is_an_error_of_ours(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(SpoolUnavailable, match="cannot be opened"):
        Spool(path, HOST)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.just("append"), st.just("reopen"), st.integers(0, 12)), max_size=20))
def test_the_pending_reports_are_always_those_beyond_the_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str | int]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "spool.db"
    spool, last, kept = Spool(path, HOST), 0, 0
    for step in steps:
        if step == "append":
            last += 1
            assert spool.append(b"%d" % last) == last
        elif step == "reopen":
            spool.close()
            spool = Spool(path, HOST)
        else:
            kept = max(kept, min(int(step), last))
            spool.acknowledge(int(step))
        assert [number for number, _ in spool.pending(0, 100)] == list(range(kept + 1, last + 1))
    spool.close()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["append", "keep", "reopen"]), min_size=1, max_size=25),
    st.integers(0, 30),
    st.integers(1, 5),
)
def test_whatever_a_server_says_it_keeps_it_is_told_all_else_that_is_here(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], kept: int, kept_longer: int
) -> None:
    path = tmp_path_factory.mktemp("spool") / "spool.db"
    spool, made, confirmed = Spool(path, HOST, kept_longer=kept_longer), 0, 0
    for step in steps:
        if step == "append":
            made += 1
            spool.append(b"%d" % made)
        elif step == "keep":
            confirmed = made
            spool.acknowledge(spool.last)
        else:
            spool.close()
            spool = Spool(path, HOST, kept_longer=kept_longer)
    gone = max(0, confirmed - kept_longer)
    # A server that keeps more than was ever made speaks of another history; what it never confirmed is told it.
    known = max(kept, gone) if kept <= made else confirmed
    begun_anew = spool.agree(kept)
    assert begun_anew is (kept < gone or kept > made)
    first = 0 if begun_anew else kept
    told = spool.pending(0, 100)
    assert [int(body) for _, body in told] == list(range(known + 1, made + 1))
    assert [number for number, _ in told] == list(range(first + 1, spool.last + 1))
    spool.close()
