"""The real program against a scripted agent on a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jit_testing.fake_agent import FakeAgent
from jit_testing.jit_program import Jit, install


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with closing(FakeAgent(tmp_path / "agent.sock")) as fake:
        yield fake


@pytest.fixture
def jit(tmp_path: Path) -> Iterator[Jit]:
    with closing(install(tmp_path)) as program:
        yield program
