"""A real server on loopback ports: real TLS, real SQLite, real signatures; only passwords and the clock are ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from jit_testing.server_world import World, new_world


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await new_world(tmp_path)
    await world.start()
    yield world
    await world.close()


@pytest.fixture
def policy_text() -> str:
    return POLICY


POLICY = """\
version: 1
groups:
  ops: [alice]
  leads: [carol]
roles:
  web:
    hosts: {tier: web}
    commands: [/usr/bin/systemctl restart nginx.service]
    eligible: {groups: [ops], permanent: true}
    approvers: {groups: [leads]}
    duration: {default: 30m, max: 2h}
  unattended:
    hosts: {tier: web}
    commands: [/usr/bin/uptime]
    eligible: {groups: [ops], permanent: true}
    approvals: 0
    mfa: false
    reason: false
    duration: {default: 10m, max: 1h}
"""
