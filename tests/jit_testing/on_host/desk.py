"""Runs on the server host under the server's own Python, as a person who is logged in: jitctl's client, line by line.

{"method": NAME, "arguments": […], "named": {…}} is a call of `jit_ctl.client.Server`, or of a part of it
(policy.apply); files are {"files": {NAME: TEXT}} among the named.  The answer is what it returned, with when it was
asked and when it had answered in µs UTC, or {"failed": TEXT}.
"""

import json
import sys
import time
from dataclasses import asdict, is_dataclass
from operator import attrgetter
from typing import Any

from jit_ctl.client import Server
from jit_ctl.errors import CtlError
from jit_ctl.policy_model import PolicyFile


def main() -> None:
    with Server.of_session(timeout=20) as server:
        for line in sys.stdin:
            asked = json.loads(line)
            sys.stdout.write(json.dumps(answer(server, **asked), default=str) + "\n")
            sys.stdout.flush()


def answer(server: Server, method: str, arguments: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    if "files" in named:
        named["files"] = [PolicyFile(name, text) for name, text in named["files"].items()]
    before = time.time_ns()
    try:
        said = attrgetter(method)(server)(*arguments, **named)
    except (CtlError, AttributeError, TypeError) as e:
        return {"failed": f"{method}: {e}"}
    after = time.time_ns()
    return {"sent": before // 1000, "returned": after // 1000, "said": _plain(said)}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


main()
