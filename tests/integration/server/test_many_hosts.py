"""One request for several hosts, and the life of eligibility, over the wire: real streams of two hosts (SPEC 9.7)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import grpc
import grpc.aio
import pytest

from jit_protos.v1 import admin_pb2, audit_pb2, audit_pb2_grpc, common_pb2, host_pb2, people_pb2, policy_pb2
from jit_testing.server_world import Host, Human, Session, World

ALICE = host_pb2.LocalUser(uid=1001, name="alice")
ASK = common_pb2.Ask(argv=["/usr/bin/uptime"], run_as_user="root")


def policy(until: str) -> str:
    return f"""\
version: 1
roles:
  web:
    hosts: {{tier: web}}
    commands: [/usr/bin/uptime]
    eligible: {{people: [alice], until: {until}}}
    renew: 90d
    approvers: {{people: [carol]}}
    duration: {{default: 30m, max: 2h}}
    mfa: false
    max_hosts: 3
"""


def in_days(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


class Fleet:
    """alice on web1, web2 connected and web3 not; carol approves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sessions: dict[str, Session] = {}

    async def build(self, until: str) -> None:
        self.admin = await self.world.first_admin()
        self.hosts = {
            name: await self.world.add_host(self.admin, name, tier="web") for name in ("web1", "web2", "web3")
        }
        await self.world.add_user(self.admin, "alice")
        self.carol = await self.world.add_user(self.admin, "carol")
        await self.world.apply_policy(self.admin, policy(until))
        for name in ("web1", "web2"):
            self.sessions[name] = session = self.world.session(self.hosts[name])
            await session.hello()
            await session.desired()

    async def answer(self, name: str, user: host_pb2.LocalUser | None) -> host_pb2.AccountQuery:
        """The host hears one question and answers it."""
        session = self.sessions[name]
        query = (await session.receive("account")).account
        for number in (query.query + 77, query.query):
            answer = host_pb2.AccountAnswer(query=number, user=user)
            await session.call.write(host_pb2.HostMessage(account=answer))
        return query

    async def ask(self, **what: object) -> common_pb2.Request:
        request = host_pb2.CreateRequestRequest(user=ALICE, role="web", ask=ASK, reason="because", **what)  # type: ignore[arg-type]
        return await self.world.host(self.hosts["web1"]).CreateRequest(request)


@pytest.fixture
async def fleet(world: World) -> Fleet:
    made = Fleet(world)
    await made.build(in_days(200))
    return made


def standing(request: common_pb2.Request) -> dict[str, tuple[int, int]]:
    return {host.host: (host.state, host.grant_state) for host in request.batch}


async def test_one_approval_reaches_every_host_that_answered(fleet: Fleet) -> None:
    asking = asyncio.create_task(fleet.ask(hosts=["tier=web"]))
    query = await fleet.answer("web2", host_pb2.LocalUser(uid=2002, name="alice"))
    assert query.account == "alice"
    request = await asking
    pending = (common_pb2.REQUEST_STATE_PENDING, common_pb2.GRANT_STATE_UNSPECIFIED)
    assert request.host == "web1"
    assert standing(request) == {"web1": pending, "web2": pending, "web3": (0, 0)}
    assert [host.why for host in request.batch] == ["", "", "it is not connected"]
    decision = people_pb2.DecideRequest(request_id=request.batch[1].request_id, reason="go")
    await fleet.world.people(fleet.carol).Approve(decision)
    for name in ("web1", "web2"):
        desired = await fleet.sessions[name].desired()
        (grant,) = desired.grants
        assert f'"uid":{1001 if name == "web1" else 2002}'.encode() in grant.envelope
        applied = host_pb2.Applied(revision=grant.revision, scope="jit.scope")
        await fleet.sessions[name].report(1, grant.grant_id, applied=applied)
        await fleet.sessions[name].kept()
    reference = host_pb2.LocalRequestRef(user=ALICE, request_id=request.request_id)
    async with asyncio.timeout(5):
        async for seen in fleet.world.host(fleet.hosts["web1"]).WatchRequest(reference):
            if {host.grant_state for host in seen.batch if host.request_id} == {common_pb2.GRANT_STATE_ACTIVE}:
                break


async def test_a_host_that_knows_no_such_account_or_does_not_answer_is_left_out(fleet: Fleet) -> None:
    asking = asyncio.create_task(fleet.ask(hosts=["web1", "web2"]))
    await fleet.answer("web2", None)
    request = await asking
    assert [(host.host, host.why) for host in request.batch] == [
        ("web1", ""),
        ("web2", "it has no account alice, or more than one"),
    ]
    began = time.monotonic()
    silent = await fleet.ask(hosts=["web1", "web2"], dry_run=True)
    assert 2.5 < time.monotonic() - began < 6
    assert silent.request_id == ""
    assert [host.why for host in silent.batch] == ["", "it does not answer"]


async def test_a_host_answers_for_no_account_of_another_host_and_not_unasked(fleet: Fleet) -> None:
    asking = asyncio.create_task(fleet.ask(hosts=["web1", "web2"]))
    query = (await fleet.sessions["web2"].receive("account")).account
    forged = host_pb2.AccountAnswer(query=query.query, user=host_pb2.LocalUser(uid=6666, name="alice"))
    await fleet.sessions["web1"].call.write(host_pb2.HostMessage(account=forged))
    real = host_pb2.AccountAnswer(query=query.query, user=host_pb2.LocalUser(uid=2002, name="alice"))
    await fleet.sessions["web2"].call.write(host_pb2.HostMessage(account=real))
    request = await asking
    await fleet.world.people(fleet.carol).Approve(people_pb2.DecideRequest(request_id=request.request_id))
    (grant,) = (await fleet.sessions["web2"].desired()).grants
    assert b'"uid":2002' in grant.envelope


async def test_an_eligibility_is_renewed_over_the_wire(world: World) -> None:
    made = Fleet(world)
    await made.build(in_days(5))
    host = world.host(made.hosts["web1"])
    listed = await host.ListMyEligibilities(host_pb2.LocalListEligibilitiesRequest(user=ALICE))
    (entry,) = listed.eligibilities
    assert (entry.role, entry.kind, entry.state, entry.renewable_s) == ("web", "eligible", "current", 90 * 86_400)
    asked = await host.RenewMyEligibility(host_pb2.LocalRenewRequest(user=ALICE, role="web", reason="still here"))
    assert (asked.state, sorted(asked.approvers), asked.until > entry.until) == (
        "pending",
        ["carol", "root-admin"],
        True,
    )
    stub = world.policy(made.carol)
    decided = await stub.DecideRenewal(policy_pb2.DecideRenewalRequest(renewal_id=asked.renewal_id, approved=True))
    assert (decided.state, decided.decision.by) == ("approved", "carol")
    everything = await world.policy(made.admin).ListEligibilities(policy_pb2.ListEligibilitiesRequest())
    assert [(one.user, one.renewed) for one in everything.eligibilities] == [("alice", False), ("alice", True)]
    with pytest.raises(grpc.aio.AioRpcError, match="ends only at"):
        await host.RenewMyEligibility(host_pb2.LocalRenewRequest(user=ALICE, role="web", reason="again"))


async def test_the_server_tells_of_an_end_by_itself(world: World) -> None:
    made = Fleet(world)
    await made.build(in_days(5))
    async with asyncio.timeout(5):
        while not await _ends(made):
            await asyncio.sleep(0.1)
    assert await _ends(made) == ["alice"]


async def _ends(fleet: Fleet) -> list[str]:
    audit = audit_pb2_grpc.AuditServiceStub(fleet.world.channel(fleet.admin.identity))
    return [event.user async for event in audit.Query(audit_pb2.QueryRequest(kind="eligibility.ending"))]


async def test_a_service_is_added_without_a_token_and_cannot_log_in(world: World) -> None:
    admin = await world.first_admin()
    stub = world.admin(admin)
    created = await stub.CreateUser(admin_pb2.CreateUserRequest(name="backup", service=True))
    assert (created.user.service, created.mfa_token, created.mfa_token_expires_at) == (True, "", 0)
    with pytest.raises(grpc.aio.AioRpcError, match="no duties"):
        await stub.CreateUser(admin_pb2.CreateUserRequest(name="other", service=True, duties=["admin"]))
    host: Host = await world.add_host(admin, "web1", tier="web")
    assert host.host_id
    human = Human("backup", admin.totp, admin.identity)
    with pytest.raises(grpc.aio.AioRpcError, match="login refused"):
        await world.log_in(human)


async def test_a_role_is_suggested_over_the_wire(fleet: Fleet) -> None:
    since = fleet.world.clock.now() - 1_000_000
    stub = fleet.world.policy(fleet.admin)
    found = await stub.Suggest(policy_pb2.SuggestRequest(role="web", since=since))
    assert (found.text, found.sessions, list(found.left_out)) == ("", 0, [])
    with pytest.raises(grpc.aio.AioRpcError, match="since when"):
        await stub.Suggest(policy_pb2.SuggestRequest(role="web"))
