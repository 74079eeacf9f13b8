"""What somebody has to look at: computed when it is asked for, gone when it is settled, shown to whom it concerns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jit_server.domain.alert import AlertKind
from jit_server.domain.grant import Record
from jit_server.domain.identity import Duty, HostCaller, Person
from jit_server.domain.report import Ended, Footprint, FootprintChange, Hello, Leftover
from jit_server.errors import Denied
from jit_testing.core_world import SPOOL, CoreWorld, end_of, proof
from jit_testing.server_fakes import BOOT, a_role, labelled

DAY = 86_400


async def _two(world: CoreWorld) -> tuple[Person, HostCaller]:
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(a_role())
    return carol, host


async def _seen(world: CoreWorld, who: Person | None = None) -> list[tuple[str, str, str]]:
    alerts = await world.services.alerts.list_visible(who or world.root)
    return [(alert.kind.value, alert.host, alert.user) for alert in alerts]


async def test_all_is_well_at_first_and_while_grants_live_and_end_as_they_should(world: CoreWorld) -> None:
    carol, host = await _two(world)
    assert await _seen(world) == []
    grant_id = await world.delivered(host, carol)
    assert await _seen(world) == []
    await world.services.grants.revoke(world.root, grant_id, "enough")
    await world.report(host, grant_id, proof("revoked"))
    assert await _seen(world) == []


async def test_an_end_nobody_confirmed_is_an_alert_until_the_host_has_spoken(world: CoreWorld) -> None:
    carol, host = await _two(world)
    grant_id = await world.delivered(host, carol)
    await world.services.grants.revoke(world.root, grant_id, "enough")
    world.clock.advance(6)
    assert await _seen(world) == []
    await world.services.grants.expire()
    (alert,) = await world.services.alerts.list_visible(world.root)
    assert (alert.kind, alert.host, alert.user, alert.role) == (AlertKind.END_UNCONFIRMED, "web1", "alice", "web")
    assert (alert.grant_id, alert.since) == (grant_id, world.clock.now())
    assert "web1 has not confirmed the end of the grant of alice (revoked)" in alert.message
    view = await world.services.grants.get(world.root, grant_id)
    assert view.grant.unconfirmed_at == alert.since
    await world.report(host, grant_id, proof("revoked"))
    assert await _seen(world) == []


async def test_a_host_away_with_live_grants_is_an_alert_after_a_minute(world: CoreWorld) -> None:
    carol, host = await _two(world)
    other = await world.host("web2")
    await world.delivered(host, carol)
    for away in (host, other):
        await world.services.hosts.disconnected(away)
    world.clock.advance(59)
    assert await _seen(world) == []
    world.clock.advance(1)
    # web2 has nothing that lives.
    (alert,) = await world.services.alerts.list_visible(world.root)
    assert (alert.kind, alert.host) == (AlertKind.HOST_SILENT, "web1")
    assert "web1 is away and has 1 live grant" in alert.message
    await world.hello(host)
    assert await _seen(world) == []


@pytest.mark.parametrize(("ahead_s", "words"), [(400, "6m40s ahead of"), (-400, "6m40s behind")])
async def test_a_clock_that_is_off_says_by_how_much(world: CoreWorld, ahead_s: int, words: str) -> None:
    _, host = await _two(world)
    await world.hello(host, ahead_s=ahead_s)
    (alert,) = await world.services.alerts.list_visible(world.root)
    assert (alert.kind, alert.host) == (AlertKind.CLOCK_OFF, "web1")
    assert words in alert.message
    await world.hello(host, ahead_s=200)
    assert await _seen(world) == []


async def test_each_problem_of_a_host_is_an_alert_of_its_own(world: CoreWorld) -> None:
    _, host = await _two(world)
    problems = ("sudo is sudo-rs", "zzz-jit is overridden by \x1b[2Jzzzz")
    hello = Hello(BOOT, world.clock.now(), "0.1", "1.9.13p3", SPOOL, problems)
    await world.services.hosts.hello(host, hello)
    alerts = await world.services.alerts.list_visible(world.root)
    assert [alert.kind for alert in alerts] == [AlertKind.HOST_PROBLEM] * 2
    assert [alert.message.partition(": see jit doctor")[0] for alert in alerts] == list(problems)
    await world.services.hosts.remove(world.root, "web1")
    assert await _seen(world) == []


async def test_what_a_grant_left_over_and_what_it_changed_are_shown_for_a_week(world: CoreWorld) -> None:
    carol, host = await _two(world)
    grant_id = await world.delivered(host, carol)
    await world.report(
        host,
        grant_id,
        Ended(1, "expired", 0, 0, True, True, tuple(Leftover(100 + n, f"sleep {n}", False) for n in range(7))),
    )
    changes = (FootprintChange("/etc/cron.d/x", "cron", "added"),)
    await world.report(host, grant_id, Footprint(world.clock.now(), world.clock.now(), changes, False))
    left, changed = await world.services.alerts.list_visible(world.root)
    assert (left.kind, left.grant_id) == (AlertKind.LEFTOVERS, grant_id)
    assert "100 sleep 0" in left.message
    assert "and 2 more; look at them on web1" in left.message
    assert (changed.kind, changed.grant_id, changed.user) == (AlertKind.FOOTPRINT, grant_id, "alice")
    assert "/etc/cron.d/x" in changed.message
    view = await world.services.grants.get(carol, grant_id)
    assert len(view.grant.leftovers) == 7
    world.clock.advance(7 * DAY - 1)
    assert len(await _seen(world)) == 2
    world.clock.advance(2)
    assert await _seen(world) == []


async def test_what_matters_most_comes_first(world: CoreWorld) -> None:
    carol, host = await _two(world)
    lost = await world.delivered(host, carol)
    changed = await world.granted(host, carol)
    changes = (FootprintChange("/etc/sudoers.d/x", "sudoers", "added"),)
    await world.report(host, changed, Footprint(world.clock.now(), world.clock.now(), changes, False))
    await world.hello(host, ahead_s=400)
    await world.services.grants.revoke(world.root, lost, "enough")
    world.clock.advance(6)
    await world.services.grants.expire()
    assert [kind for kind, _, _ in await _seen(world)] == ["end_unconfirmed", "clock_off", "footprint"]


async def test_alerts_are_for_administrators_auditors_and_approvers_of_the_roles_concerned(world: CoreWorld) -> None:
    alice, otto = await world.person("alice"), await world.person("otto", Duty.AUDITOR)
    carol, dora = await world.person("carol"), await world.person("dora")
    host, db = await world.host(), await world.host("db1", tier="db")
    await world.apply(a_role(), a_role("db", hosts=labelled(tier="db"), approvers=["dora"]))
    grant_id = await world.delivered(host, carol)
    await world.services.grants.revoke(world.root, grant_id, "enough")
    world.clock.advance(6)
    await world.services.grants.expire()
    await world.hello(db, ahead_s=400)
    changes = (FootprintChange("/etc/cron.d/x", "cron", "added"),)
    await world.report(host, grant_id, Footprint(world.clock.now(), world.clock.now(), changes, False))
    lost, off, changed = ("end_unconfirmed", "web1", "alice"), ("clock_off", "db1", ""), ("footprint", "web1", "alice")
    assert await _seen(world) == await _seen(world, otto) == [lost, off, changed]
    assert await _seen(world, carol) == [lost, changed]
    assert await _seen(world, dora) == [off]
    with pytest.raises(Denied, match="see alerts"):
        await world.services.alerts.list_visible(alice)


async def test_who_waits_for_a_watcher_is_an_alert_to_those_who_could_watch(world: CoreWorld) -> None:
    carol, host = await _two(world)
    erin = await world.person("erin")
    await world.apply(a_role(record=Record.OUTPUT, watch_s=60), a_role("db", approvers=("erin",)))
    grant_id = await world.delivered(host, carol)
    session_id = await world.wait_for_watcher(host, grant_id)
    (alert,) = await world.services.alerts.list_visible(carol)
    assert (alert.kind, alert.host, alert.user, alert.role) == (AlertKind.SESSION_WAITING, "web1", "alice", "web")
    assert (alert.since, alert.grant_id) == (world.clock.now(), grant_id)
    assert f"/usr/bin/id; jitctl sessions watch {session_id}" in alert.message
    assert await _seen(world, erin) == []
    await world.run(host, grant_id, session_id=session_id)
    assert await _seen(world, carol) == []


async def test_a_recording_that_is_not_whole_is_an_alert_for_a_week(world: CoreWorld) -> None:
    carol, host = await _two(world)
    grant_id = await world.delivered(host, carol)
    session_id = await world.run(host, grant_id)
    await world.report(host, grant_id, end_of(session_id))
    assert await _seen(world) == []
    session_id = await world.run(host, grant_id)
    await world.report(host, grant_id, end_of(session_id, incomplete="the disk was full"))
    (alert,) = await world.services.alerts.list_visible(carol)
    assert (alert.kind, alert.user) == (AlertKind.RECORDING_INCOMPLETE, "alice")
    assert f"the recording of {session_id} is not whole: the disk was full" in alert.message
    session = await world.session(session_id)
    async with world.store.write() as tx:
        damaged = replace(session, damage="chunk 2 is not what its SHA-256 says", damaged_at=world.clock.now())
        await tx.sessions.change(session, damaged)
    (alert,) = await world.services.alerts.list_visible(world.root)
    assert alert.kind is AlertKind.RECORDING_DAMAGED
    assert f"the recording of {session_id} is damaged: chunk 2 is not" in alert.message
    world.clock.advance(6 * DAY)
    assert len(await _seen(world)) == 1
    world.clock.advance(2 * DAY)
    assert not [kind for kind, _, _ in await _seen(world) if kind.startswith("recording")]
