"""What goes in comes out, what is asked for is found, and nothing beyond the scope is."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jit_server.adapters.sql import SqlStore
from jit_server.domain.ask import Ask, Command
from jit_server.domain.events import Event, EventKind, Query
from jit_server.domain.grant import Signature
from jit_server.domain.identity import Duty, Host, User
from jit_server.domain.lifecycle import GrantMove, GrantState, RequestMove, RequestState
from jit_server.domain.mfa import Factor
from jit_server.domain.policy import PolicyFile
from jit_server.domain.report import Hello
from jit_server.domain.request import Decision
from jit_server.errors import Conflict
from jit_server.store import CodeFactor, EnrollToken, MfaToken, Scope, StoredPolicy
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


async def test_people_come_back_as_they_went_in(store: SqlStore) -> None:
    admin = a_user("root-admin", account="alice", duties=[Duty.ADMIN, Duty.AUDITOR])
    async with store.write() as tx:
        await tx.people.add(admin)
    async with store.read() as tx:
        assert await tx.people.get(admin.user_id) == admin
        assert await tx.people.by_name("root-admin") == admin
        assert await tx.people.by_account("alice") == admin
        assert await tx.people.by_account("Alice") is None
        assert await tx.people.find(admin.user_id[:8]) == [admin]
        assert await tx.people.find("usr-%") == []
    async with store.write() as tx:
        await tx.people.set_disabled(admin.user_id, True)
        await tx.factors.set_factor(admin.user_id, CodeFactor(b"sealed", 7))
        assert await tx.people.get(admin.user_id) == replace(admin, disabled=True, mfa_enrolled=True)


@pytest.mark.parametrize(
    ("name", "account"), [("alice", ""), ("ALICE", ""), ("carol", "Alice"), ("al", ""), ("x", "AL")]
)
async def test_a_name_or_account_is_one_persons_in_any_letter_case(store: SqlStore, name: str, account: str) -> None:
    """S8: two people cannot be told apart by an alias of one of them."""
    async with store.write() as tx:
        await tx.people.add(a_user("alice", account="al"))
    with pytest.raises(Conflict, match="already"):
        async with store.write() as tx:
            await tx.people.add(a_user(name, account=account))
    async with store.write() as tx:
        await tx.people.add(a_user("carol", account="alicia"))


async def test_one_of_a_hundred_uses_of_a_step_at_once_is_the_first(store: SqlStore) -> None:
    alice, _, _ = await _people_and_host(store)
    async with store.write() as tx:
        await tx.factors.set_factor(alice.user_id, CodeFactor(b"sealed", 10))

    async def use(step: int) -> bool:
        async with store.write() as tx:
            return await tx.factors.use_step(alice.user_id, step)

    assert sum(await asyncio.gather(*(use(11) for _ in range(100)))) == 1
    assert not await use(11)
    assert not await use(5)
    assert await use(12)


async def test_without_a_factor_no_step_can_be_used(store: SqlStore) -> None:
    alice, _, _ = await _people_and_host(store)
    async with store.write() as tx:
        assert not await tx.factors.use_step(alice.user_id, 11)
        assert await tx.factors.factor(alice.user_id) is None


async def test_failures_and_locks_are_counted_by_person_and_factor(store: SqlStore) -> None:
    alice, bob, _ = await _people_and_host(store)
    async with store.write() as tx:
        await tx.factors.add_failure(alice.user_id, Factor.CODE, START)
        await tx.factors.add_failure(alice.user_id, Factor.CODE, START + 1)
        await tx.factors.add_failure(alice.user_id, Factor.PASSWORD, START + 2)
        await tx.factors.lock(alice.user_id, Factor.CODE, START + 9)
        await tx.factors.lock(alice.user_id, Factor.CODE, START + 10)
    async with store.read() as tx:
        assert sorted(await tx.factors.failures(alice.user_id, Factor.CODE)) == [START, START + 1]
        assert await tx.factors.failures(alice.user_id, Factor.PASSWORD) == [START + 2]
        assert await tx.factors.failures(bob.user_id, Factor.CODE) == []
        assert await tx.factors.locked_until(alice.user_id, Factor.CODE) == START + 10
        assert await tx.factors.locked_until(alice.user_id, Factor.PASSWORD) == 0
    async with store.write() as tx:
        await tx.factors.clear_failures(alice.user_id, Factor.CODE)
        assert await tx.factors.failures(alice.user_id, Factor.CODE) == []
        assert await tx.factors.failures(alice.user_id, Factor.PASSWORD) == [START + 2]


async def test_a_person_has_one_token_the_last_one(store: SqlStore) -> None:
    alice, _, _ = await _people_and_host(store)
    first, second = MfaToken(alice.user_id, b"1" * 32, START), MfaToken(alice.user_id, b"2" * 32, START + 1, b"sealed")
    async with store.write() as tx:
        await tx.factors.put_token(first)
        await tx.factors.put_token(second)
        assert await tx.factors.token(alice.user_id) == second
        await tx.factors.remove_token(alice.user_id)
        assert await tx.factors.token(alice.user_id) is None


async def test_hosts_come_back_as_they_went_in(store: SqlStore) -> None:
    host = a_host("web1", tier="web", env="prod")
    hello = Hello(BOOT, START + 400 * SECOND, "0.1", "1.9.13p3", "spool", ("no cgroup",))
    async with store.write() as tx:
        await tx.hosts.add(host)
        await tx.hosts.greet(host.host_id, hello, START)
        assert await tx.hosts.raise_generation(host.host_id) == 1
        assert await tx.hosts.raise_generation(host.host_id) == 2
    async with store.read() as tx:
        found = await tx.hosts.by_name("web1")
        assert found is not None
        assert (found.labels, found.connected, found.boot_id, found.generation) == (host.labels, True, BOOT, 2)
        assert found.problems == ("no cgroup", "its clock differs from the server's by 400 s")
        assert await tx.hosts.find(host.host_id) == [found] == list(await tx.hosts.all())
    async with store.write() as tx:
        await tx.hosts.set_seen(host.host_id, START + 5, 0)
        await tx.hosts.set_disconnected(host.host_id)
    async with store.read() as tx:
        found = await tx.hosts.get(host.host_id)
        assert found is not None
        assert (found.last_seen, found.connected, found.clock_is_off) == (START + 5, False, False)


async def test_a_host_name_is_free_again_once_its_host_was_removed(store: SqlStore) -> None:
    first, second = a_host("web1"), a_host("web1")
    async with store.write() as tx:
        await tx.hosts.add(first)
    with pytest.raises(Conflict, match="web1"):
        async with store.write() as tx:
            await tx.hosts.add(second)
    async with store.write() as tx:
        await tx.hosts.remove(first.host_id)
        await tx.hosts.add(second)
        found = await tx.hosts.by_name("web1")
        assert found is not None
        assert found.host_id == second.host_id


async def test_an_enrolment_token_is_used_once(store: SqlStore) -> None:
    host, other = a_host("web1"), a_host("web2")
    token = EnrollToken(b"h" * 32, "web1", {"tier": "web"}, START)
    async with store.write() as tx:
        await tx.hosts.add(host)
        await tx.hosts.add(other)
        await tx.hosts.add_token(token)
        assert await tx.hosts.token(b"h" * 32) == token
        assert await tx.hosts.use_token(b"h" * 32, host.host_id)
        assert not await tx.hosts.use_token(b"h" * 32, other.host_id)
        assert not await tx.hosts.use_token(b"x" * 32, other.host_id)
        assert await tx.hosts.token(b"h" * 32) == replace(token, used=True)


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
    commands = (Command("/usr/bin/systemctl", ("restart", "nginx")), Command("/usr/bin/journalctl", None))
    grant = replace(a_grant(request, commands=commands), approved_by=(bob.user_id,), reason=HOSTILE)
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


async def test_policy_versions_stay(store: SqlStore) -> None:
    stored = StoredPolicy(1, (PolicyFile("a.yaml", "text: ü\n"), PolicyFile("b.yaml", "")), "alice", START)
    async with store.write() as tx:
        assert await tx.policies.latest_version() == 0
        await tx.policies.add(stored)
        await tx.policies.add(replace(stored, version=2))
        assert await tx.policies.get(1) == stored
        assert await tx.policies.get(3) is None
        assert await tx.policies.latest_version() == 2
    with pytest.raises(Conflict):
        async with store.write() as tx:
            await tx.policies.add(stored)


async def test_audit_questions_are_answered_exactly(store: SqlStore) -> None:
    events = [
        Event(START + 1, EventKind.REQUEST_CREATED, "alice", "alice", "web1", "web", "req-0000000000000001"),
        Event(START + 2, EventKind.GRANT_ISSUED, "carol", "alice", "web1", "web", "req-0000000000000001", "gnt-1"),
        Event(START + 3, EventKind.REQUEST_CREATED, "bob", "bob", "db1", "db", "req-0000000000000002"),
        Event(START + 4, EventKind.GRANT_ENDED, "host web1", "alice", "web1", "web", details={"x": HOSTILE, "n": 1}),
    ]
    async with store.write() as tx:
        for event in events:
            await tx.audit.append(event)

    async def ask(query: Query) -> list[int]:
        async with store.read() as tx:
            return [recorded.sequence for recorded in await tx.audit.query(query)]

    async with store.read() as tx:
        assert [recorded.event for recorded in await tx.audit.query(Query())] == events
    assert await ask(Query(user="alice")) == [1, 2, 4]
    assert await ask(Query(host="db1")) == [3]
    assert await ask(Query(role="web", kind="grant")) == [2, 4]
    assert await ask(Query(kind="grant.ended")) == [4]
    assert await ask(Query(kind="gra")) == []
    assert await ask(Query(request_id="req-0000000000000001")) == [1, 2]
    assert await ask(Query(request_id="req-0000000")) == [1, 2, 3]
    assert await ask(Query(request_id="req-%")) == []
    assert await ask(Query(grant_id="gnt-1")) == [2]
    assert await ask(Query(since=START + 2, until=START + 3)) == [2, 3]
    assert await ask(Query(after=2)) == [3, 4]
    assert await ask(Query(limit=2)) == [1, 2]
    assert await ask(Query(limit=2, newest=True)) == [3, 4]
    assert await ask(Query(after=3, limit=2, newest=True)) == [4]
