"""What applies to a person as a whole: the strictest of all their live grants (S1, SPEC 3.2, 8.1, 9.3)."""

from collections.abc import Iterable
from dataclasses import dataclass

from jit_enforcer.grant import RECORDINGS, Grant


@dataclass(frozen=True, slots=True)
class Recording:
    """`record` is one of `RECORDINGS`; `watch_s` 0: nobody needs to watch, else how long a session may be unwatched."""

    record: str
    required: bool
    subcommands: bool
    watch_s: int


def strictest(grants: Iterable[Grant]) -> Recording:
    """Of no grants: nothing."""
    known = list(grants)
    return Recording(
        record=max((grant.record for grant in known), key=RECORDINGS.index, default=RECORDINGS[0]),
        required=any(grant.required for grant in known),
        subcommands=any(grant.subcommands for grant in known),
        watch_s=min((grant.watch_s for grant in known if grant.watch_s), default=0),
    )


def environment(grants: Iterable[Grant]) -> tuple[str, ...]:
    """The variables that each of the grants lets through, in order."""
    allowed = [set(grant.environment) for grant in grants]
    return tuple(sorted(set.intersection(*allowed))) if allowed else ()
