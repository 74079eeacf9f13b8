"""A command means what it says: what it lets through, and what no policy file may say (SPEC 2.3, 9.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jit_server.domain.ask import (
    ALL,
    Ask,
    Command,
    Commands,
    admits,
    check_ask,
    command_problem,
    covers,
    describe,
    narrowed,
)
from jit_server.domain.pattern import Pattern
from jit_server.domain.policy.command_test import try_command
from jit_server.domain.policy.trap import command_trap
from jit_server.errors import Invalid
from jit_testing.server_fakes import a_role

SYSTEMCTL = "/usr/bin/systemctl"
OLD, NEW = "0a" * 32, "1b" * 32
RESTART = Command(SYSTEMCTL, ("restart", "nginx"))
SERVICES = Command(SYSTEMCTL, Pattern("^(start|stop|restart) [a-z-]+$"))
ANYTHING = Command(SYSTEMCTL, None)


def test_commands_cover_what_they_let_through() -> None:
    assert covers(ALL, (RESTART,))
    assert covers(ALL, ALL)
    assert covers((ANYTHING,), (RESTART, SERVICES))
    assert not covers((RESTART,), (ANYTHING,))
    assert not covers((ANYTHING,), ALL)
    assert not covers((), (RESTART,))
    assert describe(ALL) == ("ALL",)
    shown = (f"{SYSTEMCTL} restart nginx", f"{SYSTEMCTL} …", f"sha256:{OLD} {SYSTEMCTL} ^(start|stop|restart) [a-z-]+$")
    assert describe((RESTART, ANYTHING, replace(SERVICES, sha256=OLD))) == shown


def test_an_expression_covers_the_arguments_it_matches_and_itself() -> None:
    assert SERVICES.covers(RESTART)
    assert SERVICES.covers(SERVICES)
    assert not SERVICES.covers(replace(RESTART, args=("reload", "nginx")))
    assert not SERVICES.covers(replace(RESTART, path="/bin/systemctl"))
    assert not SERVICES.covers(ANYTHING)
    assert not SERVICES.covers(replace(SERVICES, args=Pattern("^(start|stop) [a-z-]+$")))
    assert not RESTART.covers(SERVICES)


def test_a_digest_covers_only_itself_and_a_command_without_one_covers_every_digest() -> None:
    assert RESTART.covers(replace(RESTART, sha256=OLD))
    assert replace(RESTART, sha256=OLD).covers(replace(RESTART, sha256=OLD))
    assert not replace(RESTART, sha256=OLD).covers(replace(RESTART, sha256=NEW))
    assert not replace(ANYTHING, sha256=OLD).covers(RESTART)


def test_a_command_line_may_be_asked_for_whatever_its_file_holds() -> None:
    pinned = (replace(SERVICES, sha256=OLD),)
    assert admits(pinned, (SYSTEMCTL, "restart", "nginx"))
    assert not admits(pinned, (SYSTEMCTL, "restart nginx"))
    assert not admits(pinned, (SYSTEMCTL, "restart", "nginx", ""))
    assert not admits(pinned, ())
    assert admits(ALL, ("/bin/anything", "a b"))


@pytest.mark.parametrize(
    ("commands", "digests"),
    [
        (ALL, [""]),
        ((ANYTHING,), [""]),
        ((replace(SERVICES, sha256=OLD),), [OLD]),
        ((replace(SERVICES, sha256=NEW), replace(RESTART, sha256=OLD)), [OLD, NEW]),
        ((replace(SERVICES, sha256=NEW), RESTART), [""]),
        ((replace(RESTART, args=("stop", "nginx"), sha256=OLD),), []),
    ],
)
def test_asked_for_exactly_a_command_keeps_the_digests_it_is_held_to(commands: Commands, digests: list[str]) -> None:
    argv = (SYSTEMCTL, "restart", "nginx")
    found = narrowed(commands, argv)
    assert found == tuple(replace(RESTART, sha256=digest) for digest in digests)
    assert covers(commands, found)


@pytest.mark.parametrize(
    "command",
    [
        Command("/usr/bin/id", ()),
        Command("/usr/bin/id", None, OLD),
        Command("/usr/bin/id", Pattern("^-[a-z]$")),
        Command("/opt/a-b_c.d/x@1+2", ("--flag=a:b,c", "\\", '"', "*")),
    ],
)
def test_plain_commands_can_be_rendered(command: Command) -> None:
    assert command_problem(command) is None


@pytest.mark.parametrize(
    "command",
    [
        Command("id", ()),
        Command("", ()),
        Command("/usr/bin/", ()),
        Command("/usr/../bin/id", ()),
        Command("/usr//bin/id", ()),
        Command("/usr/./id", ()),
        Command("/usr/bin/*", ()),
        Command("/usr/bin/a b", ()),
        Command("/usr/bin/a,b", ()),
        Command("/usr/bin/a=b", ()),
        Command("/usr/bin/i\x00d", ()),
        Command("/usr/bin/ïd", ()),
        Command("/usr/bin/sudoedit", ("/etc/motd",)),
        Command("/usr/bin/id", ("a b",)),
        Command("/usr/bin/id", ("",)),
        Command("/usr/bin/id", ('""',)),
        Command("/usr/bin/id", ("é",)),
        Command("/usr/bin/id", ("a\n",)),
        Command("/usr/bin/id", ("x" * 4_097,)),
    ],
)
def test_commands_that_could_be_misread_cannot_be_asked_for_exactly(command: Command) -> None:
    assert command_problem(command) is not None
    assert isinstance(command.args, tuple)
    with pytest.raises(Invalid):
        check_ask(Ask((command.path, *command.args), exact=True))


@pytest.mark.parametrize("digest", ["0A" * 32, "0a" * 31, "sha256:" + "0a" * 32, "x" * 64])
def test_a_digest_is_sixty_four_digits_in_lower_case(digest: str) -> None:
    assert "is not a SHA-256 digest" in (command_problem(replace(RESTART, sha256=digest)) or "")


# The habits of sudoers and of shells, and what the person is told to write instead.
TRAPS: dict[str, tuple[Command, str]] = {
    "negation": (Command("!/bin/sh", ()), "list what is allowed instead"),
    "all": (Command("ALL", ()), "write `commands: ALL`"),
    "tag": (Command("NOPASSWD:", ("/usr/bin/id",)), "use the role's own keys"),
    "setenv": (Command("SETENV:", ("/usr/bin/id",)), "use the role's own keys"),
    "alias": (Command("SERVICES", ()), "a bundle for an alias"),
    "variable": (Command("LD_PRELOAD=/x.so", ("/usr/bin/id",)), "name it under `environment:`"),
    "env": (Command("/usr/bin/env", ("FOO=1", "/usr/bin/id")), "name it under `environment:`"),
    "sudoedit": (Command("sudoedit", ("/etc/motd",)), "name a program that puts the file in place"),
    "sudoedit by its path": (Command("/usr/bin/sudoedit", None), "name a program that puts the file in place"),
    "bare name": (Command("systemctl", ("restart", "nginx")), "write /usr/bin/systemctl"),
    "relative": (Command("./deploy.sh", ()), "write /usr/bin/deploy.sh"),
    "home": (Command("~/deploy.sh", ()), "is not a full path"),
    "expression as path": (Command("^/usr/bin/.*$", ()), "args: {regex: …}"),
    "folder": (Command("/usr/local/sbin/", None), "name the programs"),
    "wildcard in the path": (Command("/usr/bin/*", None), "name the programs"),
    "way around": (Command("/usr/bin/../sbin/x", ()), "write '/usr/sbin/x'"),
    "two slashes": (Command("//usr/bin/x", ()), "write '/usr/bin/x'"),
    "comma in the path": (Command("/usr/bin/a,/bin/sh", ()), "plain characters"),
    "comment in the path": (Command("/usr/bin/a#b", ()), "plain characters"),
    "wildcard": (Command("/usr/bin/cat", ("/var/log/*",)), "{regex: '^…$'}"),
    "class": (Command("/usr/bin/cat", ("/var/log/[a-z]",)), "{regex: '^…$'}"),
    "bare expression": (Command("/usr/bin/passwd", ("^[a-z]+$",)), "{path: …, args: {regex: …}}"),
    "blank": (Command("/usr/bin/mail", ("-s", "disk full")), "put the command line into a script"),
    "empty": (Command("/usr/bin/id", ("",)), "for no arguments at all write none"),
    "quotes": (Command("/usr/bin/id", ('""',)), "for no arguments at all write none"),
    "backslash": (Command("/usr/bin/id", (r"a\,b",)), "write it as the program is to see it"),
    "escaped comment": (Command("/usr/bin/id", (r"\#x",)), "write it as the program is to see it"),
    "line": (Command("/usr/bin/id", ("a\nb",)), "outside printable ASCII"),
    "unsafe expression": (Command("/usr/bin/cat", Pattern("^/var/log/.*$")), r"write \. for a dot"),
    "digest": (Command("/usr/bin/cat", None, "abc"), "is not a SHA-256 digest"),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_of_sudoers_is_an_error_that_names_the_safe_way(trap: str) -> None:
    command, said = TRAPS[trap]
    found = command_trap(command)
    assert found is not None
    assert said in found
    assert "\n" not in found


@pytest.mark.parametrize(
    "command",
    [
        RESTART, SERVICES, ANYTHING, replace(RESTART, sha256=OLD), Command("/usr/bin/id", ()),
        Command("/usr/sbin/iptables", ("--dports", "80,443")),
        Command("/usr/bin/x", ("#1", "a=b:c", "100%", "!", "x@y")),
        Command("/usr/bin/env", None), Command("/opt/App2/bin/run", ("-v",)),
    ],
)  # fmt: skip
def test_what_means_what_it_says_is_no_trap(command: Command) -> None:
    assert command_trap(command) is None


PINNED = replace(SERVICES, sha256=OLD)
ROLE = a_role("web", commands=(Command("/usr/bin/id", ("-u", "bob")), PINNED, Command("/usr/bin/journalctl", None)))


@pytest.mark.parametrize(
    ("argv", "by", "why"),
    [
        ((SYSTEMCTL, "stop", "a-b"), PINNED, "the expression matches all of the arguments, while"),
        (("/usr/bin/id", "-u", "bob"), ROLE.commands[0], "these are exactly its arguments"),
        (("/usr/bin/journalctl", "-u", "x y"), ROLE.commands[2], "any arguments are allowed"),
        (("journalctl",), ROLE.commands[2], "if sudo finds journalctl as /usr/bin/journalctl, any arguments"),
    ],
)  # fmt: skip
def test_a_tried_command_names_what_lets_it_through(argv: tuple[str, ...], by: Command, why: str) -> None:
    found = try_command(ROLE, argv)
    assert (found.allowed, found.by) == (True, str(by))
    assert found.why.startswith(why)


@pytest.mark.parametrize(
    ("argv", "by", "why"),
    [
        (("/usr/bin/id", "-u", "eve"), ROLE.commands[0], "argument 2 is eve, and has to be bob"),
        (("/usr/bin/id", "-u"), ROLE.commands[0], "it takes exactly 2 arguments, and was given 1"),
        (("/usr/bin/id", "-u bob"), ROLE.commands[0], "argument 1, '-u bob', is empty or has blanks"),
        ((SYSTEMCTL, "stop", "a.b"), PINNED, "follows up to character 6, and does not go on with .b"),
        ((SYSTEMCTL, "stop"), PINNED, "the expression wants more after stop"),
        ((SYSTEMCTL,), PINNED, "the expression wants arguments"),
        (("/bin/systemctl", "stop", "a"), PINNED, "it runs /usr/bin/systemctl, and /bin/systemctl is another path"),
        (("/bin/sh",), None, "role web has no command that runs /bin/sh"),
        (("\x1b[2J",), None, r"has no command that runs $'\e[2J'"),
    ],
)
def test_a_tried_command_names_the_nearest_and_where_it_differs(
    argv: tuple[str, ...], by: Command | None, why: str
) -> None:
    found = try_command(ROLE, argv)
    assert (found.allowed, found.by) == (False, "" if by is None else str(by))
    assert why in found.why


def test_a_tried_command_is_shown_as_it_stands_in_sudoers() -> None:
    assert (
        try_command(ROLE, (SYSTEMCTL,)).sudoers == f"NOSETENV: sha256:{OLD} {SYSTEMCTL} ^(start|stop|restart) [a-z-]+$"
    )
    alone = a_role("web", commands=(Command("/usr/bin/id", ()),))
    assert try_command(alone, ("id",)).sudoers == 'NOSETENV: /usr/bin/id ""'
    placed = replace(a_role("web"), directory="/srv")
    assert try_command(placed, ("/bin/sh",)).sudoers == "CWD=/srv NOSETENV: ALL"
