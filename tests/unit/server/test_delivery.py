"""What a host's stream carries, and what follows from what the host says (SPEC 5; S1, S2, S6, S11)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jit_server.domain.grant import CONFIRMATION_GRACE_US
from jit_server.domain.identity import HostCaller, LocalUser, Person
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.report import Applied, DropAsked, GrantRefused
from jit_server.errors import Conflict, Unauthenticated
from jit_testing.core_world import CoreWorld, proof
from jit_testing.server_fakes import BOOT, OTHER_BOOT, SECOND, a_role


async def _granted(world: CoreWorld) -> tuple[HostCaller, Person, str]:
    await world.person("alice")
    carol = await world.person("carol")
    host = await world.host()
    await world.apply(a_role(max_s=600))
    return host, carol, await world.granted(host, carol)


async def test_an_approved_grant_is_sent_signed_for_the_boot_the_host_runs(world: CoreWorld) -> None:
    host, _, grant_id = await _granted(world)
    world.clock.advance(1.5)
    desired = await world.services.delivery.desired_state(host, BOOT)
    assert desired.generation == await world.services.delivery.generation(host)
    (sent,) = desired.grants
    payload = json.loads(sent.envelope[72 + 14 :])
    assert (sent.grant_id, sent.revision) == (payload["grant"], payload["revision"])
    assert sent.grant_id == grant_id
    assert (payload["host"], payload["boot"]) == (host.host_id, BOOT)
    assert (payload["uid"], payload["user"], payload["remaining_s"]) == (1_001, "alice", 599)


async def test_sending_again_sends_the_same_bytes_even_after_a_restart_of_the_server(world: CoreWorld) -> None:
    host, _, grant_id = await _granted(world)
    first = await world.services.delivery.desired_state(host, BOOT)
    world.services = world.compose()
    world.clock.advance(5)
    assert await world.services.delivery.desired_state(host, BOOT) == first
    await world.report(host, grant_id, Applied(1, "jit.scope"))
    world.clock.advance(300)
    assert (await world.services.delivery.desired_state(host, BOOT)).grants == first.grants


async def test_a_grant_nobody_took_for_long_is_signed_anew_with_the_time_that_is_left(world: CoreWorld) -> None:
    """S2: `remaining_s` must not outlive the grant because the bytes lay about."""
    host, _, _ = await _granted(world)
    await world.services.delivery.desired_state(host, BOOT)
    world.clock.advance(100)
    (again,) = (await world.services.delivery.desired_state(host, BOOT)).grants
    assert again.revision > 1
    assert json.loads(again.envelope[86:])["remaining_s"] == 500


async def test_a_grant_leaves_the_desired_state_at_its_instant(world: CoreWorld) -> None:
    host, _, grant_id = await _granted(world)
    world.clock.advance(599.999)
    assert await world.wanted(host) == [grant_id]
    world.clock.advance(0.001)
    assert await world.wanted(host) == []


async def test_a_grant_is_for_one_host(world: CoreWorld) -> None:
    host, _, grant_id = await _granted(world)
    other = await world.host("web2")
    assert await world.wanted(other) == []
    await world.report(other, grant_id, Applied(1, "jit.scope"))
    await world.report(other, grant_id, proof())
    await world.report(other, grant_id, DropAsked(LocalUser(1_001, "alice")))
    assert await world.state(grant_id) is GrantState.ISSUED
    assert await world.kinds("grant") == ["grant.issued"]
    assert await world.wanted(host) == [grant_id]


async def test_a_stream_of_a_former_boot_gets_nothing(world: CoreWorld) -> None:
    host, _, _ = await _granted(world)
    await world.hello(host, boot=OTHER_BOOT)
    with pytest.raises(Conflict, match="started anew"):
        await world.services.delivery.desired_state(host, BOOT)


async def test_a_host_whose_clock_is_off_gets_no_new_grants_until_it_is_right(world: CoreWorld) -> None:
    """SPEC 5.1."""
    host, carol, first = await _granted(world)
    await world.services.delivery.desired_state(host, BOOT)
    await world.report(host, first, Applied(1, "jit.scope"))
    second = await world.granted(host, carol)
    await world.hello(host, ahead_s=-400)
    assert await world.wanted(host) == [first]
    before = await world.services.delivery.generation(host)
    await world.services.hosts.seen(host, world.clock.now())
    assert await world.services.delivery.generation(host) > before
    assert sorted(await world.wanted(host)) == sorted([first, second])


async def test_the_hosts_word_makes_a_grant_active_and_its_proof_ends_it(world: CoreWorld) -> None:
    host, _, grant_id = await _granted(world)
    await world.wanted(host)
    assert await world.state(grant_id) is GrantState.ISSUED
    await world.report(host, grant_id, Applied(1, "jit.scope"))
    assert await world.state(grant_id) is GrantState.ACTIVE
    world.clock.advance(600)
    await world.report(host, grant_id, proof("expired"))
    ended = await world.grant(grant_id)
    assert (ended.state, ended.end_reason, ended.ended_at) == (GrantState.ENDED, "expired", world.clock.now())
    assert await world.kinds("grant") == ["grant.issued", "grant.active", "grant.ended"]
    (event,) = await world.events("grant.ended")
    assert (event.event.actor, event.event.details["late_us"]) == ("host web1", 1_000)


async def test_an_end_without_full_proof_is_not_called_over(world: CoreWorld) -> None:
    host, carol, _ = await _granted(world)
    grant_id = await world.delivered(host, carol)
    await world.report(host, grant_id, proof("expired", scope_empty=False))
    assert await world.state(grant_id) is GrantState.ENDING
    await world.report(host, grant_id, replace(proof("expired"), rule_removed=False))
    assert await world.state(grant_id) is GrantState.ENDING
    await world.report(host, grant_id, proof("expired"))
    assert await world.state(grant_id) is GrantState.ENDED


async def test_a_host_that_refuses_a_grant_ends_it_with_its_reason(world: CoreWorld) -> None:
    host, _, grant_id = await _granted(world)
    await world.wanted(host)
    await world.report(host, grant_id, GrantRefused(1, "beyond_ceiling", "600 s is over 300 s"))
    grant = await world.grant(grant_id)
    assert (grant.state, grant.end_reason) == (GrantState.REFUSED, "beyond_ceiling: 600 s is over 300 s")
    assert await world.wanted(host) == []
    assert await world.kinds("grant") == ["grant.issued", "grant.refused"]


async def test_a_revoked_grant_waits_for_the_hosts_proof(world: CoreWorld) -> None:
    host, carol, _ = await _granted(world)
    grant_id = await world.delivered(host, carol)
    generation = await world.services.delivery.generation(host)
    await world.services.grants.revoke(carol, grant_id)
    assert await world.services.delivery.generation(host) == generation + 1
    assert grant_id not in await world.wanted(host)
    # Settling is not proof for what was in force on this boot.
    await world.services.delivery.settled(host, generation + 1)
    assert await world.state(grant_id) is GrantState.ENDING
    await world.report(host, grant_id, proof("revoked"))
    ended = await world.grant(grant_id)
    assert (ended.state, ended.end_reason) == (GrantState.ENDED, "revoked")


async def test_a_revoked_grant_that_was_never_in_force_is_over_once_the_host_has_settled(world: CoreWorld) -> None:
    host, carol, grant_id = await _granted(world)
    await world.wanted(host)
    before = await world.services.delivery.generation(host)
    await world.services.grants.revoke(carol, grant_id)
    await world.services.delivery.settled(host, before)
    assert await world.state(grant_id) is GrantState.ENDING
    await world.services.delivery.settled(host, before + 1)
    assert await world.state(grant_id) is GrantState.ENDED
    await world.report(host, grant_id, Applied(1, "jit.scope"))
    assert await world.state(grant_id) is GrantState.ENDED


async def test_a_grant_dropped_on_the_host_is_ended_by_its_word(world: CoreWorld) -> None:
    host, carol, _ = await _granted(world)
    grant_id = await world.delivered(host, carol)
    await world.report(host, grant_id, DropAsked(LocalUser(1_001, "alice")))
    assert (await world.grant(grant_id)).end_reason == "dropped"
    await world.report(host, grant_id, proof("dropped"))
    assert await world.state(grant_id) is GrantState.ENDED
    assert await world.kinds("grant.drop_asked") == ["grant.drop_asked"]


async def test_time_up_without_the_hosts_word_is_unconfirmed_never_done(world: CoreWorld) -> None:
    host, carol, unsent = await _granted(world)
    grant_id = await world.delivered(host, carol)
    world.clock.advance(600)
    await world.services.grants.expire()
    assert await world.state(grant_id) is GrantState.ACTIVE
    world.clock.advance(5)
    assert await world.services.grants.expire() >= 1
    assert await world.services.grants.expire() == 0
    view = await world.services.grants.get(carol, grant_id)
    assert (view.grant.state, view.end_confirmed) == (GrantState.UNCONFIRMED, False)
    assert "grant.unconfirmed" in await world.kinds("grant")
    await world.report(host, grant_id, proof("expired"))
    view = await world.services.grants.get(carol, grant_id)
    assert (view.grant.state, view.end_confirmed) == (GrantState.ENDED, True)
    assert await world.state(unsent) is GrantState.UNCONFIRMED


async def test_a_grant_no_host_ever_saw_simply_ends_at_its_time(world: CoreWorld) -> None:
    _, _, grant_id = await _granted(world)
    world.clock.advance(600)
    assert await world.services.grants.expire() == 1
    grant = await world.grant(grant_id)
    assert (grant.state, grant.end_reason, grant.ended_at) == (GrantState.ENDED, "expired", grant.not_after)


async def test_a_revoked_grant_on_a_host_that_is_gone_becomes_unconfirmed_at_its_time(world: CoreWorld) -> None:
    host, carol, _ = await _granted(world)
    grant_id = await world.delivered(host, carol)
    await world.services.grants.revoke(carol, grant_id)
    world.clock.advance(605)
    await world.services.grants.expire()
    grant = await world.grant(grant_id)
    assert (grant.state, grant.end_reason) == (GrantState.UNCONFIRMED, "revoked")


async def test_after_a_reboot_a_grant_with_time_left_is_signed_for_the_new_boot(world: CoreWorld) -> None:
    """DESIGN 3: a reboot ends everything; nothing comes back unless the server says again that it is live."""
    host, carol, _ = await _granted(world)
    grant_id = await world.delivered(host, carol)
    world.clock.advance(60)
    await world.hello(host, boot=OTHER_BOOT)
    assert await world.state(grant_id) is GrantState.ISSUED
    sent = {grant.grant_id: grant for grant in (await world.services.delivery.desired_state(host, OTHER_BOOT)).grants}
    assert sent[grant_id].revision > 1
    assert json.loads(sent[grant_id].envelope[86:])["boot"] == OTHER_BOOT
    # What the enforcer says of the boot before does not end what was signed for this one.
    await world.report(host, grant_id, proof("rebooted", revision=1))
    assert await world.state(grant_id) is GrantState.ISSUED
    revision = await world.take(host, grant_id, OTHER_BOOT)
    assert await world.state(grant_id) is GrantState.ACTIVE
    await world.report(host, grant_id, proof("expired", revision=revision))
    assert await world.state(grant_id) is GrantState.ENDED


async def test_a_reboot_told_before_the_new_bytes_were_made_has_them_made(world: CoreWorld) -> None:
    host, carol, _ = await _granted(world)
    grant_id = await world.delivered(host, carol)
    await world.hello(host, boot=OTHER_BOOT)
    before = await world.services.delivery.generation(host)
    await world.report(host, grant_id, proof("rebooted", revision=1))
    assert await world.state(grant_id) is GrantState.ISSUED
    assert await world.services.delivery.generation(host) > before
    assert grant_id in await world.wanted(host, OTHER_BOOT)


async def test_a_reboot_proves_the_end_of_a_revoked_grant(world: CoreWorld) -> None:
    host, carol, _ = await _granted(world)
    told, silent = await world.delivered(host, carol), await world.delivered(host, carol)
    for grant_id in (told, silent):
        await world.services.grants.revoke(carol, grant_id)
    await world.hello(host, boot=OTHER_BOOT)
    await world.report(host, told, proof("rebooted", revision=1))
    assert await world.state(told) is GrantState.ENDED
    assert await world.state(silent) is GrantState.ENDING
    await world.services.delivery.settled(host, await world.services.delivery.generation(host))
    assert await world.state(silent) is GrantState.ENDED


async def test_a_removed_host_is_shut_out_and_its_grants_end(world: CoreWorld) -> None:
    host, carol, grant_id = await _granted(world)
    other = await world.delivered(host, carol)
    pending = (await world.ask(host)).request.request_id
    view = await world.services.hosts.remove(world.root, "web1")
    assert (view.host.removed, view.live_grants) == (True, 2)
    for attempt in (
        world.services.delivery.desired_state(host, BOOT),
        world.services.hosts.renew(host, "csr"),
        world.services.hosts.seen(host, world.clock.now()),
        world.services.hosts.authenticate(host),
        world.services.delivery.settled(host, 99),
    ):
        with pytest.raises(Unauthenticated, match="not enrolled"):
            await attempt
    assert await world.state(grant_id) is await world.state(other) is GrantState.ENDING
    assert (await world.services.requests.get(carol, pending)).request.state.value == "cancelled"
    assert "host.removed" in await world.kinds("host")


async def test_a_removed_host_that_settles_the_empty_set_confirms_its_ends(world: CoreWorld) -> None:
    """No report of it is taken any more, and an end that stays unconfirmed would be an alert for ever."""
    host, _, grant_id = await _granted(world)
    await world.take(host, grant_id)
    await world.services.delivery.left(host)
    assert await world.state(grant_id) is GrantState.ACTIVE, "only a removed host leaves"
    await world.services.hosts.remove(world.root, "web1")
    world.clock.advance(CONFIRMATION_GRACE_US // SECOND + 1)
    await world.services.grants.expire()
    assert await world.state(grant_id) is GrantState.UNCONFIRMED
    await world.services.delivery.left(host)
    assert await world.state(grant_id) is GrantState.ENDED
    (ended,) = await world.events("grant.ended")
    assert ended.event.details["proof"] == "the removed host came back and settled the empty set"
