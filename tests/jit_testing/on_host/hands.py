"""Runs on an agent's host as root: asks the agent, runs sudo and looks around, line by line, as the person it is told.

What it sees are files of sudo and of the kernel, never jit's word: which rules say something, what is in which scope,
and which processes carry the mark of a program that a test started.
"""

import json
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

AGENT = "/run/jit/agent.sock"
RULES = Path("/run/jit/sudoers.d")
CGROUPS = Path("/sys/fs/cgroup")

Answer = dict[str, Any]


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = ACTS[asked.pop("do")](**asked)
        except (OSError, ValueError, KeyError) as e:
            answer = {"failed": f"{type(e).__name__}: {e}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def jit(person: str, request: dict[str, Any]) -> Answer:
    """The agent sees the uid in force when the connection is made, so that is the moment to be somebody else."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.settimeout(60)
        os.seteuid(pwd.getpwnam(person).pw_uid)
        try:
            agent.connect(AGENT)
        finally:
            os.seteuid(0)
        agent.sendall(json.dumps(request).encode() + b"\n")
        with agent.makefile("rb") as lines:
            for line in lines:
                answer = json.loads(line)
                if request["op"] != "wait" or is_over(answer):
                    return {"answer": answer}
    raise ValueError(f"the agent hung up on {request['op']}")


def jits(asked: list[tuple[str, dict[str, Any]]]) -> Answer:
    """One after the other: [person, request] each; their answers in order."""
    return {"answers": [jit(person, request)["answer"] for person, request in asked]}


def is_over(answer: Answer) -> bool:
    if not answer:
        return False
    return not answer["ok"] or answer["in_force"] or answer["request"]["state"] not in ("pending", "approved")


def sudo(person: str, words: list[str]) -> Answer:
    done = begin(person, ["sudo", "-n", *words])
    said, complained = done.communicate(timeout=60)
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return {"status": status, "out": said.decode(errors="replace"), "err": complained.decode(errors="replace")}


def sudos(asked: list[tuple[str, list[str]]]) -> Answer:
    """Many at once: [person, words] each; their statuses in order."""
    running = [begin(person, ["sudo", "-n", *words]) for person, words in asked]
    for one in running:
        one.communicate(timeout=60)
    return {"statuses": [one.returncode for one in running]}


def listed(asked: list[tuple[str, str, list[str]]]) -> Answer:
    """What sudo says to root of others: [person, run-as account, words] each; its statuses in order."""
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [
        subprocess.Popen(["sudo", "-l", "-U", who, "-u", account, *words], **quiet) for who, account, words in asked
    ]
    return {"statuses": [one.wait(timeout=60) for one in running]}


def launch(person: str, words: list[str]) -> Answer:
    """Start `sudo -n` and leave it running; it is seen by `look` for as long as it or a child of it lives."""
    begin(person, ["sudo", "-n", *words], quiet=True)
    return {"launched": True}


def begin(person: str, words: list[str], *, quiet: bool = False) -> subprocess.Popen[bytes]:
    account = pwd.getpwnam(person)
    out = subprocess.DEVNULL if quiet else subprocess.PIPE
    return subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        user=account.pw_uid, group=account.pw_gid, extra_groups=os.getgrouplist(person, account.pw_gid),
        cwd="/", env={"PATH": "/usr/bin:/bin", "USER": person, "LOGNAME": person, "LANG": "C.UTF-8"},
    )  # fmt: skip


def run(words: list[str]) -> Answer:
    """As root."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    return {"status": done.returncode, "out": done.stdout.decode(errors="replace")}


def look(marks: list[str]) -> Answer:
    """Rules that are not empty, what is in each scope of a grant, and the processes with one of these marks."""
    rules = {path.name: path.read_text() for path in RULES.iterdir() if not path.name.startswith(".")}
    # os.walk passes over a cgroup that goes while it looks; Path.glob does not.
    folders = (Path(folder) for folder, _, _ in os.walk(CGROUPS))
    scopes = {path.name: members(path) for path in folders if path.match("jit-gnt-*.scope")}
    return {
        "at": time.time_ns() // 1000,
        "rules": {name: text for name, text in rules.items() if text},
        "scopes": {name: pids for name, pids in scopes.items() if pids},
        "marked": {mark: pids for mark, pids in marked(marks).items() if pids},
    }


def members(cgroup: Path) -> list[int]:
    pids: list[int] = []
    for folder, _, _ in os.walk(cgroup):
        try:
            pids += [int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()]
        except OSError:  # gone while we looked
            continue
    return pids


def marked(marks: list[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {mark: [] for mark in marks}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # ended while we looked
            continue
        for mark in marks:
            if mark.encode() in words:
                found[mark].append(int(path.parent.name))
    return found


ACTS: dict[str, Callable[..., Answer]] = {
    "jit": jit,
    "jits": jits,
    "listed": listed,
    "sudo": sudo,
    "sudos": sudos,
    "launch": launch,
    "run": run,
    "look": look,
}

main()
