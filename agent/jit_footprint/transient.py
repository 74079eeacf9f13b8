"""Which of PID 1's transient units are no leftovers (SPEC 3.6)."""

import re
from typing import Final

from jit_footprint.tree import Found, Tree

_TRANSIENT: Final = re.compile(r"/run/systemd/transient/(?P<unit>[^/]+)\.(?P<type>scope|slice|timer|service)")
_OUR_TIMER: Final = re.compile(r"(?P<scope>jit-gnt-[0-9a-hjkmnp-tv-z]{16}(-r\d+)?)-end")
# All that stands in the timer that ends a scope, and in its service, as systemd writes them down.
_OUR_LINE: Final = re.compile(
    r"|#.*|\[(Unit|Timer|Service)\]|Description=.*|CollectMode=.*|Type=oneshot|OnCalendar=[^/]*|Accuracy\w+=\w+"
    r"|RemainAfterElapse=no|ExecStart="
    r'|ExecStart=[-@]*("?/usr/bin/systemctl"? )+"?stop"? "?(?P<scope>[\w-]+)\.scope"?',
    re.ASCII,
)


def is_no_leftover(tree: Tree, found: Found) -> bool:
    """Scopes and slices start nothing.  A grant's own timer is known by all it says, not by its name."""
    unit = _TRANSIENT.fullmatch(found.path)
    if unit is None or unit["type"] in {"scope", "slice"}:
        return unit is not None
    timer, text = _OUR_TIMER.fullmatch(unit["unit"]), tree.read(found)
    if timer is None or not text:
        return False
    lines = [_OUR_LINE.fullmatch(line) for line in text.decode("utf-8", "replace").split("\n")]
    return all(line is not None and line["scope"] in {None, timer["scope"]} for line in lines)
