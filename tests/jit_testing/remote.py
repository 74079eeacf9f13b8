"""Programs that stay on a lab host and answer, for tests that ask hundreds of things: a question costs no new login.

`Hands` acts on a host as any of its people; `Desk` is jitctl's client, logged in once, on the server host.
Their other ends are the scripts in `on_host`.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jit_testing.lab import Lab
from lab.process import LabError

_SCRIPTS = Path(__file__).with_name("on_host")
_PLACE = "/usr/local/lib/jit-tests"
_LONGEST_S = 120.0
_LAST_S = 10.0
PYTHON = ("/usr/bin/python3", "-I", "-S")
"""A host's own, without what is installed beside it."""

Answer = dict[str, Any]


class Remote:
    """One line of JSON there and one back.  Raises `LabError` if the script fails, ends or does not answer in time."""

    def __init__(
        self, lab: Lab, host: str, script: Path, interpreter: Sequence[str] = PYTHON, *, user: str = "root"
    ) -> None:
        place = f"{_PLACE}/{script.name}"
        lab.put(host, script, place)
        lab.run(host, "chmod", "-R", "go+rX", _PLACE)
        self.name = f"{script.name} on {host}"
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            lab.host(host).command([*interpreter, place], user=user),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The script ends with its input; one that does not is left to its host."""
        try:
            self._process.communicate(timeout=_LAST_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._complaints.close()

    def ask(self, **question: object) -> Answer:
        self.send(**question)
        return self.receive()

    def send(self, **question: object) -> None:
        """The first half of `ask`: between the halves other things can happen."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as e:
            raise LabError(f"{self.name} is gone: {self._last_words()}") from e

    def receive(self, timeout_s: float = _LONGEST_S) -> Answer:
        answer = json.loads(self._line(time.monotonic() + timeout_s))
        if "failed" in answer:
            raise LabError(f"{self.name}: {answer['failed']}")
        return dict(answer)

    def _last_words(self) -> str:
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace")[-500:].strip()

    def _line(self, give_up: float) -> bytes:
        assert self._process.stdout
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, give_up - time.monotonic()))
            read = os.read(self._process.stdout.fileno(), 1 << 20) if ready else b""
            if not read:
                raise LabError(f"{self.name} {'ended' if ready else 'does not answer'}: {self._last_words()}")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return line


class Hands(Remote):
    """A root process on an agent's host; what it does it does as the person it is told, as the kernel sees it."""

    def __init__(self, lab: Lab, host: str) -> None:
        super().__init__(lab, host, _SCRIPTS / "hands.py")

    def jit(self, person: str, **request: object) -> Answer:
        """The agent's answer to a request of SPEC 4.2; of `wait` the first in which nothing is left to wait for."""
        return dict(self.ask(do="jit", person=person, request=request)["answer"])

    def sudo(self, person: str, *words: str) -> int:
        """The exit status of `sudo -n`; above 128: killed."""
        return int(self.ask(do="sudo", person=person, words=words)["status"])


class Desk(Remote):
    """jitctl's own client on the server host, as one person, over one connection."""

    def __init__(self, lab: Lab, person: str) -> None:
        lab.jitctl("whoami", user=person)  # logs in, if that is still to do
        super().__init__(
            lab, "server", _SCRIPTS / "desk.py", ["/usr/lib/jit-server/venv/bin/python", "-I"], user=person
        )

    def call(self, method: str, *arguments: object, **named: object) -> Answer:
        """What `jit_ctl.client.Server` answers, with when it was asked and when it had answered (µs UTC).

        Raises `LabError` with jitctl's own words for a refusal.
        """
        return self.ask(method=method, arguments=arguments, named=named)
