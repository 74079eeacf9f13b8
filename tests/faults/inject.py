"""Run a program of jit with its failpoints wrapped, on a lab host: `inject.py PROGRAM [ARGUMENT…]`.

systemd starts it in the program's place.  What to do where is an order in a file, and carrying it out renames the file
first: a program that comes back is not hit twice, and the new name is the proof that the instant came.  Without an
order the program does what it does without us.  Standard library only, as it runs in root's part too.
"""

import contextvars
import functools
import importlib
import inspect
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from errno import errorcode
from pathlib import Path
from types import ModuleType
from typing import Any, Final

HOME: Final = Path("/usr/local/lib/jit-faults")
CONTROL: Final = Path("/var/lib/jit-faults")
"""A folder for each program: `armed` is its order, `fired` the order once carried out, `without` the ends it shall do
without, `step` the FIFO that tells the enforcer of a step of the wall clock."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a program's code is, what it is called, and which package is its own."""

    path: str
    main: str
    package: str


PROGRAMS: Final = {
    "enforcer": Start("/usr/lib/jit/enforcer", "jit_enforcer.main", "jit_enforcer"),
    "agent": Start("", "jit_agent.main", "jit_agent"),
    "server": Start("", "jit_server.main", "jit_server"),
}
_ERRORS: Final = {name: number for number, name in errorcode.items()}
# As they are before anything is wrapped, for these are wrapped too.
_rename = os.rename
_running: contextvars.ContextVar[dict[str, object]] = contextvars.ContextVar("running")
"""The wrapped functions that are under way, each with its arguments."""


def main(words: list[str]) -> int:
    """The exit status of the program."""
    program, *arguments = words
    start = PROGRAMS[program]
    # -I leaves out the folder of this script, on purpose: what is imported is what we name.
    sys.path[:0] = [str(HOME), *filter(None, [start.path])]
    from faults.failpoints import FAILPOINTS

    entry = importlib.import_module(start.main)
    wrap(start.package, [point for point in FAILPOINTS if point.program == program], CONTROL / program)
    if program == "enforcer":
        _hear_of_clock_steps(CONTROL / program / "step")
        _do_without(json.loads(_read(CONTROL / program / "without") or "[]"))
    sys.argv = [f"jit-{program}", *arguments]
    return int(entry.main() or 0)


def wrap(package: str, points: Iterable[Any], control: Path) -> None:
    """Replace each function that a failpoint names, wherever in the package it is known by whatever name."""
    found: dict[str, list[Any]] = {}
    for point in points:
        found.setdefault(point.function, []).append(point)
        if point.within:
            found.setdefault(point.within, [])
    for function, here in found.items():
        module_name, _, qualified = function.partition(":")
        holder: Any = importlib.import_module(module_name)
        *outer, name = qualified.split(".")
        for part in outer:
            holder = getattr(holder, part)
        original = getattr(holder, name)
        wrapped = _wrapped(function, original, here, control)
        setattr(holder, name, wrapped)
        if isinstance(holder, ModuleType) and holder is not os:
            _replace_everywhere(package, original, wrapped)


def _replace_everywhere(package: str, original: object, wrapped: object) -> None:
    """`from module import name` made a second reference that replacing the first does not reach."""
    for module in [found for name, found in sys.modules.items() if name.split(".")[0] == package]:
        for name, value in list(vars(module).items()):
            if value is original:
                setattr(module, name, wrapped)


def _wrapped(function: str, original: Callable[..., Any], points: list[Any], control: Path) -> Callable[..., Any]:
    def pass_by(when: str, arguments: object) -> None:
        around = _running.get({})
        for point in points:
            if point.when == when and (not point.within or point.within in around):
                _carry_out(point.name, control, around.get(point.within, arguments))

    def enter(arguments: object) -> contextvars.Token[dict[str, object]]:
        pass_by("before", arguments)
        return _running.set(_running.get({}) | {function: arguments})

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def wrapped_later(*args: Any, **kwargs: Any) -> Any:
            token = enter((args, kwargs))
            try:
                result = await original(*args, **kwargs)
            finally:
                _running.reset(token)
            pass_by("after", (args, kwargs))
            return result

        return wrapped_later

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        token = enter((args, kwargs))
        try:
            result = original(*args, **kwargs)
        finally:
            _running.reset(token)
        pass_by("after", (args, kwargs))
        return result

    return wrapped


def _carry_out(name: str, control: Path, arguments: object) -> None:
    """Do what the order says if it is for this failpoint: kill or stop the process, or raise an `OSError`."""
    order = json.loads(_read(control / "armed") or "{}")
    if order.get("failpoint") != name or not all(word in repr(arguments) for word in order["about"]):
        return
    try:
        _rename(control / "armed", control / "fired")
    except FileNotFoundError:  # another thread was first
        return
    match order["action"]:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case error:
            raise OSError(_ERRORS[error], os.strerror(_ERRORS[error]))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""


def _hear_of_clock_steps(fifo: Path) -> None:
    """What the kernel tells of a step of the wall clock can also be told by writing into the FIFO.

    The clock of the machine cannot be set for one host; what a step does to the programs is in `clock.c`.
    """
    clock: Any = importlib.import_module("jit_enforcer.clock")
    known = clock.Steps

    class Steps(known):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self._told = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._either = select.epoll()
            self._either.register(super().fileno(), select.EPOLLIN)
            self._either.register(self._told, select.EPOLLIN)

        def fileno(self) -> int:
            return self._either.fileno()

        def acknowledge(self) -> None:
            try:
                os.read(self._told, 4096)
            except BlockingIOError:
                super().acknowledge()

    clock.Steps = Steps
    _replace_everywhere("jit_enforcer", known, Steps)


def _do_without(ends: list[str]) -> None:
    """Disable ends of a grant, so that each of the others can be shown to do alone (DESIGN 3, "four ends").

    `removal`: no rule is taken away.  `kill`: the enforcer ends no process.  `notafter`: rules name a far end.
    `runtime`, `timer`: PID 1 knows no RuntimeMaxSec, or no calendar timer.  `nopasswd`: rules ask for the password.
    """
    rules: Any = importlib.import_module("jit_enforcer.rules")
    scope: Any = importlib.import_module("jit_enforcer.scope")
    strays: Any = importlib.import_module("jit_enforcer.strays")
    sudoers: Any = importlib.import_module("jit_enforcer.sudoers")
    units: Any = importlib.import_module("jit_enforcer.units")
    unsafe: Any = importlib.import_module("jit_enforcer.errors").Unsafe

    def fail(*_: object) -> None:
        raise unsafe("disabled")

    if "removal" in ends:
        rules.Rules.take = fail
    if "kill" in ends:
        scope.Scopes.kill = fail
        scope.Scopes.send = lambda *_: None
        scope.Scopes.kill_frozen = lambda *_: None
        strays.kill = lambda *_: {}
    if "notafter" in ends:
        sudoers.not_after = lambda _: "20991231235959Z"
    if "runtime" in ends:
        _later(units, runtime_us=3600 * 1_000_000)
    if "timer" in ends:
        _later(units, not_after=4_000_000_000 * 1_000_000)
    if "nopasswd" in ends:
        rule, expected = sudoers.rule, sudoers.expected_rule
        sudoers.rule = lambda *args: rule(*args).replace("NOPASSWD:", "PASSWD:")
        sudoers.expected_rule = lambda *args: _asking(expected(*args))


def _later(units: Any, **changes: int) -> None:
    """Let PID 1 be told another end."""
    start = units.start
    units.start = lambda *args, **kwargs: start(*args, **kwargs | changes)


def _asking(expected: dict[str, Any]) -> dict[str, Any]:
    for spec in expected["Cmnd_Specs"]:
        spec["Options"]["authenticate"] = True
    return expected


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
