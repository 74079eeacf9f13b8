"""Requests and grants in every store: what goes in comes out, moves once, and nothing beyond the scope is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jit_server.adapters.sql import SqlStore
from jit_server.domain.ask import Ask, Command
from jit_server.domain.grant import Signature
from jit_server.domain.identity import Host, User
from jit_server.domain.lifecycle import GrantMove, GrantState, RequestMove, RequestState
from jit_server.domain.pattern import Pattern
from jit_server.domain.request import Decision
from jit_server.errors import Conflict
from jit_server.store_values import Scope
from jit_testing.server_fakes import BOOT, SECOND, START, a_grant, a_host, a_request, a_user

EVERYTHING = Scope(everything=True)
HOSTILE = "x'; DROP TABLE users; -- \x1b]52;c;\u202e\u0000".replace("\u0000", "")


async def _people_and_host(store: SqlStore) -> tuple[User, User, Host]:
    alice, bob, host = a_user("alice"), a_user("bob"), a_host()
    async with store.write() as tx:
        await tx.people.add(alice)
        await tx.people.add(bob)
        await tx.hosts.add(host)
    return alice, bob, host


async def test_requests_come_back_as_they_went_in_hostile_text_and_all(store: SqlStore) -> None:
    alice, bob, host = await _people_and_host(store)
    ask = Ask(("/bin/sh", "-c", HOSTILE), "www-data", "adm", exact=True)
    request = replace(a_request(alice, host), ask=ask, reason=HOSTILE, ticket=HOSTILE, role_commands=("ALL", HOSTILE))
    vote = Decision(bob.user_id, True, HOSTILE, START + 1)
    async with store.write() as tx:
        await tx.requests.add(request)
        await tx.requests.add_decision(request.request_id, vote)
    async with store.read() as tx:
        assert await tx.requests.get(request.request_id) == replace(request, decisions=(vote,))


async def test_a_request_moves_only_from_the_state_it_was_read_in(store: SqlStore) -> None:
    alice, _, host = await _people_and_host(store)
    request = a_request(alice, host)
    async with store.write() as tx:
        await tx.requests.add(request)
    async with store.write() as tx:
        assert await tx.requests.move(request, RequestMove.APPROVE) is RequestState.APPROVED
    with pytest.raises(Conflict, match="meanwhile"):
        async with store.write() as tx:
            await tx.requests.move(request, RequestMove.DENY)


async def test_a_scope_is_what_a_caller_may_see(store: SqlStore) -> None:
    alice, bob, host = await _people_and_host(store)
    other_host = a_host("db1")
    requests = [
        a_request(alice, host, role="web", created_at=START),
        a_request(bob, host, role="web", created_at=START + 1),
        a_request(bob, other_host, role="db", created_at=START + 2),
    ]
    async with store.write() as tx:
        await tx.hosts.add(other_host)
        for request in requests:
            await tx.requests.add(request)
    a, b, c = (request.request_id for request in requests)

    async with store.read() as tx:

        async def seen(scope: Scope) -> list[str]:
            return [request.request_id for request in await tx.requests.select(scope)]

        assert await seen(Scope()) == []
        assert await seen(EVERYTHING) == [c, b, a]
        assert await seen(Scope(user_id=alice.user_id)) == [a]
        assert await seen(Scope(user_id=alice.user_id, roles=frozenset({"db"}))) == [c, a]
        assert await seen(Scope(user_id=bob.user_id, host_id=host.host_id)) == [b]
        assert await seen(Scope(everything=True, host_id=other_host.host_id)) == [c]
        assert await tx.requests.find(a, Scope(user_id=bob.user_id)) == []
        assert len(await tx.requests.find("req-", Scope(user_id=bob.user_id))) == 2
        assert len(await tx.requests.select(EVERYTHING, limit=2)) == 2
        assert await tx.requests.select(EVERYTHING, states=[RequestState.DENIED]) == []


async def test_pending_requests_lapse_at_their_instant_and_not_before(store: SqlStore) -> None:
    alice, _, host = await _people_and_host(store)
    request = a_request(alice, host)
    async with store.write() as tx:
        await tx.requests.add(request)
        assert await tx.requests.lapsed(request.lapses_at - 1) == []
        assert await tx.requests.lapsed(request.lapses_at) == [request]
        await tx.requests.move(request, RequestMove.LAPSE)
        assert await tx.requests.lapsed(request.lapses_at) == []


async def test_grants_come_back_as_they_went_in_and_keep_what_moves_give_them(store: SqlStore) -> None:
    alice, bob, host = await _people_and_host(store)
    request = a_request(alice, host)
    matching = Command("/usr/bin/systemctl", Pattern("^stop [a-z]+$"), "0a" * 32)
    commands = (Command("/usr/bin/systemctl", ("restart", "nginx")), Command("/usr/bin/journalctl", None), matching)
    grant = replace(a_grant(request, commands=commands), approved_by=(bob.user_id,), reason=HOSTILE)
    grant = replace(grant, directory="/srv/app", environment=("COLUMNS", "LINES"))
    async with store.write() as tx:
        await tx.requests.add(request)
        await tx.grants.add(grant)
        assert await tx.grants.get(grant.grant_id) == grant == await tx.grants.of_request(request.request_id)
        signature = Signature(1, BOOT, START, grant.not_after, START + 60 * SECOND, b"\0envelope")
        await tx.grants.set_signature(grant.grant_id, signature)
        await tx.grants.move(grant, GrantMove.ACTIVATE, applied_boot=BOOT)
        active = replace(grant, state=GrantState.ACTIVE, signature=signature, applied_boot=BOOT)
        assert await tx.grants.get(grant.grant_id) == active
        assert await tx.grants.count_open() == {host.host_id: 1}
        await tx.grants.move(active, GrantMove.REVOKE, end_reason="revoked", left_set_at=4, ending_since=START + 5)
        ending = replace(active, state=GrantState.ENDING, end_reason="revoked", left_set_at=4, ending_since=START + 5)
        assert await tx.grants.get(grant.grant_id) == ending
        await tx.grants.move(ending, GrantMove.END, ended_at=START + 7)
        assert await tx.grants.get(grant.grant_id) == replace(ending, state=GrantState.ENDED, ended_at=START + 7)
        assert await tx.grants.count_open() == {}


async def test_what_makes_a_grant_or_request_a_special_one_is_kept(store: SqlStore) -> None:
    alice, _, host = await _people_and_host(store)
    special = replace(a_request(alice, host), once=True, session=2**32 - 2, starts_at=START + 9)
    extension = replace(a_request(alice, host), extends="gnt-0000000000000009")
    scheduled = replace(
        a_grant(special, state=GrantState.SCHEDULED), term_s=900, once=True, session=2**32 - 2, lease_s=120
    )
    async with store.write() as tx:
        await tx.requests.add(special)
        await tx.requests.add(extension)
        await tx.grants.add(scheduled)
    async with store.write() as tx:
        assert await tx.requests.get(special.request_id) == special
        assert await tx.grants.get(scheduled.grant_id) == scheduled
        assert await tx.grants.count_open() == {}
        assert await tx.requests.extending("gnt-0000000000000009") == [extension]
        assert await tx.requests.extending("gnt-0000000000000008") == []
        await tx.requests.move(extension, RequestMove.DENY)
        assert await tx.requests.extending("gnt-0000000000000009") == []


async def test_a_grant_is_overdue_by_the_last_bytes_made_or_by_the_order_to_end_it(store: SqlStore) -> None:
    alice, _, host = await _people_and_host(store)
    never_signed, signed, leased, ended, not_started = [
        a_grant(a_request(alice, host), state=state) for state in [GrantState.ISSUED] * 4 + [GrantState.SCHEDULED]
    ]
    end = signed.not_after
    async with store.write() as tx:
        for grant in (never_signed, signed, leased, ended, not_started):
            await tx.requests.add(replace(a_request(alice, host), request_id=grant.request_id))
            await tx.grants.add(grant)
        await tx.grants.set_signature(signed.grant_id, Signature(1, BOOT, START, end, end, b"x"))
        await tx.grants.set_signature(leased.grant_id, Signature(1, BOOT, START, end, START + 60 * SECOND, b"x"))
        await tx.grants.set_signature(ended.grant_id, Signature(1, BOOT, START, end, end, b"x"))
        await tx.grants.move(ended, GrantMove.REVOKE, ending_since=START + 100 * SECOND)

        async def overdue(at: int) -> set[str]:
            return {grant.grant_id for grant in await tx.grants.overdue(at)}

        assert await overdue(START + 65 * SECOND - 1) == set()
        assert await overdue(START + 65 * SECOND) == {leased.grant_id}
        assert await overdue(START + 105 * SECOND - 1) == {leased.grant_id}
        assert await overdue(START + 105 * SECOND) == {leased.grant_id, ended.grant_id}
        assert await overdue(end) == {leased.grant_id, ended.grant_id, never_signed.grant_id}
        everything = {grant.grant_id for grant in (never_signed, signed, leased, ended)}
        assert await overdue(end + 5 * SECOND) == everything
        for grant_id in everything:
            silent = await tx.grants.get(grant_id)
            assert silent is not None
            await tx.grants.move(silent, GrantMove.SILENCE, unconfirmed_at=end)
        assert await overdue(end + 5 * SECOND) == set()


async def test_scheduled_grants_are_found_when_their_start_has_come(store: SqlStore) -> None:
    alice, _, host = await _people_and_host(store)
    async with store.write() as tx:
        assert await tx.grants.next_start() == 0
        grants = []
        for seconds in (20, 10):
            request = a_request(alice, host)
            grant = replace(a_grant(request, state=GrantState.SCHEDULED), not_before=START + seconds * SECOND)
            await tx.requests.add(request)
            await tx.grants.add(grant)
            grants.append(grant)
        later, sooner = grants
        assert await tx.grants.next_start() == sooner.not_before
        assert await tx.grants.to_start(sooner.not_before - 1) == []
        assert await tx.grants.to_start(later.not_before) == [sooner, later]
        await tx.grants.move(sooner, GrantMove.START)
        await tx.grants.move(later, GrantMove.REFUSE, end_reason="locked")
        assert await tx.grants.next_start() == 0
        assert await tx.grants.to_start(later.not_before) == []


async def test_a_grant_is_extended_from_the_end_it_was_read_with(store: SqlStore) -> None:
    alice, _, host = await _people_and_host(store)
    request = a_request(alice, host)
    grant = a_grant(request)
    async with store.write() as tx:
        await tx.requests.add(request)
        await tx.grants.add(grant)
        longer = await tx.grants.extend(grant, grant.not_after + SECOND, 601)
        assert longer == replace(grant, not_after=grant.not_after + SECOND, term_s=601, extensions=1)
        assert await tx.grants.get(grant.grant_id) == longer
    with pytest.raises(Conflict, match="meanwhile"):
        async with store.write() as tx:
            await tx.grants.extend(grant, grant.not_after + 2 * SECOND, 602)


async def test_bytes_that_count_no_more_keep_their_revision(store: SqlStore) -> None:
    alice, _, host = await _people_and_host(store)
    request = a_request(alice, host)
    grant = a_grant(request)
    signature = Signature(7, BOOT, START, grant.not_after, grant.not_after, b"seven")
    async with store.write() as tx:
        await tx.requests.add(request)
        await tx.grants.add(grant)
        await tx.grants.set_signature(grant.grant_id, signature)
        await tx.grants.void_signature(grant.grant_id)
        voided = replace(grant, signature=replace(signature, boot_id=""))
        assert await tx.grants.get(grant.grant_id) == voided
        assert voided.needs_signature(BOOT, START)


async def test_a_grant_moves_only_from_the_state_it_was_read_in(store: SqlStore) -> None:
    alice, _, host = await _people_and_host(store)
    request = a_request(alice, host)
    grant = a_grant(request)
    async with store.write() as tx:
        await tx.requests.add(request)
        await tx.grants.add(grant)
        await tx.grants.move(grant, GrantMove.END)
    with pytest.raises(Conflict, match="meanwhile"):
        async with store.write() as tx:
            await tx.grants.move(grant, GrantMove.ACTIVATE)


async def test_a_revision_is_signed_once(store: SqlStore) -> None:
    alice, _, host = await _people_and_host(store)
    request = a_request(alice, host)
    grant = a_grant(request)
    async with store.write() as tx:
        await tx.requests.add(request)
        await tx.grants.add(grant)
        await tx.grants.set_signature(grant.grant_id, Signature(2, BOOT, START, START, START, b"two"))
    for revision in (1, 2):
        with pytest.raises(Conflict, match="meanwhile"):
            async with store.write() as tx:
                other = Signature(revision, BOOT, START, START, START, b"other")
                await tx.grants.set_signature(grant.grant_id, other)
