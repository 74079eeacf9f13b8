"""SPEC 7: over a limit is an error that names the limit, never a cut; and an error of ours shows nothing of itself."""

from __future__ import annotations

import logging

import grpc
import pytest

from jit_protos.v1 import host_pb2, people_pb2, policy_pb2
from jit_testing.refusals import refused
from jit_testing.server_world import World


async def test_a_message_over_the_limit_is_refused_on_both_ports(world: World) -> None:
    admin = await world.first_admin()
    big = "x" * (256 * 1024)
    error = await refused(world.people(admin).GetRequest(people_pb2.RequestRef(request_id=big)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "262144" in (error.details() or "")
    error = await refused(world.enrollment().Enroll(host_pb2.EnrollRequest(token=big, csr="x")))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_policy_may_be_larger_than_other_messages_but_not_over_a_mebibyte(
    world: World, policy_text: str
) -> None:
    admin = await world.first_admin()
    padding = "#" + "x" * (1024 * 1024 - len(policy_text) - 2) + "\n"
    assert (await world.apply_policy(admin, policy_text + padding)).version == 1
    error = await refused(world.apply_policy(admin, policy_text + padding + "##"))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1048576" in (error.details() or "")
    error = await refused(world.apply_policy(admin, policy_text + padding * 3))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_every_error_of_a_policy_is_told_and_nothing_is_stored(world: World, policy_text: str) -> None:
    admin = await world.first_admin()
    bad = policy_text.replace("approvals: 0", "approvals: -1").replace("[leads]", "[leeds]").replace("30m", "soon")
    stub = world.policy(admin)
    policy = policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name="p.yaml", text=bad)])
    plan = await stub.Apply(policy_pb2.ApplyPolicyRequest(policy=policy))
    assert plan.version == 0
    for report in (await stub.Lint(policy), plan.report):
        errors = [finding for finding in report.findings if finding.severity == "error"]
        assert {finding.file for finding in errors} == {"p.yaml"}
        assert [finding.line for finding in errors] == sorted({finding.line for finding in errors})
        assert len(errors) == 2
        assert all(finding.column for finding in errors)
    assert (await refused(stub.Show(policy_pb2.ShowPolicyRequest()))).code() is grpc.StatusCode.NOT_FOUND


async def test_a_policy_made_against_an_old_version_is_refused(world: World, policy_text: str) -> None:
    admin = await world.first_admin()
    await world.apply_policy(admin, policy_text)
    policy = policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name="p.yaml", text=policy_text)])
    late = policy_pb2.ApplyPolicyRequest(policy=policy, expected_version=7)
    error = await refused(world.policy(admin).Apply(late))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    shown = await world.policy(admin).Show(policy_pb2.ShowPolicyRequest())
    assert (shown.version.version, shown.policy.files[0].text) == (1, policy_text)


@pytest.mark.parametrize("number", [99, 2**31 - 1])
async def test_an_unknown_enum_value_is_refused(world: World, number: int) -> None:
    admin = await world.first_admin()
    request = people_pb2.ListRequestsRequest()
    request.MergeFromString(bytes([0x08]) + varint(number))
    error = await refused(world.people(admin).ListRequests(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


async def test_what_must_not_happen_shows_the_caller_nothing_and_the_log_everything(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await world.first_admin()

    async def broken(*_: object) -> None:
        raise KeyError("the secret of the day")

    monkeypatch.setattr("jit_server.services.people.PeopleService.whoami", broken)
    with caplog.at_level(logging.ERROR):
        error = await refused(world.people(admin).WhoAmI(people_pb2.WhoAmIRequest()))
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "")
    assert "secret" not in str(tuple(error.trailing_metadata()))
    assert "the secret of the day" in caplog.text
