"""Where the agent's unit tests put recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from jit_agent.chunks import Chunks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def chunks(root: Path) -> Chunks:
    return Chunks(root)
