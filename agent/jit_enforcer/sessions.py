"""Orders about one sudo session: freeze, thaw, kill, and a line to the person whose it is (SPEC 3.2, 8.5).

A session is a cgroup below the scope of its grant, and nothing else: what is ordered holds through a restart and an
extension, and what is over is unknown.  The end of a grant waits for none of them.
"""

from collections.abc import Callable, Mapping
from typing import Final

from jit_enforcer import notices
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry

Answer = dict[str, bool | int]
LONGEST_MESSAGE: Final = 300
_UNKNOWN: Final[Answer] = {"known": False}


def _freeze(host: Host, session: str, message: str) -> Answer:
    if (entry := _holder(host, session)) is None:
        return _UNKNOWN
    if host.scopes.freeze(entry.scope, session):
        notices.said(host.paths, entry.grant, message)
    host.scopes.await_frozen(entry.scope, session)
    return {"known": True}


def _thaw(host: Host, session: str, message: str) -> Answer:
    if (entry := _holder(host, session)) is None:
        return _UNKNOWN
    if host.scopes.thaw(entry.scope, session):
        notices.said(host.paths, entry.grant, message)
    return {"known": True}


def _kill(host: Host, session: str, message: str) -> Answer:
    if (entry := _holder(host, session)) is None:
        return _UNKNOWN | {"killed": 0}
    killed = host.scopes.kill_session(entry.scope, session)
    notices.said(host.paths, entry.grant, message)
    return {"known": True, "killed": killed}


def _tell(host: Host, session: str, message: str) -> Answer:
    if (entry := _holder(host, session)) is None:
        return _UNKNOWN
    notices.said(host.paths, entry.grant, message)
    return {"known": True}


ORDERS: Final[Mapping[str, Callable[[Host, str, str], Answer]]] = {
    "freeze": _freeze,
    "thaw": _thaw,
    "kill": _kill,
    "tell": _tell,
}
"""By their names in SPEC 3.2.  Raise `Unsafe` if a process does not do as it is told; it can be asked again."""


def _holder(host: Host, session: str) -> Entry | None:
    """The entry in whose scope something of the session still is."""
    return next((entry for entry in host.unfinished() if host.scopes.has_session(entry.scope, session)), None)
