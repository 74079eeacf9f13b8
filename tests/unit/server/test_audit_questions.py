"""Who may ask the audit log, and what a question may be."""

from __future__ import annotations

import asyncio

import pytest

from jit_server.adapters.changes import InProcessChanges
from jit_server.domain.events import Query
from jit_server.domain.identity import Duty
from jit_server.errors import Denied, Invalid, LimitExceeded
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import a_role


async def test_auditors_and_administrators_may_ask_and_nobody_else(world: CoreWorld) -> None:
    alice, auditor = await world.person("alice"), await world.person("otto", Duty.AUDITOR)
    assert len(await world.services.audit.query(auditor, Query())) == len(await world.events())
    with pytest.raises(Denied):
        await world.services.audit.query(alice, Query())


async def test_a_whole_elevation_is_told_in_order(world: CoreWorld) -> None:
    await world.person("alice")
    carol = await world.person("carol")
    host = await world.host()
    await world.apply(a_role())
    grant_id = await world.delivered(host, carol)
    told = await world.services.audit.query(world.root, Query(grant_id=grant_id[:10]))
    assert [recorded.event.kind for recorded in told] == ["grant.issued", "grant.active"]
    told = await world.services.audit.query(world.root, Query(request_id=told[0].event.request_id[4:]))
    assert [recorded.event.kind for recorded in told] == [
        "request.created",
        "request.approved",
        "grant.issued",
        "grant.active",
    ]
    assert {(recorded.event.user, recorded.event.host, recorded.event.role) for recorded in told} == {
        ("alice", "web1", "web")
    }
    everything = await world.events()
    assert [recorded.sequence for recorded in everything] == list(range(1, len(everything) + 1))


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query(limit=0), LimitExceeded),
        (Query(limit=10_001), LimitExceeded),
        (Query(kind="grant%"), Invalid),
        (Query(request_id="gnt-7"), Invalid),
        (Query(grant_id="%"), Invalid),
        (Query(after=-1), Invalid),
        (Query(since=-1), Invalid),
    ],
)
async def test_a_question_that_cannot_be_asked_is_refused(world: CoreWorld, query: Query, error: type[Invalid]) -> None:
    with pytest.raises(error):
        await world.services.audit.query(world.root, query)


async def test_hints_merge_and_reach_only_who_waits_for_them() -> None:
    changes = InProcessChanges()
    with changes.subscribe(["a", "b"]) as mine, changes.subscribe(["c"]) as other:
        changes.publish(["a"])
        changes.publish(["a", "b", "x"])
        assert await mine.wait() == {"a", "b"}
        waiting = asyncio.create_task(other.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        changes.publish(["c"])
        assert await waiting == {"c"}
    changes.publish(["a"])
    with changes.subscribe(["a"]) as late:
        waiting = asyncio.create_task(late.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
