"""The host's stream (SPEC 5) between the real agent and a server that follows the book."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import grpc
import pytest

from jit_agent import identity, keys, renewal, server_link
from jit_agent.errors import Misconfigured, ServerUnavailable
from jit_agent.identity import Identity
from jit_agent.model import Person
from jit_agent.server_link import ServerLink
from jit_protos.v1 import host_pb2
from jit_testing.fake_enforcer import BOOT, HOST, FakeEnforcer, envelope
from jit_testing.fake_server import ScriptedError, pending

from .conftest import World

GRANT = "gnt-0000000000000001"
OTHER = "gnt-0000000000000002"


def signed(grant_id: str, revision: int = 1) -> host_pb2.SignedGrant:
    return host_pb2.SignedGrant(grant_id=grant_id, revision=revision, envelope=envelope(grant_id, revision=revision))


async def connected(world: World) -> None:
    await world.server.until(lambda: bool(world.server.streams))


async def settled(world: World) -> None:
    """The newest desired state is in force, by the agent's word."""
    generation = world.server.desired.generation
    await world.server.until(lambda: any(generation in stream.settled for stream in world.server.streams))


async def test_the_agent_says_hello_with_what_the_enforcer_knows(world: World) -> None:
    await connected(world)
    hello = world.server.streams[0].hello
    assert (hello.boot_id, hello.sudo_version, list(hello.problems)) == (BOOT, "1.9.13p3", [])
    assert hello.spool_id
    assert abs(hello.now - time.time_ns() // 1000) < 60_000_000


async def test_a_desired_grant_is_applied_reported_and_settled(world: World) -> None:
    await connected(world)
    await world.server.push(signed(GRANT))
    await settled(world)
    assert set(world.enforcer.live) == {GRANT}
    [applied] = world.server.told("applied")
    assert (applied.revision, applied.scope) == (1, f"jit-{GRANT}.scope")


async def test_what_the_server_does_not_list_is_ended_and_its_proof_reported(world: World) -> None:
    """SPEC 5.2: "A grant the server does not list is ended (S1)."."""
    await connected(world)
    await world.server.push(signed(GRANT), signed(OTHER))
    await settled(world)
    await world.server.push(signed(OTHER))
    await settled(world)
    assert set(world.enforcer.live) == {OTHER}
    await world.server.until(lambda: bool(world.server.told("ended")))
    [ended] = world.server.told("ended")
    assert (ended.reason, ended.killed, ended.scope_empty, ended.rule_removed) == ("revoked", 2, True, True)


async def test_the_enforcer_may_forget_an_end_only_when_it_is_durable_here(world: World) -> None:
    await connected(world)
    await world.server.push(signed(GRANT))
    await settled(world)
    world.server.keeps = False
    await world.enforcer.end(GRANT, "expired")
    async with asyncio.timeout(10):
        while GRANT not in world.enforcer.reported:
            await asyncio.sleep(0.01)
    # The server never took it, so only the spool can be what made the agent say so: a new agent still tells it.
    await world.stop()
    world.server.keeps = True
    await world.start()
    await world.server.until(lambda: bool(world.server.told("ended")))
    assert world.server.told("ended")[0].reason == "expired"


async def test_a_refused_grant_is_reported_once_and_stops_no_other(world: World) -> None:
    world.enforcer.refuse[GRANT] = "beyond_ceiling"
    await connected(world)
    await world.server.push(signed(GRANT), signed(OTHER))
    await settled(world)
    await world.server.push(signed(GRANT), signed(OTHER))
    await settled(world)
    [refused] = world.server.told("refused")
    assert (refused.code, refused.revision) == ("beyond_ceiling", 1)
    assert len(world.server.told("applied")) == 1
    assert set(world.enforcer.live) == {OTHER}


async def test_applying_again_what_has_ended_is_no_refusal_to_report(world: World) -> None:
    await connected(world)
    await world.server.push(signed(GRANT))
    await settled(world)
    await world.enforcer.end(GRANT, "dropped")
    await world.server.push(signed(GRANT))
    await settled(world)
    assert world.server.told("refused") == []
    assert GRANT not in world.enforcer.live


async def test_a_grant_approved_while_the_server_was_killed_arrives_once_after_its_restart(world: World) -> None:
    await connected(world)
    await world.server.stop()
    world.server.desired = host_pb2.DesiredState(generation=7, grants=[signed(GRANT)])
    await world.server.start()
    await settled(world)
    assert set(world.enforcer.live) == {GRANT}
    assert len(world.server.told("applied")) == 1


async def test_reports_made_while_the_server_is_away_arrive_in_order_and_once(world: World) -> None:
    await connected(world)
    await world.server.push(signed(GRANT), signed(OTHER))
    await settled(world)
    await world.server.stop()
    await world.enforcer.end(GRANT, "expired")
    await world.enforcer.end(OTHER, "expired")
    await world.server.start()
    await world.server.until(lambda: len(world.server.told("ended")) == 2)
    assert sorted(sequence for _, sequence in world.server.reports) == [1, 2, 3, 4]


async def test_an_enforcer_that_restarts_gets_the_desired_state_again(world: World) -> None:
    await connected(world)
    await world.server.push(signed(GRANT))
    await settled(world)
    await world.enforcer.__aexit__(None, None, None)
    async with FakeEnforcer(world.enforcer.path) as fresh, asyncio.timeout(10):
        while set(fresh.live) != {GRANT}:
            await asyncio.sleep(0.02)


async def test_problems_of_the_host_reach_the_server_when_they_come(world: World) -> None:
    await connected(world)
    world.enforcer.problems = ["the include line is missing"]
    # The look that finds it comes every half minute, and at once when the enforcer was away.
    path, problems = world.enforcer.path, world.enforcer.problems
    await world.enforcer.__aexit__(None, None, None)
    async with FakeEnforcer(path) as fresh:
        fresh.problems = problems
        await world.server.until(
            lambda: any(list(stream.hello.problems) == problems for stream in world.server.streams), within_s=15
        )


async def test_a_desired_state_that_breaks_the_contract_changes_nothing(world: World) -> None:
    await connected(world)
    await world.server.push(signed(GRANT))
    await settled(world)
    await world.server.push(host_pb2.SignedGrant(grant_id="../../etc", revision=1, envelope=b"x"))
    await world.server.until(lambda: not world.server.streams)
    assert set(world.enforcer.live) == {GRANT}


async def test_the_certificate_renews_itself_and_the_stream_uses_the_new_one(world: World) -> None:
    await connected(world)
    await world.stop()
    world.server.issue = lambda csr: world.server.authority.host(
        csr, HOST, age=timedelta(hours=3), left=timedelta(hours=1)
    )
    world.enrol()
    world.server.issue = lambda csr: world.server.authority.host(csr, HOST)
    old = (world.directory / "pki" / "host.crt").read_bytes()
    await world.start()
    await world.server.until(lambda: any(isinstance(r, host_pb2.RenewCertificateRequest) for r in world.server.asked))
    await world.server.until(lambda: bool(world.server.streams) and world.server.streams[-1].certificate != old, 20)
    new = identity.load(world.directory / "pki")
    assert world.server.streams[-1].certificate == new.certificate
    assert (world.directory / "pki" / "host.key").stat().st_mode & 0o777 == 0o600


class Fixed:
    def now_us(self) -> int:
        return 1


async def test_a_certificate_for_another_key_is_refused_and_the_old_one_stays(world: World) -> None:
    await connected(world)
    _, foreign = keys.new_key_and_csr()
    world.server.issue = lambda csr: world.server.authority.host(foreign, HOST)
    pki = world.directory / "pki"
    before: Identity = identity.load(pki)
    link = ServerLink(world.server.address, before)
    try:
        refused = renewal.Renewal(pki, before, link, Fixed(), make_key=keys.in_own_process)
        with pytest.raises(Misconfigured, match="not for our key"):
            await refused.renew()
        assert identity.load(pki) == before
        world.server.issue = lambda csr: world.server.authority.host(csr, HOST)
        await refused.renew()
        assert identity.load(pki).certificate != before.certificate
    finally:
        await link.close()


async def test_who_waits_while_the_certificate_is_replaced_is_told_to_ask_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC ends the calls of a closed channel by cancelling whoever made them."""
    await connected(world)
    monkeypatch.setattr(server_link, "RETIRE_S", 0.05)
    await world.server.decide(pending())
    current = identity.load(world.directory / "pki")
    link = ServerLink(world.server.address, current)
    try:
        watch = link.watch_request(Person(1001, "alice"), "req-0")
        assert (await anext(watch))["state"] == "pending"
        _, failure = await asyncio.gather(link.use(current), anext(watch), return_exceptions=True)
        assert isinstance(failure, ServerUnavailable)
        again = link.watch_request(Person(1001, "alice"), "req-0")
        assert (await anext(again))["state"] == "pending"
        await again.aclose()
    finally:
        await link.close()


async def test_a_server_that_refuses_the_host_is_asked_again_and_shown(world: World) -> None:
    await connected(world)
    world.server.fail = ScriptedError(grpc.StatusCode.PERMISSION_DENIED, "policy says no", "denied", "ask carol")
    answer = await world.ask(op="plan", ask={"argv": ["/usr/bin/id"]}, role="")
    assert answer == {"ok": False, "error": {"code": "denied", "message": "policy says no", "hint": "ask carol"}}
