"""Policy versions, and what a change of policy ends (S10)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jit_server.domain.ask import ALL, Command
from jit_server.domain.identity import Duty, HostCaller
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy.model import Party, Role
from jit_server.domain.policy_change import digest
from jit_server.domain.report import Applied
from jit_server.errors import Conflict, Denied, Invalid, LimitExceeded, NotFound
from jit_server.services.locks import NewLock
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import FakePolicyParser, a_policy, a_role

JOURNAL = Command("/usr/bin/journalctl", None)


async def test_versions_count_up_and_stay_readable(world: CoreWorld) -> None:
    with pytest.raises(NotFound, match="no policy yet"):
        await world.services.policies.show(world.root)
    files = world.parser.learn(a_policy(a_role()))
    plan = await world.services.policy_changes.apply(world.root, files, untrusted_reason="  the first ")
    assert plan.version == 1
    await world.apply(a_role(max_s=60))
    shown = await world.services.policies.show(world.root, 1)
    assert (shown.version, shown.files, shown.applied_by, shown.reason) == (1, files, "root-admin", "the first")
    history = await world.services.policies.history(world.root)
    assert [(one.version, one.files, one.reason) for one in history] == [(2, (), ""), (1, (), "the first")]
    assert [one.digest for one in history] == [digest(await _files(world, version)) for version in (2, 1)]
    assert [one.version for one in await world.services.policies.history(world.root, 1)] == [2]
    assert (await world.services.policies.show(world.root)).version == 2
    with pytest.raises(NotFound, match="no policy version 9"):
        await world.services.policies.show(world.root, 9)
    assert [event.event.details["version"] for event in await world.events("policy.applied")] == [1, 2]


async def test_a_policy_with_an_error_is_reported_and_changes_nothing(world: CoreWorld) -> None:
    await world.apply(a_role())
    bad = (PolicyFile("policy.yaml", "nonsense"),)
    applied = await world.services.policy_changes.apply(world.root, bad)
    planned = await world.services.policy_changes.plan(world.root, bad)
    assert (applied.version, planned.version) == (0, 0)
    linted = await world.services.policies.lint(world.root, bad)
    for findings in (applied.draft.findings, planned.draft.findings, linted.findings):
        assert [finding.message for finding in findings] == ["not a policy"]
    assert (await world.services.policies.show(world.root)).version == 1


async def test_a_policy_made_against_another_version_is_a_conflict(world: CoreWorld) -> None:
    await world.apply(a_role())
    files = world.parser.learn(a_policy(a_role(max_s=60)))
    assert (await world.services.policy_changes.apply(world.root, files, expected_version=1)).version == 2
    with pytest.raises(Conflict, match="at version 2, not 1"):
        await world.services.policy_changes.apply(world.root, files, expected_version=1)


async def test_five_applied_at_once_get_a_version_each(world: CoreWorld) -> None:
    """None is lost, and none is compared with a version that is no longer in force."""
    several = [world.parser.learn(a_policy(a_role(max_s=60 + number))) for number in range(5)]
    plans = await asyncio.gather(*(world.services.policy_changes.apply(world.root, files) for files in several))
    assert sorted(plan.version for plan in plans) == [1, 2, 3, 4, 5]
    assert sorted(plan.draft.base_version for plan in plans) == [0, 1, 2, 3, 4]


async def test_files_that_say_what_is_in_force_make_no_version(world: CoreWorld) -> None:
    await world.apply(a_role())
    for files, changes in ((world.parser.learn(a_policy(a_role())), False), (world.parser.learn(a_policy()), True)):
        assert (await world.services.policy_changes.plan(world.root, files)).draft.changes_anything is changes
    await world.apply(a_role())
    assert (await world.services.policies.show(world.root)).version == 1


async def test_going_back_is_a_new_version_of_the_old_files(world: CoreWorld) -> None:
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(a_role(name="new"))
    await world.apply(a_role())
    grant_id = await world.granted(host, carol)
    with pytest.raises(NotFound, match="no policy version 9"):
        await world.services.policy_changes.rollback(world.root, 9)
    plan = await world.services.policy_changes.rollback(world.root, 1, "it broke")
    assert (plan.version, [grant.grant_id for grant, _ in plan.endings.grants]) == (3, [grant_id])
    stored = await world.services.policies.show(world.root)
    assert (stored.rolled_back_to, stored.reason, stored.files) == (1, "it broke", await _files(world, 1))
    assert await world.state(grant_id) is GrantState.ENDED


async def test_administrators_apply_auditors_read_others_neither(world: CoreWorld) -> None:
    alice, auditor = await world.person("alice"), await world.person("otto", Duty.AUDITOR)
    files = world.parser.learn(a_policy(a_role()))
    for caller in (alice, auditor):
        with pytest.raises(Denied):
            await world.services.policy_changes.apply(caller, files)
        with pytest.raises(Denied):
            await world.services.policy_changes.rollback(caller, 1)
    await world.services.policy_changes.apply(world.root, files)
    assert not (await world.services.policy_changes.plan(auditor, files)).draft.changes_anything
    assert (await world.services.policies.show(auditor)).version == 1
    with pytest.raises(Denied):
        await world.services.policies.show(alice)
    with pytest.raises(Denied):
        await world.services.policies.lint(alice, files)
    with pytest.raises(Denied):
        await world.services.policy_changes.plan(alice, files)
    with pytest.raises(Denied):
        await world.services.policies.history(alice)


async def test_an_administrator_who_is_locked_changes_no_policy(world: CoreWorld) -> None:
    zoe = await world.person("zoe", Duty.ADMIN)
    files = world.parser.learn(a_policy(a_role()))
    lock = await world.services.locks.create(world.root, NewLock("user", "zoe", "stolen laptop"))
    with pytest.raises(Denied, match="zoe is locked: stolen laptop"):
        await world.services.policy_changes.apply(zoe, files)
    await world.services.locks.lift(world.root, lock.lock_id, "it was found")
    assert (await world.services.policy_changes.apply(zoe, files)).version == 1


async def test_a_policy_over_the_limits_is_refused(world: CoreWorld) -> None:
    for files, error in (
        ((), Invalid),
        ((PolicyFile("a", "x" * (1024 * 1024 + 1)),), LimitExceeded),
        ((PolicyFile("a", "x"),) * 101, LimitExceeded),
    ):
        with pytest.raises(error):
            await world.services.policies.lint(world.root, files)
        with pytest.raises(error):
            await world.services.policy_changes.apply(world.root, files)


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
        ([replace(ROLE, eligible=())], GrantState.ENDING, RequestState.CANCELLED),
        ([replace(ROLE, commands=(JOURNAL,))], GrantState.ENDING, RequestState.CANCELLED),
        ([replace(ROLE, max_s=599)], GrantState.ENDING, RequestState.PENDING),
        ([replace(ROLE, mfa=True)], GrantState.ACTIVE, RequestState.CANCELLED),
        ([replace(ROLE, ticket=True)], GrantState.ACTIVE, RequestState.CANCELLED),
        ([replace(ROLE, ticket=True, ticket_pattern="^INC-[0-9]+$")], GrantState.ACTIVE, RequestState.CANCELLED),
        ([replace(ROLE, reason=True)], GrantState.ACTIVE, RequestState.CANCELLED),
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
    trial = await world.services.policy_changes.plan(world.root, files)
    assert (trial.version, len(trial.endings.grants)) == (0, 1 if grant is GrantState.ENDING else 0)
    assert len(trial.endings.requests) == (1 if request_state is RequestState.CANCELLED else 0)
    assert await world.state(grant_id) is GrantState.ACTIVE
    plan = await world.services.policy_changes.apply(world.root, files)
    assert plan.endings == trial.endings
    assert await world.state(grant_id) is grant
    assert (await world.services.requests.get(world.root, request_id)).request.state is request_state
    assert (grant_id in await world.wanted(host)) is (grant is GrantState.ACTIVE)


async def _files(world: CoreWorld, version: int) -> tuple[PolicyFile, ...]:
    return (await world.services.policies.show(world.root, version)).files


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


async def test_where_the_policy_in_force_cannot_be_read_a_change_takes_two_administrators(world: CoreWorld) -> None:
    """What it said of changes is not known, and must not be taken for nothing."""
    zoe = await world.person("zoe", Duty.ADMIN)
    await world.apply(a_role())
    await world.apply(a_role(max_s=700))
    world.parser = FakePolicyParser()
    world.services = world.compose()
    plan = await world.services.policy_changes.apply(world.root, world.parser.learn(a_policy(a_role(max_s=60))))
    assert plan.change is not None
    assert plan.version == 0
    await world.services.policy_approvals.approve(zoe, plan.change.change_id, "as before")
    assert (await world.services.policies.show(zoe)).version == 3


async def test_one_administrator_alone_replaces_a_policy_that_cannot_be_read(
    world: CoreWorld,
) -> None:
    await world.apply(a_role())
    await world.apply(a_role(max_s=700))
    world.parser = FakePolicyParser()
    world.services = world.compose()
    assert (await world.services.policy_changes.apply(world.root, world.parser.learn(a_policy(a_role())))).version == 3
