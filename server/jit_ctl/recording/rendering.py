"""Output of a session as text for one terminal: every stream through its own escape filter (SPEC 8.7)."""

from __future__ import annotations

import re

from .escape_filter import EscapeFilter
from .frames import Data, Stream

_SEQUENCE = re.compile(r"\x1b(?:\[[^@-~]*[@-~]|[()#].|[^\[()#])")
_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]+")


class Rendering:
    """What the person at the session's terminal saw, in the order in which it was written."""

    def __init__(self) -> None:
        self._filters = {stream: EscapeFilter() for stream in Stream if not stream.is_input}

    def text(self, event: Data) -> str:
        """What may be shown of it; nothing of input."""
        if event.stream.is_input:
            return ""
        data = event.data
        if event.stream is not Stream.TTY_OUT:
            # Into a pipe a program writes bare line feeds; on a terminal its driver would have added the rest.
            data = data.replace(b"\n", b"\r\n")
        return self._filters[event.stream].feed(data)

    def finish(self) -> str:
        """What was kept back because its rest could still come."""
        return "".join(filter_.feed(b"", final=True) for filter_ in self._filters.values())


def plain(rendered: str) -> str:
    """Rendered text without its sequences: what can be read, line feeds and tabs."""
    return _INVISIBLE.sub("", _SEQUENCE.sub("", rendered).replace("\r\n", "\n").replace("\r", "\n"))
