"""Renewals of eligibilities, what is told of their ends, and batches of requests, on every store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from jit_server.adapters.sql import SqlStore
from jit_server.adapters.sql import engine as engines
from jit_server.domain.batch import Batch
from jit_server.domain.identity import Host, User
from jit_server.domain.policy.model import Renewal
from jit_server.domain.renewal import RenewalRequest, RenewalState
from jit_server.domain.request import Decision
from jit_server.errors import Conflict
from jit_server.store_values import EndNotice, Scope
from jit_testing.server_fakes import SECOND, START, a_host, a_request, a_user, an_id

DAY = 86_400 * SECOND
END = START + 7 * DAY
ALL = Scope(everything=True)


async def _people(store: SqlStore) -> tuple[User, User]:
    alice, carol = a_user("alice"), a_user("carol")
    async with store.write() as tx:
        await tx.people.add(alice)
        await tx.people.add(carol)
    return alice, carol


def a_renewal(user: User, role: str = "web", *, asked_at: int = START) -> RenewalRequest:
    return RenewalRequest(
        renewal_id=an_id("rnw"),
        role=role,
        user_id=user.user_id,
        asked_at=asked_at,
        reason="still on the team",
        until=END + 90 * DAY,
        line_until=END,
        lapses_at=asked_at + 14 * DAY,
    )


async def _added(store: SqlStore, *renewals: RenewalRequest) -> None:
    async with store.write() as tx:
        for renewal in renewals:
            await tx.renewals.add(renewal)


def _approved(renewal: RenewalRequest, by: User) -> RenewalRequest:
    vote = Decision(by.user_id, approved=True, reason="yes", at=START + 5)
    return replace(renewal, state=RenewalState.APPROVED, decision=vote)


async def test_a_renewal_is_found_by_its_id_and_by_those_who_may_see_it(store: SqlStore) -> None:
    alice, carol = await _people(store)
    mine, other = a_renewal(alice), a_renewal(carol, "db", asked_at=START + 1)
    await _added(store, mine, other)
    async with store.read() as tx:
        assert await tx.renewals.find(mine.renewal_id, ALL) == [mine]
        assert await tx.renewals.find(mine.renewal_id, Scope(user_id=carol.user_id)) == []
        assert await tx.renewals.select(ALL, limit=5) == [other, mine]
        assert await tx.renewals.select(ALL, limit=1) == [other]
        assert await tx.renewals.select(Scope(roles=frozenset({"web"})), limit=5) == [mine]
        assert await tx.renewals.pending(Scope(user_id=alice.user_id)) == [mine]
        assert await tx.renewals.lapsed(mine.lapses_at - 1) == []
        assert await tx.renewals.lapsed(mine.lapses_at) == [mine]


async def test_one_waits_for_a_role_and_a_person_at_a_time(store: SqlStore) -> None:
    alice, carol = await _people(store)
    first = a_renewal(alice)
    await _added(store, first, a_renewal(alice, "db"), a_renewal(carol))
    with pytest.raises(Conflict):
        await _added(store, a_renewal(alice))
    async with store.write() as tx:
        await tx.renewals.close(replace(first, state=RenewalState.LAPSED))
    await _added(store, a_renewal(alice))


async def test_an_approved_renewal_stands_until_its_end_or_its_lines(store: SqlStore) -> None:
    alice, carol = await _people(store)
    renewal = a_renewal(alice)
    await _added(store, renewal)
    granted = Renewal("web", alice.user_id, renewal.until, END)
    async with store.read() as tx:
        assert await tx.renewals.standing(START) == []
    approved = _approved(renewal, carol)
    async with store.write() as tx:
        await tx.renewals.close(approved)
    async with store.read() as tx:
        assert await tx.renewals.find(renewal.renewal_id, ALL) == [approved]
        assert await tx.renewals.standing(renewal.until - 1) == [granted]
        assert await tx.renewals.standing(renewal.until) == []
    async with store.write() as tx:
        await tx.renewals.end(granted, START + 9)
    async with store.read() as tx:
        assert await tx.renewals.standing(START) == []
        assert await tx.renewals.find(renewal.renewal_id, ALL) == [replace(approved, gone_at=START + 9)]


@pytest.mark.parametrize("state", [RenewalState.DENIED, RenewalState.LAPSED])
async def test_a_renewal_that_was_not_approved_gives_nothing_and_is_over(store: SqlStore, state: RenewalState) -> None:
    alice, carol = await _people(store)
    renewal = a_renewal(alice)
    await _added(store, renewal)
    async with store.write() as tx:
        await tx.renewals.close(replace(renewal, state=state))
    async with store.read() as tx:
        assert await tx.renewals.standing(START) == []
        assert await tx.renewals.pending(ALL) == []
    with pytest.raises(Conflict, match="already"):
        async with store.write() as tx:
            await tx.renewals.close(_approved(renewal, carol))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE renewals SET role = 'root'",
        "UPDATE renewals SET line_until = 1",
        "UPDATE renewals SET until = until + 1",
        "UPDATE renewals SET state = 'pending'",
        "UPDATE renewals SET decided_by = 'x'",
        "DELETE FROM renewals",
        "UPDATE eligibility_notices SET told_at = 1",
        "DELETE FROM eligibility_notices",
        "UPDATE batches SET user_id = 'x'",
        "DELETE FROM batches",
    ],
)
async def test_nothing_of_it_is_changed_behind_our_back(store: SqlStore, url: str, statement: str) -> None:
    alice, carol = await _people(store)
    renewal, host = a_renewal(alice), a_host()
    await _added(store, renewal)
    async with store.write() as tx:
        await tx.renewals.close(_approved(renewal, carol))
        await tx.renewals.tell(EndNotice("web", alice.user_id, False, END, 14), START)
        await tx.hosts.add(host)
        await tx.batches.add(_batch(alice, host))
    engine = engines.writer(url)
    try:
        with pytest.raises(Exception, match=r"decided once|fixed|never deleted|append-only"):
            async with engine.begin() as connection:
                await connection.execute(text(statement))
    finally:
        await engine.dispose()


async def test_each_end_is_told_once(store: SqlStore) -> None:
    alice, _ = await _people(store)
    notice = EndNotice("web", alice.user_id, False, END, 14)
    others = [replace(notice, days_left=1), replace(notice, active=True), replace(notice, until=END + 1)]
    async with store.write() as tx:
        assert await tx.renewals.tell(notice, START)
    async with store.write() as tx:
        assert not await tx.renewals.tell(notice, START + 5)
        assert all([await tx.renewals.tell(other, START) for other in others])


async def test_what_was_told_of_ends_after_an_instant_is_known(store: SqlStore) -> None:
    alice, carol = await _people(store)
    notice = EndNotice("web", alice.user_id, False, END, 14)
    others = [replace(notice, days_left=0), replace(notice, active=True), replace(notice, user_id=carol.user_id)]
    later = replace(notice, until=END + 1)
    async with store.read() as tx:
        assert not await tx.renewals.told(0)
    async with store.write() as tx:
        for one in (notice, *others, later):
            await tx.renewals.tell(one, START)
    async with store.read() as tx:
        assert set(await tx.renewals.told(END - 1)) == {notice, *others, later}
        assert set(await tx.renewals.told(END)) == {later}
        assert not await tx.renewals.told(END + 1)


def _batch(user: User, host: Host) -> Batch:
    return Batch(an_id("bat"), user.user_id, host.host_id, START, ("tier=web",), {"web9": "it is not connected"})


async def test_a_batch_knows_its_requests_and_who_was_left_out(store: SqlStore) -> None:
    alice, _ = await _people(store)
    web1, web2 = a_host("web1"), a_host("web2")
    batch, alone = _batch(alice, web1), a_request(alice, web1)
    made = [replace(a_request(alice, host), batch_id=batch.batch_id) for host in (web1, web2)]
    async with store.write() as tx:
        await tx.hosts.add(web1)
        await tx.hosts.add(web2)
        await tx.batches.add(batch)
        for request in (*made, alone):
            await tx.requests.add(request)
    async with store.write() as tx:
        changed = await tx.batches.leave_out(batch, "web2", "no longer allowed")
    async with store.read() as tx:
        found = await tx.requests.of_batches([batch.batch_id])
        assert sorted(found, key=lambda one: one.request_id) == made
        assert await tx.batches.of([batch.batch_id, "bat-0000000000000000"]) == {batch.batch_id: changed}
        assert await tx.batches.of([]) == {}
    assert changed.left_out == {"web9": "it is not connected", "web2": "no longer allowed"}
