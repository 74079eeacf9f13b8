"""What the fault table found once (tests/faults) about the agent: a small proof that it stays mended."""

from __future__ import annotations

from jit_testing.fake_enforcer import BOOT

from .conftest import World


async def test_while_the_enforcer_restarts_the_host_is_still_on_the_boot_it_was_on(world: World) -> None:
    """In a container the agent's own sandbox shows the machine's boot id; a grant signed for that would be refused."""
    await world.server.until(lambda: bool(world.server.streams))
    await world.enforcer.__aexit__(None, None, None)
    await world.server.stop()
    await world.server.start()
    await world.server.until(lambda: bool(world.server.streams), within_s=15)
    hello = world.server.streams[-1].hello
    assert hello.problems
    assert hello.boot_id == BOOT
