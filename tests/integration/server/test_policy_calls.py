"""PolicyService over real gRPC: what administrators, approvers, auditors and everybody are told, and refused."""

from __future__ import annotations

import grpc
import pytest

from jit_protos.v1 import common_pb2, policy_pb2
from jit_testing.refusals import refused
from jit_testing.server_world import Human, World

TESTS = """
tests:
  - name: alice restarts
    who: alice
    on: {labels: {tier: web}}
    run: /usr/bin/systemctl restart nginx.service
    expect: allow
  - {name: bob does not, who: bob, on: {labels: {tier: web}}, role: web, expect: deny, because: not eligible}
"""
CHANGES = "changes: {approvers: {people: [carol, dave]}}\n"


def text(content: str) -> policy_pb2.PolicyText:
    return policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name="p.yaml", text=content)])


def applying(content: str, **what: int | str) -> policy_pb2.ApplyPolicyRequest:
    return policy_pb2.ApplyPolicyRequest(policy=text(content), **what)  # type: ignore[arg-type]


@pytest.fixture
async def people(world: World) -> tuple[Human, Human, Human]:
    """An administrator, alice and carol; dave and a host are there too."""
    admin = await world.first_admin()
    alice, carol, _ = [await world.add_user(admin, name) for name in ("alice", "carol", "dave")]
    await world.add_host(admin, "web1", tier="web")
    return admin, alice, carol


async def test_a_policy_is_linted_tested_planned_applied_and_shown(
    world: World, people: tuple[Human, Human, Human], policy_text: str
) -> None:
    admin, _, _ = people
    stub, files = world.policy(admin), policy_text + TESTS
    assert [one for one in (await stub.Lint(text(files))).findings if one.severity == "error"] == []
    tested = await stub.Test(text(files))
    assert [(one.name, one.passed, one.file) for one in tested.results] == [
        ("alice restarts", True, "p.yaml"),
        ("bob does not", True, "p.yaml"),
    ]
    plan = await stub.Plan(policy_pb2.PlanPolicyRequest(policy=text(files)))
    assert (plan.current_version, plan.version, plan.changes_anything) == (0, 0, True)
    assert [(one.role, one.what) for one in plan.roles] == [("unattended", "added"), ("web", "added")]
    (reach,) = plan.reach
    assert (reach.gained, reach.run_as, reach.everything, list(reach.people), list(reach.hosts)) == (
        True, "root", False, ["alice"], ["web1"],
    )  # fmt: skip
    assert plan.reach_count == 1
    assert (await stub.Apply(applying(files, reason="first"))).version == 1
    assert not (await stub.Apply(applying(files))).changes_anything
    failing = files.replace("who: bob, on", "who: alice, on")
    refused_plan = await stub.Apply(applying(failing))
    assert (refused_plan.version, [one.name for one in refused_plan.failed_tests]) == (0, ["bob does not"])
    assert refused_plan.failed_tests[0].line > 20

    shown = await stub.Show(policy_pb2.ShowPolicyRequest())
    assert (shown.version.version, shown.version.reason, shown.policy) == (1, "first", text(files))
    (version,) = (await stub.History(policy_pb2.PolicyHistoryRequest())).versions
    assert version == shown.version
    assert len(version.digest) == 64
    in_force = await stub.Test(policy_pb2.PolicyText())
    assert all(one.passed for one in in_force.results)


async def test_the_second_person_decides_over_the_wire(
    world: World, people: tuple[Human, Human, Human], policy_text: str
) -> None:
    admin, alice, carol = people
    await world.policy(admin).Apply(applying(CHANGES + policy_text))
    wider = CHANGES + policy_text.replace("ops: [alice]", "ops: [alice, dave]")
    plan = await world.policy(admin).Apply(applying(wider, reason="dave is on call"))
    assert (plan.version, plan.change.state, list(plan.change.approvers)) == (0, "pending", ["carol", "dave"])
    assert "dave may ask for it" in plan.needs_approval
    ref = policy_pb2.ChangeRef(change_id=plan.change.change_id)
    decide = policy_pb2.DecideChangeRequest(change_id=plan.change.change_id, reason="yes")
    for caller, code in ((admin, grpc.StatusCode.PERMISSION_DENIED), (alice, grpc.StatusCode.PERMISSION_DENIED)):
        assert (await refused(world.policy(caller).ApproveChange(decide))).code() is code
    waiting = await world.policy(carol).GetChange(ref)
    assert (waiting.proposed_by, waiting.policy, waiting.reason) == ("root-admin", text(wider), "dave is on call")
    assert [list(one.people) for one in waiting.plan.reach] == [["dave"]]
    done = await world.policy(carol).ApproveChange(decide)
    assert (done.state, done.version, [vote.by for vote in done.decisions]) == ("applied", 2, ["carol"])
    assert (await refused(world.policy(carol).RejectChange(decide))).code() is grpc.StatusCode.FAILED_PRECONDITION
    listed = await world.policy(admin).ListChanges(policy_pb2.ListChangesRequest(all=True))
    assert [one.state for one in listed.changes] == ["applied"]
    assert not (await world.policy(admin).ListChanges(policy_pb2.ListChangesRequest())).changes

    back = await world.policy(admin).Rollback(policy_pb2.RollbackPolicyRequest(version=1, reason="enough"))
    assert back.version == 3
    newest = (await world.policy(admin).History(policy_pb2.PolicyHistoryRequest(limit=1))).versions[0]
    assert (newest.version, newest.rolled_back_to, newest.reason) == (3, 1, "enough")


async def test_questions_are_answered_to_readers_and_about_oneself(
    world: World, people: tuple[Human, Human, Human], policy_text: str
) -> None:
    admin, alice, _ = people
    await world.policy(admin).Apply(applying(policy_text))
    restart = common_pb2.Ask(argv=["/usr/bin/systemctl", "restart", "nginx.service"])
    mine = policy_pb2.ExplainRequest(host="web1", ask=restart, role="web")
    explained = await world.policy(alice).Explain(mine)
    assert {check.rule for check in explained.roles[0].checks} >= {"eligible", "hosts", "commands", "approvals"}
    assert (await world.policy(alice).Explain(policy_pb2.ExplainRequest(host="web1"))).roles
    assert list(explained.roles[0].needs) == ["reason", "code"]
    who = policy_pb2.WhoCanRequest(hosts=["tier=web"], ask=restart)
    (capability,) = (await world.policy(admin).WhoCan(who)).capabilities
    assert (capability.user, capability.kind, list(capability.hosts)) == ("alice", "eligible", ["web1"])
    assert (await refused(world.policy(alice).WhoCan(who))).code() is grpc.StatusCode.PERMISSION_DENIED
    can = await world.policy(alice).WhatCan(policy_pb2.WhatCanRequest())
    assert [one.role for one in can.capabilities] == ["unattended", "web"]
    tried = await world.policy(admin).TestCommand(policy_pb2.TestCommandRequest(role="web", argv=restart.argv))
    assert (tried.allowed, tried.by) == (True, "/usr/bin/systemctl restart nginx.service")
    other = policy_pb2.TestCommandRequest(role="unattended", argv=["/usr/bin/w"], policy=text(policy_text))
    assert not (await world.policy(admin).TestCommand(other)).allowed


@pytest.mark.parametrize(
    "request_",
    [
        policy_pb2.ExplainRequest(),
        policy_pb2.ExplainRequest(host="web1", login="telnet"),
        policy_pb2.ExplainRequest(host="web1", source="somewhere"),
        policy_pb2.ExplainRequest(host="web1", at=-1),
        policy_pb2.ExplainRequest(host="web1", at=2**62),
        policy_pb2.ExplainRequest(host="web1", duration_s=-1),
        policy_pb2.ExplainRequest(host="web1", duration_s=2**62),
        policy_pb2.ExplainRequest(host="web1", ask=common_pb2.Ask(argv=["relative"])),
    ],
)
async def test_a_question_that_is_none_is_refused(
    world: World, people: tuple[Human, Human, Human], request_: policy_pb2.ExplainRequest
) -> None:
    error = await refused(world.policy(people[0]).Explain(request_))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details()
