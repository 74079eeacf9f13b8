"""Grants that end when the server has not been heard (SPEC 2.6): signed for a while, again and again."""

from __future__ import annotations

from typing import Any

import pytest

from jit_server.domain.identity import HostCaller, Person
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.report import GrantRefused
from jit_testing.core_world import CoreWorld, proof
from jit_testing.server_fakes import BOOT, OTHER_BOOT, SECOND, START, a_role

LEASE_S = 60
ROLE = a_role(lease_s=LEASE_S, max_s=3_600)


async def _leased(world: CoreWorld, **ask: Any) -> tuple[HostCaller, Person, str]:
    """alice's grant in force on web1, for ten minutes."""
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(ROLE)
    grant_id = await world.granted(host, carol, **({"duration_s": 600} | ask))
    await world.take(host, grant_id)
    return host, carol, grant_id


async def test_it_is_signed_for_the_lease_and_promised_to_its_end(world: CoreWorld) -> None:
    host, _, grant_id = await _leased(world)
    payload = await world.signed(host, grant_id)
    assert (payload["not_after"], payload["until"]) == (START + LEASE_S * SECOND, START + 600 * SECOND)
    assert payload["remaining_s"] == LEASE_S


async def test_it_is_renewed_after_each_third_without_any_event(world: CoreWorld) -> None:
    host, _, grant_id = await _leased(world)
    events, generation = await world.kinds(), await world.services.delivery.generation(host)
    first = await world.signed(host, grant_id)
    desired = await world.services.delivery.desired_state(host, BOOT)
    assert desired.renew_in_s == LEASE_S / 3
    world.clock.advance(LEASE_S / 3 - 0.001)
    assert await world.signed(host, grant_id) == first
    world.clock.advance(0.001)
    second = await world.signed(host, grant_id)
    assert second["revision"] > first["revision"]
    assert second["not_after"] == world.clock.now() + LEASE_S * SECOND
    assert second["until"] == first["until"]
    assert await world.services.delivery.generation(host) == generation
    assert await world.kinds() == events
    assert await world.state(grant_id) is GrantState.ACTIVE


async def test_the_last_lease_reaches_the_end_and_is_not_renewed(world: CoreWorld) -> None:
    host, _, grant_id = await _leased(world)
    for _ in range(28):
        world.clock.advance(20)
        last = await world.signed(host, grant_id)
    assert last["not_after"] == last["until"] == START + 600 * SECOND
    world.clock.advance(39)
    assert await world.signed(host, grant_id) == last
    assert (await world.services.delivery.desired_state(host, BOOT)).renew_in_s is None
    world.clock.advance(1)
    assert await world.wanted(host) == []
    await world.report(host, grant_id, proof("expired", revision=last["revision"]))
    assert (await world.grant(grant_id)).end_reason == "expired"


async def test_a_host_cut_off_ends_it_by_itself_and_says_so_when_it_is_back(world: CoreWorld) -> None:
    host, _, grant_id = await _leased(world)
    world.clock.advance(LEASE_S)
    await world.report(host, grant_id, proof("expired"))
    grant = await world.grant(grant_id)
    assert (grant.state, grant.end_reason) == (GrantState.ENDED, "lease")
    (event,) = await world.events("grant.ended")
    assert event.event.details["reason"] == "lease"


async def test_a_clock_that_is_behind_does_not_make_an_end_by_time_look_like_a_lost_server(world: CoreWorld) -> None:
    host, _, grant_id = await _leased(world, duration_s=50)
    await world.hello(host, ahead_s=-200)
    world.clock.advance(50)
    at_the_host = world.clock.now() - 200 * SECOND
    await world.report(host, grant_id, proof("expired"), at=at_the_host)
    assert (await world.grant(grant_id)).end_reason == "expired"


async def test_a_host_cut_off_is_shown_as_unconfirmed_after_the_lease_and_a_grace(world: CoreWorld) -> None:
    host, _, grant_id = await _leased(world)
    world.clock.advance(LEASE_S + 4.9)
    await world.services.grants.expire()
    assert await world.state(grant_id) is GrantState.ACTIVE
    world.clock.advance(0.1)
    await world.services.grants.expire()
    grant = await world.grant(grant_id)
    assert (grant.state, grant.end_reason) == (GrantState.UNCONFIRMED, "lease")
    await world.report(host, grant_id, proof("expired"))
    assert (await world.grant(grant_id)).end_reason == "lease"
    assert await world.state(grant_id) is GrantState.ENDED


async def test_a_lease_that_ran_out_is_never_renewed(world: CoreWorld) -> None:
    """The host has ended it: nothing may make it look as if it had not."""
    host, _, grant_id = await _leased(world)
    world.clock.advance(LEASE_S)
    assert await world.wanted(host) == []
    assert (await world.grant(grant_id)).revision == 1
    await world.hello(host, boot=OTHER_BOOT)
    assert await world.wanted(host, OTHER_BOOT) == []
    assert await world.kinds("grant.issued") == ["grant.issued"]


async def test_a_reboot_within_the_lease_is_lived_through(world: CoreWorld) -> None:
    host, _, grant_id = await _leased(world)
    world.clock.advance(30)
    await world.hello(host, boot=OTHER_BOOT)
    payload = await world.signed(host, grant_id, OTHER_BOOT)
    assert payload["not_after"] == world.clock.now() + LEASE_S * SECOND


async def test_an_extension_within_the_last_lease_makes_it_a_lease_again(world: CoreWorld) -> None:
    host, _, grant_id = await _leased(world, duration_s=30)
    assert (await world.services.delivery.desired_state(host, BOOT)).renew_in_s is None
    await world.extend(host, grant_id, duration_s=300)
    payload = await world.signed(host, grant_id)
    assert (payload["not_after"], payload["until"]) == (START + LEASE_S * SECOND, START + 330 * SECOND)
    assert (await world.services.delivery.desired_state(host, BOOT)).renew_in_s == LEASE_S / 3


async def test_a_renewal_the_host_refuses_is_tried_again_at_the_next_third(world: CoreWorld) -> None:
    host, _, grant_id = await _leased(world)
    world.clock.advance(20)
    refused = await world.signed(host, grant_id)
    await world.report(host, grant_id, GrantRefused(refused["revision"], "unsafe", "no room on the disk"))
    assert await world.state(grant_id) is GrantState.ACTIVE
    world.clock.advance(20)
    assert (await world.signed(host, grant_id))["revision"] > refused["revision"]


async def test_nothing_is_renewed_for_a_host_whose_clock_is_off_and_nothing_else_is_taken_from_it(
    world: CoreWorld,
) -> None:
    host, _, grant_id = await _leased(world)
    first = await world.signed(host, grant_id)
    await world.hello(host, ahead_s=301)
    world.clock.advance(20)
    desired = await world.services.delivery.desired_state(host, BOOT)
    assert ([grant.revision for grant in desired.grants], desired.renew_in_s) == ([first["revision"]], None)
    world.clock.advance(40)
    assert await world.wanted(host) == []


@pytest.mark.parametrize("lease_s", [0, LEASE_S])
async def test_a_grant_keeps_the_lease_it_was_given(world: CoreWorld, lease_s: int) -> None:
    host, _, grant_id = await _leased(world)
    await world.apply(a_role(lease_s=lease_s, max_s=3_600))
    world.clock.advance(20)
    payload = await world.signed(host, grant_id)
    assert payload["not_after"] == world.clock.now() + LEASE_S * SECOND
