"""The lab that system tests share: hosts of both Debian releases, installed from this checkout's packages.

Where hosts cannot be booted the level fails; it never skips.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jit_testing import lab as labs
from jit_testing.lab import Lab
from lab import lifecycle
from lab.places import REPOSITORY, default_name
from lab.process import LabError

Tell = Callable[[str, str, str, str], None]
"""What happened, on which host, what it did to the command, and what became of the recording."""

_TOLD = pytest.StashKey[list[tuple[str, str, str, str]]]()


@pytest.fixture(scope="session")
def packages() -> Path:
    """This checkout's packages for both Debian releases, built if anything changed."""
    return lifecycle.build_packages()


@pytest.fixture(scope="session")
def lab_name() -> Iterator[str]:
    """A name of this checkout's own for labs of tests, which no other run of it has now."""
    with contextlib.ExitStack() as stack:
        for letter in "tuvw":
            name = f"{default_name()[:24]}-{letter}"
            with contextlib.suppress(LabError):
                stack.enter_context(lifecycle.claimed(Path(f"/run/lock/jit-{name}.lock"), wait_s=lifecycle.INSTANT_S))
                break
        else:
            pytest.fail("four other runs of this checkout have labs; wait for one of them to end")
        yield name


@pytest.fixture(scope="session")
def lab(packages: Path, lab_name: str) -> Iterator[Lab]:
    """server and web1 of Debian 12, web2 of Debian 13, with jit and the people of tests/lab/policy.yaml."""
    made = labs.up(lab_name, ["server:12", "web1:12", "web2:13"], packages)
    try:
        yield made
    finally:
        labs.down(made)


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Iterator[Tell]:
    """A line of the table about sessions that is shown at the end, and left in build/sessions.json."""
    told = request.config.stash.setdefault(_TOLD, [])
    yield lambda *line: told.append(line)
    place = REPOSITORY / "build/sessions.json"
    place.parent.mkdir(exist_ok=True)
    keys = ("what", "host", "command", "recording")
    rows = [dict(zip(keys, line, strict=True)) for line in sorted(told)]
    place.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    told = config.stash.get(_TOLD, [])
    if told:
        terminalreporter.section("what became of sessions and their recordings")
    for what, host, command, recording in sorted(told):
        terminalreporter.line(f"{what:48} {host:5} {command:42} {recording}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for roots and packages to be made when the cache is cold."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(1200))
