"""Footprints are picked up whole, once, and with suspicion (SPEC 3.6, S12)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_agent import footprints
from jit_agent.changes import Bell
from jit_agent.errors import Malformed, SpoolUnavailable
from jit_agent.footprints import Footprints
from jit_agent.report_model import Applied, Change
from jit_agent.reports import Reports
from jit_agent.spool import Spool
from jit_protos.v1 import host_pb2

GRANT = "gnt-0000000000000001"
OTHER = "gnt-0000000000000002"
CHANGE = {"path": "/etc/sudoers.d/x", "kind": "sudoers", "what": "added"}
FOUND: dict[str, Any] = {"grant": GRANT, "before_at": 5, "after_at": 9, "changes": [CHANGE], "truncated": False}


class Fixed:
    def now_us(self) -> int:
        return 1_700_000_000_000_000


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[Reports]:
    opened = Reports(Spool(tmp_path / "spool.db", "hst-0000000000000001"), Fixed())
    yield opened
    opened.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "footprints"
    made.mkdir()
    return made


def put(directory: Path, grant: str = GRANT, content: bytes | None = None, **changes: Any) -> Path:
    """As the root program does: whole, by rename."""
    draft, final = directory / f".{grant}.new", directory / f"{grant}.json"
    draft.write_bytes(json.dumps(FOUND | {"grant": grant} | changes).encode() if content is None else content)
    draft.rename(final)
    return final


async def told(reports: Reports) -> list[host_pb2.Report]:
    return [host_pb2.Report.FromString(body) for _, body in await reports.pending(0, 100)]


async def test_a_footprint_is_reported_as_it_was_found(directory: Path, reports: Reports) -> None:
    put(directory)
    await Footprints(directory, reports).look()
    [report] = await told(reports)
    assert (report.grant_id, report.footprint.before_at, report.footprint.after_at) == (GRANT, 5, 9)
    [change] = report.footprint.changes
    assert (change.path, change.kind, change.what) == ("/etc/sudoers.d/x", "sudoers", "added")
    assert report.footprint.truncated is False


async def test_a_footprint_is_reported_once_also_by_an_agent_that_restarted(directory: Path, reports: Reports) -> None:
    put(directory)
    first = Footprints(directory, reports)
    await first.look()
    await first.look()
    await Footprints(directory, reports).look()
    put(directory, OTHER)
    await first.look()
    assert [report.grant_id for report in await told(reports)] == [GRANT, OTHER]


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def to_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "break_it",
    [
        lambda path: path.write_bytes(b"{"),
        lambda path: path.write_bytes(b" " * (footprints.MAX_FILE + 1)),
        lambda path: path.write_bytes(json.dumps(FOUND | {"grant": OTHER}).encode()),
        to_link,
        to_pipe,
        to_directory,
    ],
    ids=["not JSON", "too long", "another grant", "a link", "a pipe", "a directory"],
)
async def test_a_file_that_cannot_be_used_is_logged_once_and_stops_no_other(
    directory: Path, reports: Reports, break_it: Any, caplog: pytest.LogCaptureFixture
) -> None:
    break_it(put(directory))
    put(directory, OTHER)
    picking_up = Footprints(directory, reports)
    with caplog.at_level(logging.WARNING):
        await picking_up.look()
        await picking_up.look()
    assert [report.grant_id for report in await told(reports)] == [OTHER]
    assert [record.getMessage().split(" cannot")[0] for record in caplog.records] == [f"Footprint {GRANT}.json"]
    # Put right, it is reported.
    path = directory / f"{GRANT}.json"
    path.rmdir() if path.is_dir() else path.unlink()
    put(directory)
    await picking_up.look()
    assert [report.grant_id for report in await told(reports)] == [OTHER, GRANT]


async def test_what_is_no_comparison_of_a_grant_is_not_looked_into(directory: Path, reports: Reports) -> None:
    for name in (f"{GRANT}.before", f".{GRANT}.json", f"{GRANT}.json.new", "x.json", "gnt-1.json"):
        (directory / name).write_text("{")
    await Footprints(directory, reports).look()
    assert await told(reports) == []


async def test_a_host_without_the_directory_has_no_footprints(tmp_path: Path, reports: Reports) -> None:
    await Footprints(tmp_path / "none", reports).look()
    assert await told(reports) == []


async def test_a_spool_that_is_full_loses_no_footprint(directory: Path, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "small.db", "hst-0000000000000001", limit=1)
    reports = Reports(spool, Fixed())
    try:
        await reports.outcome(OTHER, Applied(1, "x.scope"))
        put(directory)
        picking_up = Footprints(directory, reports)
        with pytest.raises(SpoolUnavailable, match="the server has not taken"):
            await picking_up.look()
        await reports.acknowledge(1)
        await picking_up.look()
        assert [report.grant_id for report in await told(reports)] == [GRANT]
    finally:
        reports.close()


async def test_the_end_of_a_grant_is_a_reason_to_look(directory: Path, reports: Reports) -> None:
    ended = Bell()
    watching = asyncio.create_task(Footprints(directory, reports).watch(ended))
    try:
        await asyncio.sleep(0)
        put(directory)
        async with asyncio.timeout(10):
            while not await told(reports):
                ended.ring()
                await asyncio.sleep(0.01)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@pytest.mark.parametrize(
    "change",
    [
        {"grant": "../../etc"}, {"before_at": "5"}, {"before_at": True}, {"before_at": 10}, {"after_at": 2**53},
        {"changes": {}}, {"changes": [CHANGE] * 201}, {"changes": [CHANGE | {"what": "eaten"}]},
        {"changes": [CHANGE | {"kind": "\x1b[31m"}]}, {"changes": [CHANGE | {"path": ""}]},
        {"changes": [CHANGE | {"size": 1}]}, {"changes": [7]}, {"truncated": 0}, {"more": 1},
    ],
)  # fmt: skip
def test_a_footprint_with_one_thing_wrong_is_none(change: dict[str, Any]) -> None:
    assert footprints.parse(json.dumps(FOUND).encode()).changes == (Change("/etc/sudoers.d/x", "sudoers", "added"),)
    with pytest.raises(Malformed):
        footprints.parse(json.dumps(FOUND | change).encode())


def test_names_that_somebody_with_root_chose_are_visible_and_harmless() -> None:
    hostile = json.dumps(FOUND | {"changes": [CHANGE | {"path": "/etc/cron.d/a\n\x1b]0;x\x07\u202e"}]})
    [change] = footprints.parse(hostile.encode()).changes
    assert change.path == "/etc/cron.d/a\\x0a\\x1b]0;x\\x07\\u202e"


async def test_more_than_a_message_takes_is_cut_and_says_so(directory: Path, reports: Reports) -> None:
    """SPEC 7: a message to the server has 256 KiB at most."""
    many = [CHANGE | {"path": f"/{number:03}" + "x" * 4_000} for number in range(200)]
    put(directory, changes=many)
    await Footprints(directory, reports).look()
    [report] = await told(reports)
    assert report.ByteSize() < 220_000
    assert report.footprint.truncated is True
    assert [change.path for change in report.footprint.changes] == [
        str(one["path"]) for one in many[: len(report.footprint.changes)]
    ]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_footprint_or_refused(untrusted: bytes) -> None:
    with suppress(Malformed):
        assert footprints.parse(untrusted).grant_id
