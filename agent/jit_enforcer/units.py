"""The transient units of a grant: what PID 1 does even if all of us is dead (S2, REVIEW 6).

Two timers end the scope.  RuntimeMaxSec pauses in suspend; it is a second early, so that KILL, a quarter after TERM,
is in time although PID 1 may be as late again for each.  A calendar timer follows the wall clock.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from jit_enforcer import dbus, programs

_SYSTEMD: Final = "org.freedesktop.systemd1"
_OBJECT: Final = "/org/freedesktop/systemd1"
_START: Final = dbus.Method(_SYSTEMD, _OBJECT, f"{_SYSTEMD}.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))")
_STOP: Final = dbus.Method(_SYSTEMD, _OBJECT, f"{_SYSTEMD}.Manager", "StopUnit", "ss")
_ATTACH: Final = dbus.Method(_SYSTEMD, _OBJECT, f"{_SYSTEMD}.Manager", "AttachProcessesToUnit", "ssau")
_BEGIN: Final = dbus.Method(_SYSTEMD, _OBJECT, f"{_SYSTEMD}.Manager", "StartUnit", "ss")
_COLLECT: Final = ("CollectMode", ("s", "inactive-or-failed"))
_END: Final = ("Description", ("s", "End of a jit grant"))


@dataclass(frozen=True, slots=True)
class Scope:
    """The name of a scope's unit, and of the slice it is in."""

    name: str
    slice: str

    @property
    def grant(self) -> str:
        """The id of the grant that it is named after, `jit-GRANT.scope` or `jit-GRANT-rREVISION.scope`."""
        return self.name[len("jit-") :][:20]


def start(bus: Path, scope: Scope, *, pid: int, runtime_us: int, not_after: int) -> None:
    """Ask for a scope around this process, and for a timer that stops it at `not_after`, µs UTC.  Raises `Unsafe`.

    Of a scope that was lost, as at the person's last logout, the timer stands, and has the same end.
    """
    refused, untimed = dbus.ask(bus, _scope_call(scope, pid, runtime_us), _timer_call(scope, not_after))
    if refused:
        raise refused
    if untimed and untimed.name != "org.freedesktop.systemd1.UnitExists":
        raise untimed


def attach(bus: Path, scope: Scope, *, pid: int) -> None:
    """Put a process into a scope by way of PID 1, which refuses if it has given the scope up.  Raises `Unsafe`."""
    dbus.call(bus, _ATTACH, scope.name, "", [pid])


def stop_timer(bus: Path, scope: Scope) -> None:
    """Raises `Unsafe`."""
    dbus.call(bus, _STOP, _timer(scope), "replace")


def start_footprint(bus: Path, grant_id: str, *, when: Literal["before", "after"]) -> None:
    """Ask for a look at what matters on the host (SPEC 3.6); nobody waits for it.  Raises `Unsafe`."""
    dbus.call(bus, _BEGIN, f"jit-footprint@{when}-{grant_id}.service", "replace")


def _timer(scope: Scope) -> str:
    return f"{scope.name.removesuffix('.scope')}-end.timer"


def _scope_call(scope: Scope, pid: int, runtime_us: int) -> dbus.Call:
    """root's bash ignores TERM, hence the HUP."""
    properties = [
        ("Description", ("s", "Commands of a jit grant")),
        ("PIDs", ("au", [pid])),
        ("Slice", ("s", scope.slice)),
        ("Delegate", ("b", True)),
        ("RuntimeMaxUSec", ("t", runtime_us)),
        ("TimeoutStopUSec", ("t", 250_000)),
        ("SendSIGHUP", ("b", True)),
        _COLLECT,
    ]
    return _START, (scope.name, "fail", properties, [])


def _timer_call(scope: Scope, not_after: int) -> dbus.Call:
    moment = f"{datetime.fromtimestamp(not_after / 1_000_000, UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    properties = [
        _END,
        ("TimersCalendar", ("a(ss)", [("OnCalendar", moment)])),
        ("AccuracyUSec", ("t", 100_000)),
        ("RemainAfterElapse", ("b", False)),
        _COLLECT,
    ]
    stop = (programs.SYSTEMCTL, [programs.SYSTEMCTL, "stop", scope.name], True)
    service = [_END, ("Type", ("s", "oneshot")), ("ExecStart", ("a(sasb)", [stop])), _COLLECT]
    timer = _timer(scope)
    return _START, (timer, "replace", properties, [(timer.replace(".timer", ".service"), service)])
