"""The lint as an administrator gets it: with what the server knows of people, hosts and past use (SPEC 9.6)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from jit_server.domain.policy.arrival import LoginKinds, Source
from jit_server.domain.policy.circumstances import LoginKind
from jit_server.domain.policy.finding import Spot, Suppression
from jit_server.domain.policy.lint import UNUSED_US
from jit_server.domain.policy.model import Policy
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import START, a_policy, a_role

SECOND = 1_000_000


async def linted(world: CoreWorld, policy: Policy) -> list[str]:
    """The rules that say something of role web."""
    checked = await world.services.policies.lint(world.root, world.parser.learn(policy))
    return [finding.rule for finding in checked.findings if finding.role == "web"]


async def test_a_role_nobody_asks_for_is_unused_90_days_after_it_came_into_force(world: CoreWorld) -> None:
    role = a_role()
    await world.person("alice")
    await world.apply(role)
    assert "unused-role" not in await linted(world, a_policy(role))
    world.clock.advance(UNUSED_US // SECOND - 60)
    assert "unused-role" not in await linted(world, a_policy(role))
    world.clock.advance(120)
    assert "unused-role" in await linted(world, a_policy(role))
    assert "unused-role" not in await linted(world, a_policy(replace(role, name="new")))


async def test_a_plan_says_what_the_lint_says_and_what_is_suppressed(world: CoreWorld) -> None:
    noisy = a_policy(a_role(mfa=False))
    hidden = Suppression("root-without-mfa", "web", "keys", START + UNUSED_US, Spot("policy.yaml", 9, 1))
    plan = await world.services.policy_changes.plan(world.root, world.parser.learn(noisy))
    assert "root-without-mfa" in [finding.rule for finding in plan.draft.findings]
    quiet = world.parser.learn(replace(noisy, suppressions=(hidden,)))
    plan = await world.services.policy_changes.plan(world.root, quiet)
    assert "root-without-mfa" not in [finding.rule for finding in plan.draft.findings]
    assert [finding.rule for finding in plan.draft.suppressed] == ["root-without-mfa"]


async def test_a_role_nobody_could_ever_get_is_not_put_in_force_and_a_loose_one_is(world: CoreWorld) -> None:
    never = replace(a_role(), when=(LoginKinds((LoginKind.CONSOLE,)), Source((ip_network("10.0.0.0/8"),))))
    plan = await world.services.policy_changes.apply(world.root, world.parser.learn(a_policy(never)))
    assert (plan.version, plan.draft.policy) == (0, None)
    assert "never-met" in [finding.rule for finding in plan.draft.findings]
    loose = a_policy(a_role(mfa=False, approvals=0))
    plan = await world.services.policy_changes.apply(world.root, world.parser.learn(loose))
    assert plan.version == 1
