"""The whole way of a request through a scripted agent, for who asks with `jit sudo`."""

from __future__ import annotations

from jit_testing import fake_agent as fake

IN_FORCE = fake.waited(fake.approved(), in_force=True)


def pending_then(agent: fake.FakeAgent, *lines: fake.Line, choice: fake.Object | None = None) -> None:
    """Script it: one role fits, the request is pending, then these lines."""
    agent.on("plan", fake.plan(choice or fake.choice()))
    agent.on("status", fake.status())
    agent.on("request", {"ok": True, "request": fake.request()})
    agent.on("wait", [fake.waited(fake.request()), *lines])
