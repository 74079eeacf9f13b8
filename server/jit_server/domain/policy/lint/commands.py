"""Commands that give more than they say: a shell, any file, or a program that others than root may change."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from jit_server.domain.ask import ALL, Command
from jit_server.domain.policy.lint.escapes import Leak, is_of_the_system, is_writable, script, way_out
from jit_server.domain.policy.lint.rule import LintFinding, Rule, Surroundings
from jit_server.domain.policy.model import Role

SHELL = Rule(
    "shell-escape",
    "The program runs other programs from within, so the role gives its account's whole power, unlike what it lists.",
    "name a program that does only what is needed, or write commands: ALL and what then belongs to it",
)
FREE = Rule(
    "free-arguments",
    "Some arguments of the program make it run anything, and the role lets these through.",
    "list the exact arguments",
)
WRITES = Rule(
    "writes-any-file",
    "With free arguments the program writes files that say who is root, such as those of sudo and cron.",
    "list the exact arguments, or name a program that puts one file in its place",
)
WRITABLE = Rule(
    "writable-program",
    "Others than root can write where the program is: whoever does runs anything.",
    "move the program to a folder of root's such as /usr/local/sbin, or pin it by sha256",
)
SCRIPT = Rule(
    "writable-script",
    "The program runs a file from a folder that others than root can write to; a digest of the program does not help.",
    "move the file to a folder of root's, and name it as the command",
)
UNPINNED = Rule(
    "unpinned-program",
    "The program is in no folder of the distribution's: who may write there decides what runs.",
    "pin it by sha256: {path: …, args: …, sha256: …}, or suppress this once the folder is known to be root's",
)
HERE = Rule(
    "relative-to-the-person",
    "The program takes files of the folder it is called in, which is the person's, as the role sets no directory.",
    "directory: a folder of root's",
)
RULES = (SHELL, FREE, WRITES, WRITABLE, SCRIPT, UNPINNED, HERE)

_LEAKS = {Leak.SHELL: SHELL, Leak.FREE_ARGUMENTS: FREE, Leak.WRITES: WRITES}
_HERE = frozenset(
    {"docker-compose", "podman-compose", "ansible-playbook", "vagrant", "terraform", "tofu", "npm", "composer"}
)


def check(world: Surroundings) -> Iterator[LintFinding]:
    for role in world.roles:
        if role.commands == ALL:
            continue
        for number, command in enumerate(role.commands):
            yield from _command(role, number, command)


def _command(role: Role, number: int, command: Command) -> Iterator[LintFinding]:
    path, whom = command.path, role.run_as_users[0]
    way = way_out(command)
    if way is not None:
        rule = _LEAKS[way.leak]
        message = f"{command} {way.leak} as {whom}: {way.how}"
        yield rule.found(message, "commands", number, role=role.name, fix=way.safe)
    if not command.sha256:
        if is_writable(path):
            yield WRITABLE.found(f"{path} is where others than root can write", "commands", number, role=role.name)
        elif not is_of_the_system(path):
            message = f"{path} is in no folder of the distribution's, and not pinned by sha256"
            yield UNPINNED.found(message, "commands", number, role=role.name)
    file = script(command)
    if file and is_writable(file):
        message = f"{command} runs {file}, which is where others than root can write"
        yield SCRIPT.found(message, "commands", number, role=role.name)
    if not role.directory and posixpath.basename(path) in _HERE:
        message = f"{path} takes its settings from the folder it is called in, which is the person's"
        yield HERE.found(message, "commands", number, role=role.name)
