"""What is said of a recording that is not what it should be."""

from __future__ import annotations

from jit_ctl.errors import CtlError


def damaged(session_id: str, what: str) -> CtlError:
    """A recording that came otherwise than it was made; nothing after that point is believed."""
    return CtlError(
        "failed", f"the recording of {session_id} is damaged: {what}", f"see 'jitctl sessions verify {session_id}'"
    )
