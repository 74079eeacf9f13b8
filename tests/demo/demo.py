"""The main job of jit, told with real output: real sudo on a real Debian host, thrown away afterwards.

Nothing is acted: alice, carol and dave are logged in on booted hosts, and what they type is typed into their terminals.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pexpect

LAB = Path(__file__).parents[1] / "lab" / "lab"
NAME = f"demo-{os.getpid()}"
PATIENCE_S = 60


def tell(text: str) -> None:
    print(f"\n\033[1m── {textwrap.fill(text, 100)}\033[0m" if sys.stdout.isatty() else f"\n-- {text}", flush=True)


def lab(*words: str) -> str:
    done = subprocess.run([LAB, "--name", NAME, *words], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


class Person:
    """Somebody logged in on a host, with a shell in a terminal of their own."""

    def __init__(self, name: str, host: str) -> None:
        self._prompt = f"{name}@{host}$ "
        words = ["--name", NAME, "exec", host, "-u", name, "-t", "--", "bash", "--norc", "--noprofile"]
        self._shell = pexpect.spawn(str(LAB), words, encoding="utf-8", timeout=PATIENCE_S, dimensions=(50, 120))
        self._shell.expect_exact("$ ")
        # Quotes inside the prompt keep the echo of this line from looking like the prompt itself.
        terminal = os.environ.get("TERM", "dumb") if sys.stdout.isatty() else "dumb"
        self._shell.sendline(f"bind 'set enable-bracketed-paste off'; export TERM={terminal} COLUMNS=120 LINES=50")
        self._shell.sendline(f"PS1='{name}''@{host}$ '")
        self._shell.expect_exact(self._prompt)
        self._shell.logfile_read = sys.stdout

    def types(self, line: str) -> None:
        """Start a command; the shell shows it as it is typed."""
        if self._shell.logfile_read:
            print(self._prompt, end="", flush=True)
        self._shell.sendline(line)

    def answers(self, question: str, answer: str) -> None:
        self._shell.expect_exact(question)
        self._shell.sendline(answer)

    def sees(self, pattern: str) -> str:
        """Wait for what `pattern` describes and return it."""
        self._shell.expect(pattern)
        return str(self._shell.match.group(self._shell.match.lastindex or 0))

    def is_done(self) -> str:
        """Wait for the prompt and return what came before it."""
        shown, self._shell.logfile_read = self._shell.logfile_read, _Until(sys.stdout, self._prompt)
        self._shell.expect_exact(self._prompt)
        self._shell.logfile_read = shown
        return str(self._shell.before)

    def runs(self, line: str) -> str:
        self.types(line)
        return self.is_done()

    def leaves(self) -> None:
        self._shell.logfile_read = None
        self._shell.sendline("exit")
        self._shell.expect(pexpect.EOF)
        self._shell.close()


class _Until:
    """Passes text on, but not the prompt that ends it: `types` shows that with the next command."""

    def __init__(self, stream: object, prompt: str) -> None:
        self._stream, self._prompt = stream, prompt

    def write(self, text: str) -> None:
        sys.stdout.write(text.replace(self._prompt, ""))

    def flush(self) -> None:
        sys.stdout.flush()


def log_in(name: str, host: str) -> Person:
    person = Person(name, host)
    person.types("jitctl login")
    person.answers("assword", f"{name}-lab")
    person.answers("code", lab("otp", name))
    person.is_done()
    return person


def story() -> None:
    tell("alice is logged in on web1. She holds no sudo right there, like everybody else.")
    alice = Person("alice", "web1")
    expect("password is required|may not run|not in the sudoers", alice.runs("sudo -n id"))

    tell("She asks for 40 seconds of root. jit wants a reason and a one-time code, then waits for an approver.")
    alice.types("jit sudo -r web-admin -d 40s id")
    alice.answers("Reason:", "INC-4711: nginx is down")
    alice.answers("code:", lab("otp", "alice"))
    request = alice.sees(r"(req-[0-9a-z]{16})")
    alice.sees("can approve")

    tell("carol, who leads, is at the server. She logs in with her password and her own code, looks, and says yes.")
    carol = log_in("carol", "server")
    carol.runs("jitctl requests ls")
    carol.runs(f"jitctl requests show {request}")
    carol.runs(f"jitctl requests approve {request} -m 'go ahead'")

    tell("Nothing to do for alice: her command runs, as root, in the scope of this grant.")
    expect(r"uid=0\(root\)", alice.is_done())
    alice.runs("jit status")

    tell("While the grant lives it is plain sudo. She starts something long; nobody touches anything any more.")
    started = time.monotonic()
    alice.types('jit sudo sleep 600; echo "sleep ended with $?; my shell $$ lives on"')
    expect("lives on", alice.is_done())
    print(f"(sleep 600 was ended after {time.monotonic() - started:.0f} s)")

    tell("The time is up. The right is gone too.")
    expect("password is required|may not run|not in the sudoers", alice.runs("sleep 3; sudo -n id"))

    tell("dave audits: who, what, where, why, approved by whom, ended how.")
    dave = log_in("dave", "server")
    log = dave.runs(f"jitctl audit ls --request {request}")
    for kind in (
        "request.created",
        "request.approved",
        "grant.issued",
        "grant.active",
        "session.started",
        "grant.ended",
    ):
        expect(re.escape(kind), log)
    dave.runs(f"jitctl audit ls --request {request} --kind grant.ended -o jsonl")
    for person in (alice, carol, dave):
        person.leaves()


def expect(pattern: str, text: str) -> None:
    if not re.search(pattern, text):
        raise SystemExit(f"demo: expected to read {pattern!r} in:\n{text}")


def main() -> None:
    began = time.monotonic()
    tell("A server and a host, real Debian 12 booted here, jit installed from its own packages.")
    try:
        lab("up", "--hosts", "server,web1")
        story()
    except (pexpect.TIMEOUT, pexpect.EOF, subprocess.CalledProcessError) as failure:
        raise SystemExit(f"demo: the story broke off: {failure}") from failure
    finally:
        lab("down")
    tell(f"The end, after {time.monotonic() - began:.0f} s. The hosts are gone; nothing of this machine was changed.")


if __name__ == "__main__":
    main()
