"""The host comes to what the server says, whichever of the two was lost, restored or slow (SPEC 5.2, 5.3, S1)."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import time
from typing import Any

import pytest

from jit_agent import server_session
from jit_agent.errors import SpoolUnavailable
from jit_agent.spool import Spool
from jit_protos.v1 import host_pb2
from jit_testing.fake_enforcer import FakeEnforcer, envelope

from .conftest import World
from .test_agent_stream import GRANT, OTHER, connected, settled, signed

THIRD = "gnt-0000000000000003"


async def push(world: World, *grants: host_pb2.SignedGrant) -> None:
    await world.server.push(*grants)
    await settled(world)


async def restart(world: World) -> None:
    await world.server.stop()
    await world.server.start()


def applied(world: World) -> list[tuple[str, int]]:
    """What the enforcer was told to apply so far, in order."""
    told = [base64.b64decode(one["grant"]) for one in world.enforcer.requests if one["op"] == "apply"]
    bodies = [json.loads(one[one.index(b"{") :]) for one in told]
    return [(body["grant"], body["revision"]) for body in bodies]


async def test_a_restored_server_that_knows_less_ends_the_rest(world: World) -> None:
    await connected(world)
    await push(world, signed(GRANT))
    await push(world, signed(GRANT), signed(OTHER))
    await world.server.stop()
    # Its generation is an older one, too.
    world.server.desired = host_pb2.DesiredState(generation=2, grants=[signed(GRANT)])
    await world.server.start()
    await settled(world)
    assert set(world.enforcer.live) == {GRANT}
    await world.server.until(lambda: bool(world.server.told("ended")))


async def test_a_restored_server_hears_again_what_it_lost(world: World) -> None:
    """It still believes in a grant that is over: only the old report can tell it how that ended."""
    await connected(world)
    await push(world, signed(GRANT), signed(OTHER))
    await world.enforcer.end(GRANT, "expired")
    await world.server.until(lambda: bool(world.server.told("ended")))
    [stream] = world.server.streams
    await world.server.stop()
    world.server.forget(above=1)
    await world.server.start()
    await world.server.until(lambda: bool(world.server.told("ended")))
    assert sorted(world.server.reports) == [(stream.hello.spool_id, number) for number in (1, 2, 3)]
    assert (world.server.told("ended")[0].reason, len(world.server.told("applied"))) == ("expired", 2)
    # Nor is it the end of the numbering.
    await world.enforcer.end(OTHER, "dropped")
    await world.server.until(lambda: len(world.server.told("ended")) == 2)
    assert max(world.server.reports) == (stream.hello.spool_id, 4)


async def test_a_server_that_lost_more_than_is_kept_here_is_told_the_rest_under_a_new_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connected(world)
    defaults = Spool.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "kept_longer", 1)
    await world.stop()
    await world.start()
    await connected(world)
    await push(world, signed(GRANT), signed(OTHER))
    await world.enforcer.end(GRANT, "expired")
    await world.server.until(lambda: bool(world.server.told("ended")))
    name = world.server.streams[-1].hello.spool_id
    await world.server.stop()
    world.server.forget(above=0)
    await world.server.start()
    await world.server.until(lambda: bool(world.server.told("ended")))
    [(renamed, number)] = world.server.reports
    assert (renamed != name, number) == (True, 1)
    await settled(world)


async def test_a_host_that_was_set_back_loses_no_report_to_its_old_numbers(world: World) -> None:
    """As a virtual machine that goes back to a snapshot: the server has reports this spool never made."""
    await connected(world)
    await push(world, signed(GRANT))
    await world.stop()
    snapshot = world.directory / "snapshot"
    snapshot.mkdir()
    for part in world.directory.glob("spool.db*"):
        shutil.copy(part, snapshot)
    await world.start()
    await world.enforcer.end(GRANT, "expired")
    await world.server.until(lambda: bool(world.server.told("ended")))
    await world.stop()
    for part in snapshot.iterdir():
        shutil.copy(part, world.directory)
    old = {name for name, _ in world.server.reports}
    await world.start()
    # What happened since the snapshot has its number on the server already; what happens now must not be taken for it.
    await push(world, signed(OTHER))

    def anew() -> dict[int, str]:
        return {number: report.grant_id for (name, number), report in world.server.reports.items() if name not in old}

    await world.server.until(lambda: OTHER in anew().values())
    assert sorted(anew()) == list(range(1, len(anew()) + 1))


async def test_a_restored_server_with_an_older_revision_learns_that_a_newer_one_is_in_force(world: World) -> None:
    await connected(world)
    for revision in (1, 2, 3):
        await push(world, signed(GRANT, revision))
    assert world.server.told("refused") == []
    await push(world, signed(GRANT, 2))
    await world.server.until(lambda: bool(world.server.told("refused")))
    [refused] = world.server.told("refused")
    assert (refused.code, refused.revision, world.enforcer.live[GRANT]["revision"]) == ("replayed", 2, 3)
    # It signs again above what the host has, and is obeyed.
    await push(world, signed(GRANT, 7))
    assert world.enforcer.live[GRANT]["revision"] == 7
    assert [one.revision for one in world.server.told("applied")] == [1, 2, 3, 7]


async def test_only_what_is_new_is_applied_and_the_rest_is_left_alone(world: World) -> None:
    await connected(world)
    await push(world, signed(GRANT), signed(OTHER))
    before = len(applied(world))
    await push(world, signed(GRANT, 2), signed(OTHER), signed(THIRD))
    assert applied(world)[before:] == [(GRANT, 2), (THIRD, 1)]
    assert {grant: live["revision"] for grant, live in world.enforcer.live.items()} == {GRANT: 2, OTHER: 1, THIRD: 1}


async def test_a_new_stream_applies_everything_once_more(world: World) -> None:
    """It mends a rule or scope that somebody took away."""
    await connected(world)
    await push(world, signed(GRANT), signed(OTHER))
    before = len(applied(world))
    await restart(world)
    await settled(world)
    assert applied(world)[before:] == [(GRANT, 1), (OTHER, 1)]
    assert len(world.server.told("applied")) == 2


async def test_a_revocation_overtakes_what_is_still_being_applied(world: World) -> None:
    await connected(world)
    await push(world, signed(GRANT))
    world.enforcer.may_apply.clear()
    many = [signed(f"gnt-00000000000001{number:02}") for number in range(20)]
    begun = len(world.enforcer.requests)
    await world.server.push(signed(GRANT), *many)
    await world.server.until(lambda: any(one["op"] == "apply" for one in world.enforcer.requests[begun:]))
    # Three states pile up behind the first grant that is being applied; only the newest counts.
    await world.server.push(signed(GRANT), *many[:10])
    await world.server.push(signed(GRANT), signed(OTHER))
    await world.server.push(*many[:2])
    newest = world.server.desired.generation
    while not world.server.streams[-1].outgoing.empty():
        await asyncio.sleep(0.001)
    # Once there and back over the same connection: the agent has heard what was said before.
    assert (await world.ask(op="ls"))["ok"] is True
    world.enforcer.may_apply.set()
    await settled(world)
    told = [one for one in world.enforcer.requests[begun:] if one["op"] in {"sync", "apply"}]
    # One grant was on its way when the revocation came; nothing else comes before it.
    assert [one["op"] for one in told[:3]] == ["sync", "apply", "sync"]
    assert GRANT not in told[2]["live"]
    assert world.server.streams[-1].settled[-1] == newest
    assert len([one for one in told if one["op"] == "apply"]) <= 1 + 2
    assert set(world.enforcer.live) == {one.grant_id for one in many[:2]}


async def test_a_revocation_is_in_force_long_before_a_second_has_passed(world: World) -> None:
    """Issue 3: "revocation … in force on the host within a second of the command"; here among fifty live grants."""
    await connected(world)
    many = [signed(f"gnt-00000000000001{number:02}") for number in range(50)]
    await push(world, *many)
    late: list[float] = []
    for left in range(49, 39, -1):
        await world.server.push(*many[:left])
        began = time.monotonic()
        gone = many[left].grant_id
        await world.server.until(lambda gone=gone: gone not in world.enforcer.live)  # type: ignore[misc]
        late.append(time.monotonic() - began)
    assert sorted(late)[len(late) // 2] < 0.25, late
    assert max(late) < 1.0, late


async def test_every_state_is_answered_also_one_that_only_renews_a_lease(world: World) -> None:
    """SPEC 2.6: a lease is signed again and again, under the same generation."""
    await connected(world)
    await push(world, signed(GRANT))
    [stream] = world.server.streams
    for revision in (2, 3):
        world.server.desired = host_pb2.DesiredState(
            generation=world.server.desired.generation, grants=[signed(GRANT, revision)]
        )
        stream.outgoing.put_nowait(host_pb2.ServerMessage(desired=world.server.desired))
        answers = len(stream.settled)
        await world.server.until(lambda answers=answers: len(stream.settled) > answers)  # type: ignore[misc]
        assert world.enforcer.live[GRANT]["revision"] == revision


async def test_a_host_with_a_lease_does_not_wait_long_for_a_server_that_is_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_session, "FIRST_RETRY_S", 600.0)
    monkeypatch.setattr(server_session, "LAST_RETRY_S", 600.0)
    await connected(world)
    lease = envelope(GRANT, not_after=4_000_000_000_000_000, until=4_000_000_060_000_000)
    await push(world, host_pb2.SignedGrant(grant_id=GRANT, revision=1, envelope=lease))
    await restart(world)
    await settled(world)
    # Beside it: without a lease it would have stayed away.
    assert server_session.longest_pause(0, lease=False) == 600.0


async def test_a_host_that_rebooted_holds_what_is_signed_for_its_new_boot(world: World) -> None:
    await connected(world)
    await push(world, signed(GRANT), signed(OTHER))
    await world.stop()
    path = world.enforcer.path
    ended = dict(world.enforcer.live)
    await world.enforcer.__aexit__(None, None, None)
    async with FakeEnforcer(path) as rebooted:
        rebooted.boot = "11111111-2222-3333-4444-555555555555"
        rebooted.live = ended
        for grant_id in (GRANT, OTHER):
            await rebooted.end(grant_id, "rebooted")
        del rebooted.ended[GRANT]
        world.server.desired = host_pb2.DesiredState(generation=9, grants=[signed(GRANT, 2)])
        await world.start()
        await settled(world)
        assert world.server.streams[-1].hello.boot_id == rebooted.boot
        assert {grant: live["revision"] for grant, live in rebooted.live.items()} == {GRANT: 2}
        await world.server.until(lambda: [one.reason for one in world.server.told("ended")] == ["rebooted"])


async def test_what_had_left_the_scope_is_told_with_the_end(world: World) -> None:
    await connected(world)
    await push(world, signed(GRANT))
    left: list[dict[str, Any]] = [{"pid": 77, "command": "sleep 1000\x1b[2J", "killed": False}]
    await world.enforcer.end(GRANT, "used", leftovers=left)
    await world.server.until(lambda: bool(world.server.told("ended")))
    [ended] = world.server.told("ended")
    assert ended.reason == "used"
    assert [(one.pid, one.command, one.killed) for one in ended.leftovers] == [(77, "sleep 1000\\x1b[2J", False)]


async def test_a_footprint_reaches_the_server_once(world: World) -> None:
    await connected(world)
    await push(world, signed(GRANT))
    change = {"path": "/etc/cron.d/x", "kind": "cron", "what": "added"}
    found = {"grant": GRANT, "before_at": 5, "after_at": 9, "changes": [change], "truncated": False}
    footprints = world.directory / "footprints"
    footprints.mkdir()
    (footprints / f"{GRANT}.json").write_text(json.dumps(found))
    await world.enforcer.end(GRANT, "expired")
    await world.server.until(lambda: bool(world.server.told("footprint")))
    [footprint] = world.server.told("footprint")
    assert [(one.path, one.kind, one.what) for one in footprint.changes] == [("/etc/cron.d/x", "cron", "added")]
    await world.stop()
    await world.start()
    await connected(world)
    await push(world, signed(OTHER))
    assert len(world.server.told("footprint")) == 1


async def test_a_disk_that_takes_nothing_holds_up_reports_and_no_revocation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S6: "Removing a right is never blocked by anything"."""
    await connected(world)
    world.server.keeps = False
    await push(world, signed(GRANT), signed(OTHER))
    name = world.server.streams[-1].hello.spool_id
    await world.server.stop()
    full = {"is": True}
    transact = Spool._transact

    def refuse(spool: Spool, work: Any) -> Any:
        if full["is"]:
            raise SpoolUnavailable("the spool cannot be written: disk full")
        return transact(spool, work)

    monkeypatch.setattr(Spool, "_transact", refuse)
    # The server has more than the host knows: its first word has to be noted on the disk.
    world.server.reports = {(name, number): host_pb2.Report(sequence=number) for number in (1, 2)}
    world.server.keeps = True
    world.server.desired = host_pb2.DesiredState(generation=7, grants=[signed(OTHER)])
    await world.server.start()
    await world.server.until(lambda: set(world.enforcer.live) == {OTHER}, within_s=20)
    full["is"] = False
    await world.server.until(lambda: bool(world.server.told("ended")), within_s=20)
