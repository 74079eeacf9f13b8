"""Failpoints as cases: every durable step is cut short, at one instant of the life of a grant."""

from __future__ import annotations

from typing import Final

from faults.case import AGENT_BACK_MS, DEAD_MS, EXTENSION_S, SERVER_BACK_MS, Case, revoked
from faults.failpoints import FAILPOINTS, Failpoint
from faults.life import Life
from faults.rig import UNITS, wait_for
from faults.verdict import Row


def _at(point: Failpoint, action: str) -> Case:
    """kill -9 or an error at one instant of the life of a grant."""

    def play(life: Life, name: str) -> Row:
        rig = life.server.rig if point.program == "server" else life.rig

        def arm() -> None:
            rig.arm(point, action, host=life.rig.host_id(), request=life.request, grant=life.grant)

        def hit() -> None:
            wait_for(f"failpoint {point.name}", lambda: rig.fired(point))
            if action == "kill":
                rig.wait_active(point.program)

        life.ask()
        if point.during == "apply":
            arm()
        life.approve()
        if point.during == "apply":
            hit()
        life.come_into_force()
        if point.during == "admit":
            arm()
        life.run_programs()
        life.check_works()
        match point.during:
            case "extend":
                arm()
                life.extend(EXTENSION_S)
                hit()
                life.check_runs_on()
                life.check_works()
            case "start":
                arm()
                life.rig.sh(f"systemctl restart --no-block {UNITS['enforcer']}")
                hit()
                life.check_works()
            case "revoke":
                arm()
                limit_ms = SERVER_BACK_MS if server else AGENT_BACK_MS
                return revoked(life, name, limit_ms=limit_ms, fired=lambda: rig.fired(point))
            case "end":
                arm()
        with life.watched_end():
            pass
        hit()
        if action == "stop":
            rig.check(point.program, state="T")
            rig.signal(point.program, "CONT")
        return life.row(name, limit_ms=DEAD_MS, fired=rig.fired(point))

    server = point.program == "server"
    # A server that is killed is back after two seconds, and its hosts another second later.
    lasts_s = 20 if point.during == "extend" else 60 if point.during == "revoke" else 11 if server else 8
    done = {"kill": "killed", "stop": "stopped"}.get(action, action)
    return Case(f"{done} at {point.name}", play, lasts_s, server=server)


# Stopped at the end and left so, and what a bad disk says where an end writes: there it lives on and finds another way.
_ALSO: Final = (
    ("enforcer.hang-up.before", "stop"),
    ("enforcer.end-rule.before", "stop"),
    ("enforcer.end-rule-draft.before", "EIO"),
    ("agent.end-stored.before", "stop"),
)
FAILPOINT_CASES: Final = (
    *(_at(point, "kill") for point in FAILPOINTS),
    *(_at(point, action) for point in FAILPOINTS for name, action in _ALSO if point.name == name),
)
