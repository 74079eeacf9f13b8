"""What is kept of a person's sessions: the strictest that one of their live grants asks for (SPEC 3.2, 8.1)."""

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
