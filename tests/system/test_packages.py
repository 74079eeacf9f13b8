"""The packages as a customer meets them: installed with apt on a booted host, upgraded, stopped, removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jit_testing import lab as labs
from jit_testing.lab import Lab

# What the distribution's own programs write when any package comes or goes, or simply while a host runs.
OTHERS = (
    "/var/cache/man/",
    "/var/cache/debconf/",
    "/var/lib/dpkg/",
    "/var/lib/apt/",
    "/var/log/",
    "/var/cache/apt/",
    "/var/lib/systemd/",
)
UNSEEN = ("/proc", "/sys", "/dev", "/tmp", "/root", "/var/tmp")
LIST = (
    f"find / -xdev {' '.join(f'-path {place} -prune -o' for place in UNSEEN)} -print;"
    # On a file system of their own, so not seen by the first.  What vanishes meanwhile is no failure.
    " find /run -path '/run/jit*'; true"
)
# Exposure as systemd-analyze counts it, times ten.
THRESHOLDS = {"jit-agent": 20, "jit-enforcer": 25, "jit-server": 20}


PLAIN = pytest.mark.parametrize("host", ["plain12", "plain13"])


@pytest.fixture(scope="module")
def plain(lab_name: str) -> Iterator[Lab]:
    """A host of each Debian release, with nothing of jit."""
    made = labs.up(f"{lab_name}p", ["plain12:12", "plain13:13"], None)
    try:
        yield made
    finally:
        labs.down(made)


@pytest.fixture
def clean(lab: Lab) -> Iterator[Lab]:
    """The shared lab; alice has no grant on web2, before and after."""
    lab.exec("web2", "jit", "drop", "--all", user="alice")
    yield lab
    lab.exec("web2", "systemctl", "start", "jit-enforcer")
    lab.exec("web2", "jit", "drop", "--all", user="alice")


def host_of(unit: str) -> str:
    return "server" if unit == "jit-server" else "web1"


def put_package(lab: Lab, host: str, packages: Path, name: str) -> str:
    """Copy the package for the host's release there; its path on the host."""
    release = lab.places.hosts()[host].release
    (found,) = packages.glob(f"{name}_*+deb{release}_*.deb")
    there = f"/var/tmp/{found.name}"
    lab.put(host, found, there)
    return there


def is_root(lab: Lab) -> bool:
    """Whether alice's sudo on web2 lets her through now."""
    return lab.exec("web2", "sudo", "-n", "id", "-u", user="alice").stdout.strip() == "0"


def start_something_long(lab: Lab) -> None:
    wait = "until pgrep -xf 'sleep 86399' >/dev/null; do :; done"
    lab.run("web2", "sh", "-c", f"setsid sudo -n sleep 86399 >/dev/null 2>&1 & {wait}", user="alice")


def long_things_running(lab: Lab) -> bool:
    return lab.exec("web2", "pgrep", "-xf", "sleep 86399").returncode == 0


@PLAIN
@pytest.mark.parametrize("name", ["jit-agent", "jit-server"])
def test_purge_leaves_nothing(plain: Lab, packages: Path, host: str, name: str) -> None:
    """Debian policy 6.8: after a purge the package's files, state, users and running parts are gone."""

    def state() -> set[str]:
        files = {line for line in plain.run(host, "sh", "-c", LIST).splitlines() if not line.startswith(OTHERS)}
        accounts = plain.run(host, "cat", "/etc/passwd", "/etc/group", "/etc/shadow").splitlines()
        units = plain.run(host, "systemctl", "list-units", "--all", "--no-legend", "--plain", "jit-*").splitlines()
        return files | set(accounts) | set(units)

    there = put_package(plain, host, packages, name)
    before = state()
    plain.run(host, "apt-get", "install", "--yes", there)
    assert f"/usr/sbin/{name}" in state()
    if name == "jit-server":
        plain.run(host, "jit-server", "init", "--name", host, "--admin", "root")
        plain.run(host, "systemctl", "start", "jit-server")
    plain.run(host, "apt-get", "purge", "--yes", name)
    after = state()
    assert sorted(after - before) == []
    # Backups that the account tools keep aside, nothing of the distribution's.
    assert sorted(before - after) == []
    assert plain.run(host, "sudo", "-n", "id", "-u").strip() == "0"


@PLAIN
def test_removal_keeps_the_configuration_and_takes_the_rights(plain: Lab, packages: Path, host: str) -> None:
    there = put_package(plain, host, packages, "jit-agent")
    plain.run(host, "apt-get", "install", "--yes", there)
    plain.run(host, "apt-get", "remove", "--yes", "jit-agent")
    assert plain.exec(host, "test", "-e", "/etc/jit/ceiling.toml").returncode == 0
    assert plain.exec(host, "test", "-e", "/etc/sudoers.d/zzz-jit").returncode == 1
    assert plain.exec(host, "test", "-e", "/run/jit").returncode == 1
    plain.run(host, "apt-get", "purge", "--yes", "jit-agent")


@pytest.mark.parametrize("unit", THRESHOLDS)
def test_units_are_correct_and_confined(lab: Lab, unit: str) -> None:
    files = lab.run(host_of(unit), "sh", "-c", "ls /usr/lib/systemd/system/jit-*").split()
    checked = lab.exec(host_of(unit), "systemd-analyze", "verify", *files)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    lab.run(host_of(unit), "systemd-analyze", "security", f"--threshold={THRESHOLDS[unit]}", f"{unit}.service")


def test_the_enforcer_has_the_powers_it_needs_and_no_other(lab: Lab) -> None:
    said = lab.run("web1", "systemctl", "show", "-p", "CapabilityBoundingSet", "--value", "jit-enforcer")
    assert set(said.split()) == {"cap_chown", "cap_kill", "cap_sys_ptrace"}
    pid = lab.run("web1", "systemctl", "show", "-p", "MainPID", "--value", "jit-enforcer").strip()
    assert "Seccomp:\t2" in lab.run("web1", "cat", f"/proc/{pid}/status")


@pytest.mark.parametrize(("family", "made"), [("AF_UNIX", True), ("AF_INET", False), ("AF_INET6", False)])
def test_in_the_enforcers_sandbox_no_socket_of_a_network_can_be_made(lab: Lab, family: str, made: bool) -> None:
    """It is in the host's network, where the kernel tells it who is behind a connection, and cannot speak there."""
    shown = lab.run("web1", "systemctl", "show", "-p", "RestrictAddressFamilies", "jit-enforcer").strip()
    code = f"import socket; socket.socket(socket.{family}, socket.SOCK_STREAM)"
    tried = lab.exec("web1", "systemd-run", "--quiet", "--pipe", "-p", shown, "/usr/bin/python3", "-c", code)
    assert (tried.returncode == 0) is made, tried.stderr


def test_the_command_comes_with_completions_and_manual(lab: Lab) -> None:
    lab.run("web1", "bash", "-c", ". /usr/share/bash-completion/completions/jit")
    lab.run("web1", "zsh", "-n", "/usr/share/zsh/vendor-completions/_jit")
    lab.run("web1", "fish", "--no-execute", "/usr/share/fish/vendor_completions.d/jit.fish")
    for host, pages in (
        ("web1", ["man1/jit.1", "man8/jit-agent.8"]),
        ("server", ["man1/jitctl.1", "man5/jit-policy.5", "man8/jit-server.8"]),
    ):
        for page in pages:
            lab.run(host, "gzip", "--test", f"/usr/share/man/{page}.gz")


def test_stopping_the_enforcer_ends_all_grants(clean: Lab) -> None:
    """REVIEW 17: systemctl stop is the host's own emergency brake."""
    clean.elevate("web2")
    start_something_long(clean)
    assert is_root(clean)
    clean.run("web2", "systemctl", "stop", "jit-enforcer")
    assert not is_root(clean)
    assert not long_things_running(clean)
    assert clean.exec("web2", "sh", "-c", "find /run/jit/sudoers.d -type f -size +0 | grep .").returncode == 1
    clean.run("web2", "systemctl", "start", "jit-enforcer")
    assert not is_root(clean)


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_an_enforcer_that_starts_again_ends_nothing(clean: Lab, how: str) -> None:
    """REVIEW 17: what is granted and what runs outlives the enforcer's process."""
    clean.elevate("web2")
    start_something_long(clean)
    if how == "restart":
        clean.run("web2", "systemctl", "restart", "jit-enforcer")
    else:
        clean.run("web2", "systemctl", "kill", "--signal=KILL", "jit-enforcer")
        clean.run("web2", "sh", "-c", "until systemctl is-active --quiet jit-enforcer; do :; done")
    assert long_things_running(clean)
    assert is_root(clean)


def test_an_upgrade_ends_no_grant(clean: Lab, packages: Path) -> None:
    """The same version again goes the way of an upgrade: old prerm, unpack, new postinst with a version."""
    grant = clean.elevate("web2")
    there = put_package(clean, "web2", packages, "jit-agent")
    clean.run("web2", "apt-get", "install", "--yes", "--reinstall", there)
    assert is_root(clean)
    assert clean.run("web2", "systemctl", "is-active", f"jit-{grant}.scope").strip() == "active"
