"""What would come of a request, without making it."""

from __future__ import annotations

import pytest

from jit_server.domain.lifecycle import RequestState
from jit_server.errors import Denied, Invalid, LimitExceeded
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import a_role


async def test_a_dry_run_says_what_would_come_of_it_and_leaves_no_trace(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role(mfa=True, reason=True), a_role("free", approvals=0))
    before = await world.kinds()
    view = await world.ask(host, dry_run=True)
    assert (view.request.request_id, view.request.state, view.approvers) == ("", RequestState.PENDING, ("carol",))
    assert (await world.ask(host, role="free", dry_run=True)).request.state is RequestState.APPROVED
    assert await world.kinds() == before
    assert await world.services.requests.list_visible(world.root) == ()
    assert await world.wanted(host) == []


async def test_a_dry_run_is_refused_as_the_request_would_be_and_that_leaves_no_trace_either(world: CoreWorld) -> None:
    await world.person("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role(reason=True, ticket=True), a_role("others", eligible=["bob"]))
    before = await world.kinds()
    for wrong, error, why in (
        ({"role": "others"}, Denied, "not eligible"),
        ({"reason": ""}, Invalid, "needs a reason"),
        ({}, Invalid, "needs a ticket"),
        ({"ticket": "t", "duration_s": 9_999_999}, Invalid, "is not a duration"),
        ({"ticket": "t" * 201}, LimitExceeded, "the ticket has"),
        ({"ticket": "t", "role": ""}, Invalid, "no role"),
    ):
        for dry_run in (True, False):
            with pytest.raises(error, match=why):
                await world.ask(host, **{"dry_run": dry_run, **wrong})  # type: ignore[arg-type]
    assert [kind for kind in await world.kinds() if kind not in before] == ["request.refused"]
    assert (await world.kinds()).count("request.refused") == 1
