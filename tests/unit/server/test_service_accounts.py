"""Accounts of programs: theirs is what is active, and nothing that takes a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jit_server.domain.identity import Person
from jit_server.domain.policy.model import Eligibility, Party
from jit_server.errors import Denied, Invalid, Unauthenticated
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import PASSWORD, a_role


async def backup(world: CoreWorld) -> Person:
    view = await world.services.people.create_service(world.root, "backup", "")
    assert (view.user.service, view.user.mfa_enrolled) == (True, False)
    return Person(view.user.user_id)


async def test_a_service_has_its_active_roles_without_code_reason_and_approval(world: CoreWorld) -> None:
    await backup(world)
    host = await world.host()
    line = Eligibility(Party(people=frozenset({"backup"})), active=True, reason="nightly copies")
    await world.apply(replace(a_role("nightly", mfa=True, reason=True), eligible=(line,)))
    asked = await world.ask(host, "backup", "nightly", reason="")
    assert asked.grant is not None


async def test_a_service_is_eligible_for_nothing_that_has_to_be_asked_for(world: CoreWorld) -> None:
    service = await backup(world)
    host = await world.host()
    await world.apply(a_role(eligible=["backup", "alice"]))
    with pytest.raises(Denied, match="backup is not eligible for role web"):
        await world.ask(host, "backup")
    with pytest.raises(Unauthenticated):
        await world.services.renewals.ask(service, "web", "why")


async def test_a_service_approves_nothing(world: CoreWorld) -> None:
    service = await backup(world)
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role(approvers=["backup", "carol"]))
    asked = await world.ask(host)
    assert asked.approvers == ("carol",)
    with pytest.raises(Unauthenticated, match="no longer counts"):
        await world.services.decisions.approve(service, asked.request.request_id)


async def test_a_service_neither_logs_in_nor_has_a_second_factor(world: CoreWorld) -> None:
    await backup(world)
    with pytest.raises(Unauthenticated, match="login refused"):
        await world.services.login.login("backup", PASSWORD, "123456", "csr")
    (event,) = await world.events("login.failed")
    assert event.event.details["reason"] == "unknown, disabled or a service"
    with pytest.raises(Invalid, match="has no second factor"):
        await world.services.people.reset_mfa(world.root, "backup")
    assert "mfa.token_created" not in [
        recorded.event.kind.value for recorded in await world.events() if recorded.event.user == "backup"
    ]


async def test_only_an_administrator_adds_a_service(world: CoreWorld) -> None:
    alice = await world.person("alice")
    with pytest.raises(Denied, match="administrator"):
        await world.services.people.create_service(alice, "backup", "")
    await backup(world)
    (view,) = [one for one in await world.services.people.list_all(world.root) if one.user.name == "backup"]
    assert view.user.service
