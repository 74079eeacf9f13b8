"""What a decision asks of the store: people by their names, live grants by role, and when a factor was proved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jit_server.adapters.sql import SqlStore
from jit_server.domain.lifecycle import GrantMove, GrantState
from jit_server.domain.policy.circumstances import Login, LoginKind, address
from jit_server.store_values import CodeFactor, LiveCount
from jit_testing.server_fakes import START, a_grant, a_host, a_request, a_user


async def test_people_are_found_by_all_of_their_names_at_once(store: SqlStore) -> None:
    people = [a_user(f"user{number:04}") for number in range(1_200)]
    async with store.write() as tx:
        for person in people[:3]:
            await tx.people.add(person)
    async with store.read() as tx:
        assert await tx.people.named([person.name for person in people]) == people[:3]
        assert await tx.people.named(["user0001", "USER0002", "%"]) == [people[1]]
        assert await tx.people.named([]) == []


async def test_grants_that_live_or_will_are_counted_by_role_and_others_are_not(store: SqlStore) -> None:
    alice, bob, host = a_user("alice"), a_user("bob"), a_host()
    async with store.write() as tx:
        await tx.people.add(alice)
        await tx.people.add(bob)
        await tx.hosts.add(host)
        for person, role, state in (
            (alice, "web", GrantState.ISSUED),
            (alice, "web", GrantState.SCHEDULED),
            (bob, "web", GrantState.ISSUED),
            (bob, "db", GrantState.ISSUED),
            (alice, "ended", GrantState.ISSUED),
        ):
            request = a_request(person, host, role=role)
            await tx.requests.add(request)
            grant = a_grant(request, state=state)
            await tx.grants.add(grant)
            if role == "ended":
                await tx.grants.move(grant, GrantMove.REVOKE, ending_since=START)
    async with store.read() as tx:
        assert await tx.grants.count_live(alice.user_id) == {"web": LiveCount(2, 3), "db": LiveCount(0, 1)}
        assert await tx.grants.count_live("usr-nobody") == {"web": LiveCount(0, 3), "db": LiveCount(0, 1)}


async def test_a_proof_is_kept_by_person_and_host_until_the_factor_changes(store: SqlStore) -> None:
    alice, bob, web, db = a_user("alice"), a_user("bob"), a_host("web1"), a_host("db1")
    async with store.write() as tx:
        for person in (alice, bob):
            await tx.people.add(person)
        for host in (web, db):
            await tx.hosts.add(host)
        await tx.factors.set_proved(alice.user_id, web.host_id, START)
        await tx.factors.set_proved(alice.user_id, web.host_id, START + 5)
        await tx.factors.set_proved(bob.user_id, db.host_id, START + 9)
    async with store.write() as tx:
        assert await tx.factors.proved_at(alice.user_id, web.host_id) == START + 5
        assert await tx.factors.proved_at(alice.user_id, db.host_id) == 0
        assert await tx.factors.proved_at(bob.user_id, web.host_id) == 0
        await tx.factors.set_factor(alice.user_id, CodeFactor(b"another", 0))
        assert await tx.factors.proved_at(alice.user_id, web.host_id) == 0
        assert await tx.factors.proved_at(bob.user_id, db.host_id) == START + 9


@pytest.mark.parametrize(
    "login",
    [
        Login(),
        Login(LoginKind.SSH, address("10.1.2.3"), terminal=True),
        Login(LoginKind.SSH, address("2001:db8::1")),
        Login(LoginKind.CONSOLE, None, terminal=True),
    ],
)
async def test_the_login_that_asked_comes_back_with_the_request(store: SqlStore, login: Login) -> None:
    alice, host = a_user("alice"), a_host()
    request = replace(a_request(alice, host), login=login)
    async with store.write() as tx:
        await tx.people.add(alice)
        await tx.hosts.add(host)
        await tx.requests.add(request)
    async with store.read() as tx:
        assert await tx.requests.get(request.request_id) == request
