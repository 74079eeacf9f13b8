"""`jit-server init`: a new installation, whole or not at all.

Everything is made in a draft directory beside its final place and moved there at the end, so that what fails leaves
nothing; an installation that exists is never touched.  Root does the work as the owner of the state directory.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from jit_server.adapters import ca
from jit_server.adapters.changes import InProcessChanges
from jit_server.adapters.clock import SystemClock
from jit_server.adapters.policy_yaml import YamlPolicyParser
from jit_server.adapters.sql import SqlStore, migrate
from jit_server.adapters.state_directory import DATABASE, StateDirectory, StateError, sync_directory, write
from jit_server.config import Config, ConfigError, database_url, is_host_name
from jit_server.domain.identity import check_user_name
from jit_server.errors import Conflict
from jit_server.services.people import PeopleService
from jit_server.services.policy_book import PolicyBook

SERVICE_ACCOUNT = "jit-server"
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the new installation is to be; empty texts and lists mean the defaults."""

    domain: str
    names: tuple[str, ...]
    admin: str


@dataclass(frozen=True, slots=True)
class Installed:
    """What whoever ran `init` has to know; the token is shown once and stored nowhere in clear."""

    domain: str
    name: str
    ca_fingerprint: str
    admin: str
    mfa_token: str
    mfa_token_expires_at: int


def check(wanted: Wanted) -> Wanted:
    """Fill in the defaults; raises `ConfigError` or `Invalid` for what cannot be."""
    names = wanted.names or (socket.getfqdn(),)
    for name in names:
        if not is_host_name(name):
            raise ConfigError(f"--name {name!a}: neither a host name nor an IP address")
    domain = wanted.domain or socket.getfqdn().partition(".")[2].lower() or "jit.internal"
    if not _DOMAIN.fullmatch(domain):
        raise ConfigError(f"--domain {domain!a}: not a domain name in lower case")
    admin = wanted.admin or os.environ.get("SUDO_USER", "")
    if not admin:
        raise ConfigError("name the first administrator: --admin NAME")
    return Wanted(domain, names, check_user_name(admin))


async def install(config: Config, wanted: Wanted) -> Installed:
    """Make keys, certificates, database and the first administrator.

    Raises `Conflict` when there is an installation or the database holds people, `StateError` when the state
    directory cannot be used.
    """
    state = StateDirectory(config.state)
    _refuse_leftovers(state)
    # The database is named by its final place; while it is drafted it lies elsewhere.
    own_database = config.database == database_url("", config.state)
    draft = Path(tempfile.mkdtemp(prefix=".init-", dir=state.path))
    moved: list[Path] = []
    try:
        drafted = replace(config, database=database_url("", draft)) if own_database else config
        installed = await _fill(StateDirectory(draft), drafted, wanted)
        for name in [DATABASE] * own_database + ["keys", "pki"]:  # `pki` last: it is what makes an installation
            (draft / name).rename(state.path / name)
            moved.append(state.path / name)
        sync_directory(state.path)
    except BaseException:
        for path in reversed(moved):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
    finally:
        shutil.rmtree(draft)
    return installed


def write_config(file: Path, config: Config, given: dict[str, str]) -> bool:
    """Write the configuration unless there is one; `given` are the keys that differ from the defaults."""
    if file.exists():
        return False
    lines = [
        "# jit-server: see jit-server(8) for all keys.",
        *(f"{key} = {_toml(value)}" for key, value in given.items()),
    ]
    if not file.parent.exists():
        file.parent.mkdir(parents=True)
        # The server has to reach its file, whatever the umask is.
        file.parent.chmod(0o755)
    write(file, "".join(f"{line}\n" for line in lines).encode(), 0o640)
    if os.geteuid() == 0:
        os.chown(file, 0, config.state.stat().st_gid)
    return True


def prepare_state(path: Path) -> None:
    """Make the state directory if there is none, and give it to the service's account if root does it."""
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        return
    except OSError as error:
        raise StateError(f"{path} cannot be made: {error.strerror}") from None
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):  # no such account: root keeps it
            account = pwd.getpwnam(SERVICE_ACCOUNT)
            os.chown(path, account.pw_uid, account.pw_gid)


@contextlib.contextmanager
def as_owner(path: Path) -> Iterator[None]:
    """Let root do what follows with the rights of the owner of the directory; for others it changes nothing."""
    owner = path.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


async def _fill(draft: StateDirectory, config: Config, wanted: Wanted) -> Installed:
    clock = SystemClock()
    now = clock.now()
    authority = ca.create(wanted.domain, now)
    draft.create_keys(authority, list(wanted.names), now)
    await migrate(config.database)
    store = SqlStore(config.database, InProcessChanges())
    try:
        people = PeopleService(store, clock, PolicyBook(YamlPolicyParser(), clock), secrets.token_bytes)
        created = await people.create_first_admin(wanted.admin)
    finally:
        await store.close()
    return Installed(
        domain=wanted.domain,
        name=wanted.names[0],
        ca_fingerprint=authority.fingerprint(),
        admin=wanted.admin,
        mfa_token=created.token.token,
        mfa_token_expires_at=created.token.expires_at,
    )


def _refuse_leftovers(state: StateDirectory) -> None:
    if state.initialised:
        raise Conflict(f"{state.path} holds an installation already: nothing was changed")
    left = [name for name in (DATABASE, "keys", "pki") if (state.path / name).exists()]
    if left:
        raise StateError(
            f"{state.path} holds {', '.join(left)} of an installation that is not whole: "
            "restore the rest from a backup, or remove it"
        )
    if not os.access(state.path, os.W_OK | os.X_OK, effective_ids=True):
        raise StateError(f"{state.path} cannot be written to: run this as root or as its owner")


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
