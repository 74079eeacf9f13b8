"""Ends that were due and that no host has confirmed, and what a host finds when it does (S7, SPEC 3.3, 3.6, 5.2)."""

from __future__ import annotations

import logging

import pytest

from jit_server.domain.identity import HostCaller, Person
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.report import DropAsked, Ended, Footprint, FootprintChange, Leftover
from jit_testing.core_world import CoreWorld, proof
from jit_testing.server_fakes import OTHER_BOOT, a_role


async def _live(world: CoreWorld) -> tuple[HostCaller, Person, str]:
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(a_role(max_s=600))
    return host, carol, await world.delivered(host, carol)


async def _silent_for(world: CoreWorld, seconds: float) -> None:
    world.clock.advance(seconds)
    await world.services.grants.expire()


async def test_a_revocation_the_host_does_not_confirm_in_five_seconds_is_unconfirmed(
    world: CoreWorld, caplog: pytest.LogCaptureFixture
) -> None:
    host, carol, grant_id = await _live(world)
    confirmed = await world.delivered(host, carol)
    for one in (grant_id, confirmed):
        await world.services.grants.revoke(carol, one, "enough")
    await world.report(host, confirmed, proof("revoked"))
    await _silent_for(world, 4.9)
    assert await world.state(grant_id) is GrantState.ENDING
    await _silent_for(world, 0.1)
    grant = await world.grant(grant_id)
    assert (grant.state, grant.end_reason, grant.unconfirmed_at) == (
        GrantState.UNCONFIRMED,
        "revoked",
        world.clock.now(),
    )
    assert not (await world.services.grants.get(carol, grant_id)).end_confirmed
    (event,) = await world.events("grant.unconfirmed")
    assert (event.event.grant_id, event.event.host, event.event.details["reason"]) == (grant_id, "web1", "revoked")
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, f"web1 has not confirmed the end of {grant_id} (revoked)")
    ]


async def test_it_is_asked_for_again_at_each_connect_and_a_late_proof_ends_it_with_its_true_times(
    world: CoreWorld, caplog: pytest.LogCaptureFixture
) -> None:
    host, carol, grant_id = await _live(world)
    await world.services.grants.revoke(carol, grant_id)
    revoked_at = world.clock.now()
    await _silent_for(world, 300)
    generation = await world.services.delivery.generation(host)
    for _ in range(3):
        await world.hello(host)
        assert await world.wanted(host) == []
        # That it compared its sets is no proof for what was in force on this boot.
        await world.services.delivery.settled(host, generation)
        assert await world.state(grant_id) is GrantState.UNCONFIRMED
    caplog.clear()
    await world.report(host, grant_id, proof("revoked", late_us=7_000), at=revoked_at + 2_500_000)
    view = await world.services.grants.get(carol, grant_id)
    assert (view.grant.state, view.end_confirmed) == (GrantState.ENDED, True)
    assert view.grant.ended_at == revoked_at + 2_500_000
    (event,) = await world.events("grant.ended")
    assert event.event.details["host_time"] == revoked_at + 2_500_000
    # Late by the host's count since it was told, and by the server's since somebody ended it.
    assert (event.event.details["late_us"], event.event.details["after_due_us"]) == (7_000, 2_500_000)
    assert [record.getMessage() for record in caplog.records] == [f"web1 has confirmed the end of {grant_id} (revoked)"]


async def test_a_reboot_confirms_it_once_the_host_has_settled(
    world: CoreWorld, caplog: pytest.LogCaptureFixture
) -> None:
    host, carol, grant_id = await _live(world)
    await world.services.grants.revoke(carol, grant_id)
    await _silent_for(world, 5)
    await world.hello(host, boot=OTHER_BOOT)
    caplog.clear()
    await world.services.delivery.settled(host, await world.services.delivery.generation(host))
    assert await world.state(grant_id) is GrantState.ENDED
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_what_was_dropped_or_ran_out_is_waited_for_as_long(world: CoreWorld) -> None:
    host, carol, dropped = await _live(world)
    await world.report(host, dropped, DropAsked(world.local("alice")))
    await _silent_for(world, 5)
    assert (await world.grant(dropped)).end_reason == "dropped"
    assert await world.state(dropped) is GrantState.UNCONFIRMED
    expired = await world.delivered(host, carol)
    await _silent_for(world, 604.9)
    assert await world.state(expired) is GrantState.ACTIVE
    await _silent_for(world, 0.1)
    assert await world.state(expired) is GrantState.UNCONFIRMED
    assert (await world.grant(expired)).end_reason == "expired"


async def test_a_host_that_answers_in_time_alerts_nobody(world: CoreWorld, caplog: pytest.LogCaptureFixture) -> None:
    host, carol, grant_id = await _live(world)
    await world.services.grants.revoke(carol, grant_id)
    world.clock.advance(1)
    await world.report(host, grant_id, proof("revoked"))
    await _silent_for(world, 60)
    assert await world.state(grant_id) is GrantState.ENDED
    assert await world.kinds("grant.unconfirmed") == []
    assert caplog.records == []


async def test_what_had_left_the_scope_is_told_with_the_end(world: CoreWorld) -> None:
    host, carol, grant_id = await _live(world)
    clean = await world.delivered(host, carol)
    left = (Leftover(4711, "/usr/bin/sleep \x1b[31m9999", killed=False), Leftover(4712, "nc -l 99", killed=True))
    await world.report(host, grant_id, Ended(1, "expired", 0, 0, True, True, left))
    await world.report(host, clean, proof("expired"))
    lines = ["4711 /usr/bin/sleep \x1b[31m9999", "4712 nc -l 99 (killed)"]
    assert (await world.grant(grant_id)).leftovers == tuple(lines)
    assert [event.event.details["leftovers"] for event in await world.events("grant.ended")] == [lines, []]


async def test_the_one_sudo_of_a_grant_used_up_is_its_end(world: CoreWorld) -> None:
    host, _, grant_id = await _live(world)
    await world.report(host, grant_id, proof("used"))
    assert (await world.grant(grant_id)).end_reason == "used"


async def test_what_a_grant_changed_on_its_host_is_written_down_though_it_is_long_over(world: CoreWorld) -> None:
    host, carol, grant_id = await _live(world)
    other = await world.host("web2")
    await world.report(host, grant_id, proof("expired"))
    before = await world.grant(grant_id)
    start = world.clock.now()
    changes = (FootprintChange("/etc/cron.d/x", "cron", "added"), FootprintChange("/etc/shadow", "account", "changed"))
    await world.report(host, grant_id, Footprint(start, start + 1, changes, truncated=False))
    await world.report(host, grant_id, Footprint(start, start + 1, (), truncated=False))
    await world.report(other, grant_id, Footprint(start, start + 1, changes, truncated=False))
    (event,) = await world.events("grant.footprint")
    assert (event.event.user, event.event.host, event.event.grant_id, event.event.actor) == (
        "alice",
        "web1",
        grant_id,
        "host web1",
    )
    assert event.event.details["changes"] == ["/etc/cron.d/x added (cron)", "/etc/shadow changed (account)"]
    assert await world.grant(grant_id) == before
    assert carol
