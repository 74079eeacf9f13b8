"""What shells hide in commands: ways out, free arguments, files and programs others may write."""

from __future__ import annotations

import pytest

from jit_server.domain.ask import Command
from jit_server.domain.pattern import Pattern, problem
from jit_server.domain.policy.lint.escapes import PROGRAMS, Leak, escape_of, way_out
from jit_testing.lint_values import found, good_role, rules

DIGEST = "0" * 64


def leak(path: str, *args: str) -> Leak | None:
    """What a command with exactly these arguments gives."""
    way = way_out(Command(path, args))
    return None if way is None else way.leak


def free(path: str) -> Leak | None:
    way = way_out(Command(path, None))
    return None if way is None else way.leak


def expressed(path: str, expression: str) -> Leak | None:
    assert problem(expression) is None
    way = way_out(Command(path, Pattern(expression)))
    return None if way is None else way.leak


def test_at_least_120_programs_are_known_and_each_says_how_and_what_instead() -> None:
    assert len(PROGRAMS) >= 120
    assert all(escape.how and escape.safe for escape in PROGRAMS.values())


CLASSICS = """
    vi vim view less more man find tar awk sed ed emacs nano git apt apt-get dpkg dnf yum snap pip npm gem python
    perl ruby node lua php bash sh dash zsh env xargs nohup timeout nice strace gdb ltrace ssh scp rsync systemctl
    journalctl docker podman ctr kubectl mount cp mv tee dd install chmod chown ln crontab at visudo useradd
    usermod passwd mysql psql tcpdump nmap zip ftp service ip unshare nsenter chroot setpriv capsh su sudo screen
    tmux watch script openssl busybox make gcc
"""


def test_the_classic_ways_out_are_known() -> None:
    assert [name for name in CLASSICS.split() if free(f"/usr/bin/{name}") is None] == []


@pytest.mark.parametrize("name", ["python3", "python3.11", "vim.tiny", "vim.basic", "perl5.36.0", "lua5.4", "gcc-12"])
def test_versions_of_a_program_are_the_program(name: str) -> None:
    assert free(f"/usr/bin/{name}") is not None


@pytest.mark.parametrize("name", ["nginx-reload", "cat", "id", "viewer", "vimrc", "lesson", "head", "uptime"])
def test_others_are_not_taken_for_them(name: str) -> None:
    assert escape_of(name) is None
    assert free(f"/usr/bin/{name}") is None


@pytest.mark.parametrize(
    ("open_", "shut"),
    [
        (("/usr/bin/vi", "/etc/hosts"), ("/usr/bin/cat", "/etc/hosts")),
        (("/usr/bin/less", "/var/log/syslog"), ("/usr/bin/head", "/var/log/syslog")),
        (("/usr/bin/journalctl", "-u", "nginx"), ("/usr/bin/journalctl", "--no-pager", "-u", "nginx")),
        (("/usr/bin/git", "log"), ("/usr/bin/git", "--no-pager", "log")),
        (("/usr/bin/python3",), ("/usr/bin/python3", "/usr/local/sbin/report.py")),
        (("/usr/bin/bash", "-l"), ("/usr/bin/bash", "/usr/local/sbin/rotate.sh")),
        (("/usr/bin/mysql", "shop"), ("/usr/bin/mysql", "-e", "status")),
        (("/usr/bin/crontab", "-e"), ("/usr/bin/crontab", "-l")),
        (("/usr/sbin/visudo",), ("/usr/sbin/visudo", "-c")),
        (("/usr/bin/make", "install"), ("/usr/bin/make", "-C", "/srv/app", "install")),
        (("/usr/bin/su", "-"), ("/usr/bin/su", "-c", "/usr/bin/id")),
        (("/usr/bin/sudo", "-i"), ("/usr/bin/sudo", "/usr/bin/id")),
        (("/usr/bin/env", "/usr/bin/vi", "/etc/hosts"), ("/usr/bin/env", "/usr/bin/id")),
        (("/usr/bin/timeout", "5", "/usr/bin/less", "x"), ("/usr/bin/timeout", "5", "/usr/bin/systemctl", "stop", "x")),
        (("/usr/bin/nice", "timeout", "5", "bash"), ("/usr/bin/nice", "timeout", "5", "/usr/bin/uptime")),
        (("/usr/sbin/chroot", "/srv/x", "/bin/bash"), ("/usr/sbin/chroot", "/srv/x", "/bin/true")),
        (("/usr/bin/xargs", "/usr/bin/tar"), ("/usr/bin/xargs", "/usr/bin/stat")),
    ],
)
def test_exact_arguments_help_only_where_nothing_is_typed_in(open_: tuple[str, ...], shut: tuple[str, ...]) -> None:
    assert leak(*open_) in {Leak.SHELL, Leak.FREE_ARGUMENTS}
    assert leak(*shut) is None


@pytest.mark.parametrize(
    ("path", "open_", "shut"),
    [
        ("/usr/bin/find", "^/srv [a-z-]+$", "^/srv/[a-z]+ -name [a-z]+$"),
        ("/usr/bin/tar", "^-c?f [a-z/=-]+$", "^xf /srv/[a-z]+\\.tar$"),
        ("/usr/bin/systemctl", "^[a-z]+ [a-z]+$", "^(restart|stop) [a-z]+$"),
        ("/usr/bin/docker", "^[a-z]+ web$", "^(restart|logs) web$"),
        ("/usr/bin/less", "^/var/log/[a-z]+$", ""),
        ("/usr/bin/journalctl", "^-u [a-z]+$", "^--no-pager -u [a-z]+$"),
        ("/usr/bin/git", "^log( --oneline)?$", "^--no-pager log( --oneline)?$"),
    ],
)
def test_an_expression_is_held_against_the_arguments_that_let_out(path: str, open_: str, shut: str) -> None:
    assert expressed(path, open_) is not None
    if shut:
        assert expressed(path, shut) is None


def test_the_rules_tell_shells_free_arguments_and_writing_apart() -> None:
    for path, rule in (
        ("/usr/bin/vi", "shell-escape"),
        ("/usr/bin/find", "free-arguments"),
        ("/usr/bin/tee", "writes-any-file"),
    ):
        (one,) = found(good_role(commands=(Command("/usr/bin/id", ()), Command(path, None)), run_as_users=("www",)))
        assert (one.rule, one.path) == (rule, ("roles", "web", "commands", 1))
        assert one.fix
        assert rules(good_role(commands=(Command("/usr/bin/id", None),), run_as_users=("www",))) == []


@pytest.mark.parametrize("path", ["/home/deploy/run", "/tmp/x", "/var/tmp/x", "/dev/shm/x"])
def test_a_program_others_can_write_is_told_unless_it_is_pinned(path: str) -> None:
    assert rules(good_role(commands=(Command(path, ()),))) == ["writable-program"]
    assert rules(good_role(commands=(Command(path, (), DIGEST),))) == []


def test_a_program_outside_of_the_distribution_is_told_unless_it_is_pinned() -> None:
    assert rules(good_role(commands=(Command("/opt/app/bin/reload", ()),))) == ["unpinned-program"]
    assert rules(good_role(commands=(Command("/opt/app/bin/reload", (), DIGEST),))) == []
    assert rules(good_role(commands=(Command("/usr/bin/id", ()),))) == []


def test_a_script_others_can_write_is_told_whatever_the_digest_of_its_interpreter() -> None:
    for digest in ("", DIGEST):
        script = Command("/usr/bin/bash", ("/home/deploy/run.sh",), digest)
        assert rules(good_role(commands=(script,))) == ["writable-script"]
    assert rules(good_role(commands=(Command("/usr/bin/bash", ("/usr/local/sbin/run.sh",)),))) == []
    assert rules(good_role(commands=(Command("/usr/bin/cat", ("/home/deploy/run.sh",)),))) == []


def test_a_program_that_reads_the_folder_it_is_called_in_needs_a_directory() -> None:
    here = good_role(commands=(Command("/usr/bin/npm", ("ci",)),), run_as_users=("www",))
    assert rules(here) == ["relative-to-the-person"]
    assert rules(good_role(commands=here.commands, run_as_users=("www",), directory="/srv/app")) == []
