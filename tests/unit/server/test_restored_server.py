"""A server that was restored from a backup has forgotten; hosts have not, and nothing outlives that (S1, SPEC 5.2)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jit_server.domain.grant import REVISION_US
from jit_server.domain.identity import HostCaller, Person
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.report import Applied, GrantRefused
from jit_testing.core_world import CoreWorld, proof
from jit_testing.server_fakes import a_role


@pytest.fixture
async def backup(world: CoreWorld, tmp_path: Path) -> Backup:
    return Backup(world, tmp_path)


class Backup:
    """Copies of the database; `restore` makes the world's server one that knows no more than the copy."""

    def __init__(self, world: CoreWorld, directory: Path) -> None:
        self._world = world
        self._live, self._copy = directory / "jit.db", directory / "backup.db"

    async def make(self) -> None:
        await self._world.store.close()
        shutil.copy(self._live, self._copy)
        self._live.with_name("jit.db-wal").unlink(missing_ok=True)

    async def restore(self) -> None:
        await self._world.store.close()
        for leftover in ("jit.db-wal", "jit.db-shm"):
            self._live.with_name(leftover).unlink(missing_ok=True)
        shutil.copy(self._copy, self._live)
        self._world.services = self._world.compose()


async def _live(world: CoreWorld) -> tuple[HostCaller, Person, str]:
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(a_role(max_s=3_600))
    return host, carol, await world.delivered(host, carol, duration_s=1_200)


async def test_what_it_does_not_know_is_not_in_the_set_and_reports_of_it_are_taken(
    world: CoreWorld, backup: Backup
) -> None:
    """The host ends what is not in the set; its word of that must not stop the stream."""
    host, carol, known = await _live(world)
    await backup.make()
    forgotten = await world.delivered(host, carol)
    assert sorted(await world.wanted(host)) == sorted([known, forgotten])
    await backup.restore()
    assert await world.hello(host) == 1
    assert await world.wanted(host) == [known]
    # The host tells again what the server lacks, from the number it has.
    world.forget_reports(host, kept=1)
    await world.report(host, forgotten, Applied(1, "jit.scope"))
    await world.report(host, forgotten, proof("revoked"))
    assert await world.wanted(host) == [known]


async def test_a_revision_is_never_given_twice_though_it_was_forgotten(world: CoreWorld, backup: Backup) -> None:
    host, _, grant_id = await _live(world)
    await backup.make()
    seen = set()
    for _ in range(20):
        world.clock.advance(1)
        await world.extend(host, grant_id, duration_s=1)
        seen.add((await world.signed(host, grant_id))["revision"])
    assert len(seen) == 20
    await backup.restore()
    await world.hello(host)
    world.clock.advance(REVISION_US / 1_000_000)
    await world.extend(host, grant_id, duration_s=1)
    assert (await world.signed(host, grant_id))["revision"] > max(seen)


async def test_a_host_that_is_ahead_is_brought_to_what_the_server_knows(world: CoreWorld, backup: Backup) -> None:
    host, _, grant_id = await _live(world)
    promised = (await world.grant(grant_id)).not_after
    await backup.make()
    world.clock.advance(60)
    await world.extend(host, grant_id, duration_s=600)
    ahead = await world.take(host, grant_id)
    await backup.restore()
    await world.hello(host)
    assert (await world.signed(host, grant_id))["revision"] < ahead
    generation = await world.services.delivery.generation(host)
    world.forget_reports(host, kept=1)
    world.clock.advance(1)
    await world.report(host, grant_id, Applied(ahead, "jit.scope"))
    assert await world.services.delivery.generation(host) > generation
    payload = await world.signed(host, grant_id)
    assert payload["revision"] > ahead
    assert payload["until"] == promised
    assert await world.state(grant_id) is GrantState.ACTIVE
    # And there it rests.
    assert await world.take(host, grant_id) == payload["revision"]
    assert await world.signed(host, grant_id) == payload


async def test_bytes_the_host_calls_replayed_are_made_anew_once_and_not_for_ever(
    world: CoreWorld, backup: Backup
) -> None:
    host, _, grant_id = await _live(world)
    await backup.make()
    world.clock.advance(60)
    await world.extend(host, grant_id, duration_s=600)
    ahead = await world.take(host, grant_id)
    await backup.restore()
    await world.hello(host)
    world.forget_reports(host, kept=1)
    old = (await world.signed(host, grant_id))["revision"]
    world.clock.advance(1)
    await world.report(host, grant_id, GrantRefused(old, "replayed", f"revision {ahead} came before"))
    new = (await world.signed(host, grant_id))["revision"]
    assert new > ahead
    # Refused again, though above all that ever was: the host has ended it.  Out of the set, and not yet called over.
    await world.report(host, grant_id, GrantRefused(new, "replayed", f"{grant_id} has ended"))
    assert await world.state(grant_id) is GrantState.ENDING
    assert await world.wanted(host) == []
    await world.report(host, grant_id, proof("dropped", revision=ahead))
    assert await world.state(grant_id) is GrantState.ENDED


async def test_an_end_of_a_revision_it_forgot_is_an_end(world: CoreWorld, backup: Backup) -> None:
    host, _, grant_id = await _live(world)
    await backup.make()
    world.clock.advance(60)
    await world.extend(host, grant_id, duration_s=600)
    ahead = await world.take(host, grant_id)
    await backup.restore()
    await world.hello(host)
    world.forget_reports(host, kept=1)
    await world.report(host, grant_id, proof("dropped", revision=ahead))
    assert (await world.grant(grant_id)).end_reason == "dropped"
    assert await world.wanted(host) == []


async def test_a_scheduled_grant_that_ran_before_the_restore_does_not_run_again(
    world: CoreWorld, backup: Backup
) -> None:
    host, carol, _ = await _live(world)
    starts_at = world.clock.now() + 60_000_000
    grant_id = await world.granted(host, carol, starts_at=starts_at, duration_s=600)
    await backup.make()
    world.clock.advance(60)
    await world.services.starting.start_due()
    revision = await world.take(host, grant_id)
    await backup.restore()
    await world.hello(host)
    world.forget_reports(host, kept=1)
    await world.report(host, grant_id, proof("dropped", revision=revision))
    assert await world.state(grant_id) is GrantState.ENDED
    await world.services.starting.start_due()
    assert grant_id not in await world.wanted(host)
