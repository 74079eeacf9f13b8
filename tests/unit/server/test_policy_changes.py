"""Policy versions, and what a change of policy ends (S10)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jit_server.domain.ask import ALL, Command
from jit_server.domain.identity import Duty, HostCaller
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.policy import Party, PolicyFile, Role
from jit_server.domain.report import Applied
from jit_server.errors import Conflict, Denied, Invalid, LimitExceeded, NotFound
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import FakePolicyParser, a_policy, a_role

JOURNAL = Command("/usr/bin/journalctl", None)


async def test_versions_count_up_and_stay_readable(world: CoreWorld) -> None:
    with pytest.raises(NotFound, match="no policy yet"):
        await world.services.policies.show(world.root)
    files = world.parser.learn(a_policy(a_role()))
    report = await world.services.policies.apply(world.root, files)
    assert (report.version, report.findings) == (1, ())
    await world.apply(a_role(max_s=60))
    shown = await world.services.policies.show(world.root, 1)
    assert (shown.version, shown.files, shown.applied_by) == (1, files, "root-admin")
    assert (await world.services.policies.show(world.root)).version == 2
    with pytest.raises(NotFound, match="no policy version 9"):
        await world.services.policies.show(world.root, 9)
    assert [event.event.details["version"] for event in await world.events("policy.applied")] == [1, 2]


async def test_a_policy_with_an_error_is_reported_and_changes_nothing(world: CoreWorld) -> None:
    await world.apply(a_role())
    bad = (PolicyFile("policy.yaml", "nonsense"),)
    for report in (
        await world.services.policies.apply(world.root, bad),
        await world.services.policies.lint(world.root, bad),
    ):
        assert (report.version, [finding.message for finding in report.findings]) == (0, ["not a policy"])
    assert (await world.services.policies.show(world.root)).version == 1


async def test_a_policy_made_against_another_version_is_a_conflict(world: CoreWorld) -> None:
    files = world.parser.learn(a_policy(a_role()))
    await world.services.policies.apply(world.root, files)
    await world.services.policies.apply(world.root, files, expected_version=1)
    with pytest.raises(Conflict, match="at version 2, not 1"):
        await world.services.policies.apply(world.root, files, expected_version=1)


async def test_two_applied_at_once_get_a_version_each(world: CoreWorld) -> None:
    files = world.parser.learn(a_policy(a_role()))
    reports = await asyncio.gather(*(world.services.policies.apply(world.root, files) for _ in range(5)))
    assert sorted(report.version for report in reports) == [1, 2, 3, 4, 5]


async def test_administrators_apply_auditors_read_others_neither(world: CoreWorld) -> None:
    alice, auditor = await world.person("alice"), await world.person("otto", Duty.AUDITOR)
    files = world.parser.learn(a_policy(a_role()))
    for caller in (alice, auditor):
        with pytest.raises(Denied):
            await world.services.policies.apply(caller, files)
    await world.services.policies.apply(world.root, files)
    assert (await world.services.policies.show(auditor)).version == 1
    with pytest.raises(Denied):
        await world.services.policies.show(alice)
    with pytest.raises(Denied):
        await world.services.policies.lint(alice, files)


async def test_a_policy_over_the_limits_is_refused(world: CoreWorld) -> None:
    for files, error in (
        ((), Invalid),
        ((PolicyFile("a", "x" * (1024 * 1024 + 1)),), LimitExceeded),
        ((PolicyFile("a", "x"),) * 101, LimitExceeded),
    ):
        with pytest.raises(error):
            await world.services.policies.lint(world.root, files)
        with pytest.raises(error):
            await world.services.policies.apply(world.root, files)


ROLE = a_role(commands=ALL, max_s=600)


@pytest.mark.parametrize(
    ("roles", "grant", "request_state"),
    [
        ([ROLE], GrantState.ACTIVE, RequestState.PENDING),
        ([replace(ROLE, description="new words")], GrantState.ACTIVE, RequestState.PENDING),
        (
            [replace(ROLE, approvers=Party(people=frozenset({"carol", "dave"})))],
            GrantState.ACTIVE,
            RequestState.PENDING,
        ),
        ([], GrantState.ENDING, RequestState.CANCELLED),
        ([replace(ROLE, eligible=Party())], GrantState.ENDING, RequestState.CANCELLED),
        ([replace(ROLE, commands=(JOURNAL,))], GrantState.ENDING, RequestState.CANCELLED),
        ([replace(ROLE, max_s=599)], GrantState.ENDING, RequestState.PENDING),
        ([replace(ROLE, mfa=True)], GrantState.ACTIVE, RequestState.CANCELLED),
        ([replace(ROLE, required=False)], GrantState.ACTIVE, RequestState.CANCELLED),
        ([replace(ROLE, subcommands=True)], GrantState.ACTIVE, RequestState.CANCELLED),
        ([replace(ROLE, watch_s=60)], GrantState.ACTIVE, RequestState.CANCELLED),
        ([replace(ROLE, retain_s=60)], GrantState.ACTIVE, RequestState.CANCELLED),
        ([replace(ROLE, approvals=0)], GrantState.ACTIVE, RequestState.CANCELLED),
        ([replace(ROLE, approvers=Party(people=frozenset({"nobody"})))], GrantState.ACTIVE, RequestState.CANCELLED),
    ],
)
async def test_a_change_ends_what_it_no_longer_allows_and_nothing_else(
    world: CoreWorld, roles: list[Role], grant: GrantState, request_state: RequestState
) -> None:
    """S10; a pending request ends too if what its approvers would have relied on changed."""
    await world.person("alice")
    carol = await world.person("carol")
    host = await world.host()
    await world.apply(ROLE)
    request_id = (await world.ask(host, duration_s=60)).request.request_id
    longest = await world.services.decisions.approve(carol, (await world.ask(host, duration_s=600)).request.request_id)
    if longest.grant is None:
        raise AssertionError("no grant")
    grant_id = longest.grant.grant.grant_id
    await world.hello(host)
    await world.wanted(host)
    await _applied(world, grant_id)

    files = world.parser.learn(a_policy(*roles))
    trial = await world.services.policies.apply(world.root, files, dry_run=True)
    assert (trial.version, trial.grants_ended) == (0, 1 if grant is GrantState.ENDING else 0)
    assert await world.state(grant_id) is GrantState.ACTIVE
    report = await world.services.policies.apply(world.root, files)
    assert report.grants_ended == trial.grants_ended
    assert await world.state(grant_id) is grant
    assert (await world.services.requests.get(world.root, request_id)).request.state is request_state
    assert (grant_id in await world.wanted(host)) is (grant is GrantState.ACTIVE)


async def _applied(world: CoreWorld, grant_id: str) -> None:
    grant = await world.grant(grant_id)
    await world.report(HostCaller(grant.host_id), grant_id, Applied(grant.revision, "jit.scope"))


async def test_a_stored_policy_that_can_no_longer_be_read_allows_nothing_and_blocks_no_ending(world: CoreWorld) -> None:
    """S6: after an upgrade with a stricter parser, administrators can still end every grant."""
    alice, carol = await world.person("alice"), await world.person("carol")
    host = await world.host()
    await world.apply(a_role())
    first, second = await world.delivered(host, carol), await world.delivered(host, carol)
    world.parser = FakePolicyParser()
    world.services = world.compose()
    with pytest.raises(Denied):
        await world.ask(host)
    assert (await world.services.grants.revoke(world.root, first)).grant.state is GrantState.ENDING
    assert (await world.services.grants.drop(alice, second)).grant.state is GrantState.ENDING
