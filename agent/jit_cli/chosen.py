"""Which of my grants in force here is meant: by an id of it or of its request, or because there is only one."""

from __future__ import annotations

from jit_cli import agent_client
from jit_cli.answers import Status
from jit_cli.errors import Failure, usage
from jit_cli.grants import Live
from jit_cli.view import named


def status(purpose: str) -> Status:
    """What is in force; raises `Failure` when the enforcer cannot be asked, which `purpose` needs."""
    found = Status.read(agent_client.ask("status", all=False))
    if found.enforcer_error:
        raise Failure(
            "unavailable",
            f"the enforcer cannot be reached ({found.enforcer_error}), so nothing can be {purpose} now",
            "every grant still ends at its time; run `jit doctor`",
        )
    return found


def grant(known: Status, wanted: str, *, several: str) -> Live | None:
    """The one grant that `wanted` names, or the only one for the empty text; None if nothing is in force at all.

    Raises `Failure` when there are several, with the hint `several`, or none of that name.
    """
    if wanted:
        return _called(known, wanted)
    if len(known.live) > 1:
        raise usage(f"there are several grants: {', '.join(live.grant for live in known.live)}", several)
    return known.live[0] if known.live else None


def _called(known: Status, wanted: str) -> Live:
    found: list[Live] = []
    for live in known.live:
        request = known.request_of(live)
        if named(live.grant, wanted) or (request is not None and named(request.request_id, wanted)):
            found.append(live)
    if not found:
        raise Failure("not_found", f"no grant in force here is called {wanted!r}", "`jit status` lists them")
    if len(found) > 1:
        raise usage(f"{wanted!r} names several: {', '.join(live.grant for live in found)}", "type more of the id")
    return found[0]
