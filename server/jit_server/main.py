"""`jit-server`: set up, check and run the server.

Every failure a person can cause is one line on standard error and an exit status of SPEC 4.3; there is no traceback.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import importlib.metadata
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from jit_server import config as configuration
from jit_server.config import DEFAULT_FILE, Config
from jit_server.errors import Conflict, JitError

if TYPE_CHECKING:
    from jit_server.installation import Installed

EXIT = {"conflict": 7, "invalid": 65, "unavailable": 69, "config": 78}

_config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help=f"Configuration file.  [default: {DEFAULT_FILE}]",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The central part of jit: policy, requests, approvals, signed grants and the audit log."""


@cli.command()
@_config_option
@click.option("--domain", default="", help="Trust domain, as in spiffe://DOMAIN.  [default: this machine's domain]")
@click.option(
    "--name", "names", multiple=True, help="Host name or address hosts and people connect to; may be repeated."
)
@click.option("--admin", default="", help="The first administrator.  [default: $SUDO_USER]")
@click.option("--state", type=click.Path(path_type=Path), help="State directory, unless the configuration names one.")
@click.option("--database", help="Database URL, unless the configuration names one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def init(
    *,
    file: Path | None,
    domain: str,
    names: tuple[str, ...],
    admin: str,
    state: Path | None,
    database: str | None,
    as_json: bool,
) -> None:
    """Make a new installation: authority, keys, database and the first administrator."""
    from jit_server import installation

    target = file or DEFAULT_FILE
    wanted = installation.check(installation.Wanted(domain, names, admin))
    given = {}
    if state is not None:
        given["state"] = str(state.absolute())
    if database is not None:
        given["database"] = database
    config = _config_for_init(target, given)
    installation.prepare_state(config.state)
    with installation.as_owner(config.state):
        installed = asyncio.run(installation.install(config, wanted))
    wrote = installation.write_config(target, config, given)
    if as_json:
        print(json.dumps({"state": str(config.state), "config": str(target), **dataclasses.asdict(installed)}))
    else:
        print(_next_steps(config, target, installed, wrote_config=wrote))


@cli.command()
@_config_option
def run(file: Path | None) -> None:
    """Serve, until a signal ends it."""
    from jit_server.adapters import logs
    from jit_server.run import serve

    # gRPC's own log is noise on standard error.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    logs.configure()
    asyncio.run(serve(_load(file)))


@cli.command("check-config")
@_config_option
def check_config(file: Path | None) -> None:
    """Say what is wrong with the configuration or the installation, or that nothing is."""
    from jit_server.adapters.state_directory import StateDirectory

    config = _load(file)
    state = StateDirectory(config.state)
    state.load_keys()
    state.server_names()
    print(f"{file or DEFAULT_FILE}: ok")


@cli.command()
def version() -> None:
    """Print the version."""
    print(f"jit-server {importlib.metadata.version('jit-server')}")


def main() -> None:
    """Run the command line; every expected failure ends as one line."""
    # Nothing the server writes is for others to read, unless it says so itself.
    os.umask(0o077)
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except JitError as error:
        _fail(f"{error}\n{error.hint}" if error.hint else str(error), EXIT.get(error.code, 1))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}", 1)


def _fail(text: str, status: int) -> NoReturn:
    from jit_server.adapters.logs import escape

    for line in text.splitlines():
        print(f"jit-server: {escape(line)}", file=sys.stderr)
    sys.exit(status)


def _load(file: Path | None) -> Config:
    return configuration.load(file or DEFAULT_FILE, required=file is not None)


def _config_for_init(file: Path, given: dict[str, str]) -> Config:
    """What is configured, with what was given; raises `Conflict` when both say something different."""
    if not file.exists():
        return configuration.parse(dict(given))
    config = configuration.load(file)
    wanted = configuration.parse({"state": str(config.state), **given})
    if "state" in given and wanted.state != config.state:
        raise Conflict(f"{file} says the state directory is {config.state}, not {wanted.state}")
    if "database" in given and wanted.database != config.database:
        raise Conflict(f"{file} names another database than --database")
    return config


def _next_steps(config: Config, file: Path, installed: Installed, *, wrote_config: bool) -> str:
    port = config.listen_bootstrap.port
    name = f"[{installed.name}]" if ":" in installed.name else installed.name
    server = f"--server {shlex.quote(f'{name}:{port}')} --ca {installed.ca_fingerprint}"
    admin = f"--user {shlex.quote(installed.admin)}"
    until = datetime.datetime.fromtimestamp(installed.mfa_token_expires_at / 1_000_000).astimezone()
    start = "systemctl enable --now jit-server" if file == DEFAULT_FILE else f"jit-server run --config {file}"
    return f"""\
A new installation is in {config.state}; its trust domain is {installed.domain}.
Configuration: {file}{" (written now)" if wrote_config else ""}.
CA fingerprint: {installed.ca_fingerprint}

What to do next:

  1. Start the server:
       {start}
  2. Enrol the second factor of {installed.admin}; the token works once, until {until:%Y-%m-%d %H:%M %Z}:
       jitctl mfa enroll {server} {admin} --token {installed.mfa_token}
  3. Log in, with the password of the account {installed.admin} on this machine and a one-time code:
       jitctl login {server} {admin}
  4. Say who may do what, and add hosts:
       jitctl policy apply policy.yaml
       jitctl hosts enroll-token web1 -l tier=web"""
