"""The table of failpoints says what is so, and the launcher does what its orders say, once."""

from __future__ import annotations

import ast
import errno
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from faults.failpoints import FAILPOINTS, Failpoint

TESTS = Path(__file__).parents[2]
PACKAGES = {"enforcer": "jit_enforcer", "agent": "jit_agent", "server": "jit_server"}


def resolve(function: str) -> Any:
    module, _, qualified = function.partition(":")
    found: Any = importlib.import_module(module)
    for name in qualified.split("."):
        found = getattr(found, name)
    return found


def names_used(source: str) -> Counter[str]:
    """Every name a program reads, called at once or handed on to be called; what is only defined is not among them."""
    nodes = list(ast.walk(ast.parse(textwrap.dedent(source))))
    attributes = [node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)]
    return Counter(attributes + [node.id for node in nodes if isinstance(node, ast.Name)])


def names_used_in(package: str) -> Counter[str]:
    folder = Path(str(importlib.import_module(package).__file__)).parent
    return sum((names_used(path.read_text()) for path in folder.rglob("*.py")), Counter())


USED = {program: names_used_in(package) for program, package in PACKAGES.items()}


def test_there_are_thirty_and_each_has_a_name_of_its_own() -> None:
    names = [point.name for point in FAILPOINTS]
    assert len(names) >= 30
    assert len(set(names)) == len(names)
    assert {point.program for point in FAILPOINTS} == set(PACKAGES)
    assert {point.when for point in FAILPOINTS} == {"before", "after"}


@pytest.mark.parametrize("point", FAILPOINTS, ids=lambda point: point.name)
def test_a_failpoint_is_a_function_that_its_program_calls(point: Failpoint) -> None:
    for function in filter(None, [point.function, point.within]):
        module, _, qualified = function.partition(":")
        assert callable(resolve(function)), function
        if module != "os":
            assert module.split(".")[0] == PACKAGES[point.program]
            assert USED[point.program][qualified.split(".")[-1]], f"nothing calls {function}"
    if point.function.startswith("os:"):
        around = resolve(point.within)
        assert isinstance(around, FunctionType)
        # Path.rename(), Path.unlink(): os has the same names.
        assert names_used(inspect.getsource(around))[point.function.removeprefix("os:")]


STEPS = """
    import os

    def save(of="nobody"):
        sync()

    def sync():
        os.fsync(1)
"""
PROGRAM = """
    import os, sys
    from pathlib import Path
    from faults import inject
    from faults.failpoints import Failpoint

    inject.wrap("steps", [
        Failpoint("agent", "save", "before", "steps:save", "", "", "apply"),
        Failpoint("agent", "save", "after", "steps:save", "", "", "apply"),
        Failpoint("agent", "draft", "before", "os:fsync", "steps:save", "", "apply"),
    ], Path.cwd())
    import steps
    for word in sys.argv[1:]:
        try:
            step, _, of = word.partition("=")
            getattr(steps, step)(*filter(None, [of]))
            print(word, flush=True)
        except OSError as e:
            print(e.errno, flush=True)
"""


def run(control: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A program with two steps, under the launcher, taking these."""
    (control / "steps.py").write_text(textwrap.dedent(STEPS))
    with (control / "output").open("w+") as output:  # a file, because a pipe cannot be synced
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), *words],
            stdout=output, check=False, cwd=control, env=os.environ | {"PYTHONPATH": f"{TESTS}:{control}"},
        )  # fmt: skip
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, output.read())


def arm(control: Path, failpoint: str, action: str, *about: str) -> None:
    (control / "armed").write_text(json.dumps({"failpoint": failpoint, "action": action, "about": about}))


def test_without_an_order_a_wrapped_program_does_as_ever(tmp_path: Path) -> None:
    assert run(tmp_path, "save", "sync").stdout == "save\nsync\n"


def test_an_order_kills_once_and_a_program_that_comes_back_is_spared(tmp_path: Path) -> None:
    arm(tmp_path, "agent.save.before", "kill")
    killed = run(tmp_path, "save")
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "")
    assert (tmp_path / "fired").exists()
    assert run(tmp_path, "save").stdout == "save\n"


def test_an_order_for_another_failpoint_does_nothing_and_is_not_called_fired(tmp_path: Path) -> None:
    arm(tmp_path, "agent.other.before", "kill")
    assert run(tmp_path, "save").stdout == "save\n"
    assert not (tmp_path / "fired").exists()


def test_an_order_can_be_an_error_of_the_disk(tmp_path: Path) -> None:
    arm(tmp_path, "agent.save.after", "ENOSPC")
    assert run(tmp_path, "save", "save").stdout == f"{errno.ENOSPC}\nsave\n"


def test_a_step_within_another_counts_only_there(tmp_path: Path) -> None:
    arm(tmp_path, "agent.draft.before", "EROFS")
    assert run(tmp_path, "sync", "save", "save").stdout == f"sync\n{errno.EROFS}\nsave\n"


def test_an_order_about_one_host_leaves_the_others_alone(tmp_path: Path) -> None:
    arm(tmp_path, "agent.draft.before", "EIO", "web1")
    assert run(tmp_path, "save=web2", "save=web1").stdout == f"save=web2\n{errno.EIO}\n"
