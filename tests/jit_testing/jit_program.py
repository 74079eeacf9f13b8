"""The real `jit` program as a process, in a real terminal or with none."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from pexpect import fdpexpect

import jit_cli

WITHIN_S = 20

# What packaging installs as /usr/lib/jit/cli/__main__.py.
_PROGRAM = "from jit_cli.main import main\n\nraise SystemExit(main())\n"
# Shows what it was given, and has a status of its own.
_FAKE_SUDO = """\
#!/bin/sh
printf 'sudo'; printf ' <%s>' "$@"; printf '\\n'
exit 7
"""


@dataclass
class Session:
    """`jit` in a terminal."""

    process: subprocess.Popen[bytes]
    screen: fdpexpect.fdspawn

    def sees(self, text: str) -> None:
        """Wait until the screen shows this text, after what it has shown before."""
        self.screen.expect_exact(text)

    def types(self, text: str) -> None:
        self.screen.sendline(text)

    def presses(self, key: str) -> None:
        """`c` is Ctrl-C, `d` Ctrl-D."""
        self.screen.send(chr(ord(key) - ord("a") + 1))

    def ends(self) -> int:
        """Wait for the end; return the exit status."""
        return self.process.wait(WITHIN_S)


@dataclass
class Jit:
    """How tests start the program."""

    command: list[str]
    environment: dict[str, str]
    sessions: list[Session] = field(default_factory=list)

    def run(self, *words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run without any terminal: no controlling one either."""
        return subprocess.run(
            [*self.command, *words],
            env={**self.environment, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=WITHIN_S,
            check=False,
        )

    def in_terminal(self, *words: str, **environment: str) -> Session:
        """Start in a terminal of its own."""
        master, slave = pty.openpty()
        try:
            process = subprocess.Popen(
                ["setsid", "--ctty", *self.command, *words],
                env={**self.environment, "TERM": "xterm", **environment},
                stdin=slave,
                stdout=slave,
                stderr=slave,
            )
        finally:
            os.close(slave)
        session = Session(process, fdpexpect.fdspawn(master, encoding="utf-8", timeout=WITHIN_S))
        self.sessions.append(session)
        return session

    def close(self) -> None:
        """End what still runs."""
        for session in self.sessions:
            if session.process.poll() is None:
                session.process.kill()
                session.process.wait()
            session.screen.close()


def install(folder: Path) -> Jit:
    """Lay the program out as a package would, with a sudo that only shows what it was given."""
    program = folder / "cli"
    program.mkdir()
    (program / "__main__.py").write_text(_PROGRAM)
    (program / "jit_cli").symlink_to(Path(jit_cli.__file__).parent)
    sudo = folder / "sudo"
    sudo.write_text(_FAKE_SUDO)
    sudo.chmod(0o755)
    return Jit(
        command=[sys.executable, "-I", "-S", str(program)],
        environment={
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "JIT_AGENT_SOCKET": str(folder / "agent.sock"),
            "JIT_SUDO": str(sudo),
        },
    )
