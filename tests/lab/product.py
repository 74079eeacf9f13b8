"""jit on the lab's hosts: installed from its packages and set up by the same commands a customer types.

Nothing here reaches around the product: what `jit-server init` and `jitctl` print is what is run next.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab import lifecycle, otp
from lab.host import Host
from lab.places import REPOSITORY, Places
from lab.process import LabError

# Account -> uid, the same on every host.
PEOPLE = {"alice": 1001, "bob": 1002, "carol": 1003, "dave": 1004, "admin": 1005}
# Duties on the server beyond being a person; approvers are named by the policy.
DUTIES = {"dave": ["auditor"]}
ADMIN = "admin"
SERVER = "server"
_URI = re.compile(r"otpauth://\S+?(?=[\"'\s]|$)")
_ENROLL_HOST = re.compile(r"jit-agent enroll .*")


def password(person: str) -> str:
    """The Unix password of one of the lab's people."""
    return f"{person}-lab"


def install(hosts: Sequence[Host], packages: Path) -> None:
    """Put the package each host needs on it, with apt, and make the people's accounts."""
    lifecycle.at_once(lambda host: _install(host, packages), hosts)


def set_up(places: Places, hosts: Sequence[Host]) -> None:
    """Start the server, enrol people and hosts, apply the policy."""
    server = next(host for host in hosts if host.name == SERVER)
    words = ["jit-server", "init", "--name", SERVER, "--name", server.address.ip, "--admin", ADMIN, "--json"]
    installed = json.loads(server.run(*words))
    server.run("systemctl", "start", "jit-server.service")
    where = ["--server", f"{SERVER}:7444", "--ca", installed["ca_fingerprint"]]

    _second_factor(places, server, ADMIN, installed["mfa_token"], where)
    log_in(places, server, ADMIN)
    others = [person for person in PEOPLE if person != ADMIN]
    lifecycle.at_once(lambda person: _add(places, server, person, where), others)
    server.put(REPOSITORY / "tests/lab/policy.yaml", "/srv/policy.yaml")
    server.run("jitctl", "policy", "apply", "--yes", "/srv/policy.yaml", user=ADMIN)

    tiers = [host for host in hosts if host != server]
    commands = [_enroll_command(server, host) for host in tiers]
    lifecycle.at_once(lambda pair: pair[0].run("sh", "-c", pair[1]), list(zip(tiers, commands, strict=True)))


def log_in(places: Places, server: Host, person: str) -> None:
    """Give a person on the server host a certificate for jitctl."""
    code = otp.next_code(places, person)
    server.run(
        "jitctl", "login", "--user", person, "--password-stdin", "--otp", code,
        user=person, stdin=f"{password(person)}\n".encode(),
    )  # fmt: skip


def _install(host: Host, packages: Path) -> None:
    name = "jit-server" if host.name == SERVER else "jit-agent"
    pattern = f"{name}_*+deb{host.address.release}_*.deb"
    found = sorted(packages.glob(pattern))
    if len(found) != 1:
        raise LabError(f"{packages} must hold one {pattern}, it holds {len(found)}; try: packaging/build")
    accounts = PEOPLE if host.name == SERVER else {name: PEOPLE[name] for name in ("alice", "bob")}
    for account, uid in accounts.items():
        host.run("useradd", "--create-home", "--shell", "/bin/bash", "--uid", str(uid), account)
    lines = "".join(f"{account}:{password(account)}\n" for account in accounts)
    host.run("chpasswd", stdin=lines.encode())
    host.put(found[0], f"/var/tmp/{found[0].name}")
    host.run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", f"/var/tmp/{found[0].name}")


def _add(places: Places, server: Host, person: str, where: Sequence[str]) -> None:
    duties = [word for duty in DUTIES.get(person, []) for word in ("--duty", duty)]
    token = server.run("jitctl", "users", "add", person, *duties, "-o", "name", user=ADMIN).strip()
    _second_factor(places, server, person, token, where)


def _second_factor(places: Places, server: Host, person: str, token: str, where: Sequence[str]) -> None:
    """Enrol one, as on a terminal but in two steps: the URI first, then one code to prove it arrived."""
    words = ["jitctl", "mfa", "enroll", "--user", person, "--token", token, *where]
    shown = server.outcome(*words, user=person)
    otp.remember(places, person, otp.secret_of(_find(_URI, shown)))
    server.run(*words, "--otp", otp.next_code(places, person), user=person)


def _enroll_command(server: Host, host: Host) -> str:
    labels = ("tier=web", "env=lab", f"debian={host.address.release}")
    words = ["jitctl", "hosts", "enroll-token", host.name, *(word for label in labels for word in ("-l", label))]
    return _find(_ENROLL_HOST, server.outcome(*words, user=ADMIN))


def _find(pattern: re.Pattern[str], done: subprocess.CompletedProcess[str]) -> str:
    found = pattern.search(done.stdout)
    if not found:
        said = f"{done.stdout}{done.stderr}".strip()[-800:]
        raise LabError(f"a command of the set-up did not print what it should ({pattern.pattern}): {said}")
    return found.group()
