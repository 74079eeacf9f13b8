"""What the agent is told at start: /etc/jit/agent.toml as one frozen value (SPEC 1.5).

A host that is not enrolled, or whose file cannot be used, still gets a value: the agent then serves `jit doctor`, which
says so, and nothing else.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jit_agent.errors import Misconfigured
from jit_agent.model import is_id

CONFIG_PATH = Path("/etc/jit/agent.toml")
_OPTIONAL = (
    "agent_socket", "sudo_log_address", "enforcer_socket", "state_directory", "footprint_directory", "spool_limit",
    "record_reserve", "record_limit", "record_compress",
)  # fmt: skip
_NUMBERS = {
    "spool_limit": (1_000, "a number of reports, 1000 or more"),
    "record_reserve": (0, "a number of bytes that recordings leave free"),
    "record_limit": (16 * 2**20, "a number of bytes that recordings may take, 16777216 or more"),
}


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Which server this host belongs to, and as whom; `server` is host:port of the mTLS listener."""

    server: str
    host_id: str
    host_name: str


@dataclass(frozen=True, slots=True)
class Config:
    """Where everything is.  The two addresses count only without systemd's sockets.

    No session is recorded with less than `record_reserve` bytes free, or more than `record_limit` bytes of recordings
    on the disk (SPEC 8.3); `record_compress`: chunks are stored with zstd.
    """

    enrolment: Enrolment | None = None
    problem: str = ""
    agent_socket: Path = Path("/run/jit/agent.sock")
    sudo_log_address: tuple[str, int] = ("127.0.0.1", 843)
    enforcer_socket: Path = Path("/run/jit/enforcer.sock")
    state_directory: Path = Path("/var/lib/jit-agent")
    footprint_directory: Path = Path("/var/lib/jit-footprint")
    spool_limit: int = 200_000
    record_reserve: int = 256 * 2**20
    record_limit: int = 10 * 2**30
    record_compress: bool = True

    @property
    def pki_directory(self) -> Path:
        return self.state_directory / "pki"

    @property
    def spool_path(self) -> Path:
        return self.state_directory / "spool.db"

    @property
    def recordings_directory(self) -> Path:
        return self.state_directory / "recordings"


def load(path: Path) -> Config:
    """Read the file; raises `Misconfigured` with the file and the key that is wrong."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise Misconfigured(f"{path}: {e}") from e
    try:
        return _config(table)
    except Misconfigured as e:
        raise Misconfigured(f"{path}: {e}", hint=e.hint) from None


def load_or_explain(path: Path) -> Config:
    """Like `load`, but what is wrong becomes the value's `problem`."""
    if not path.exists():
        return Config(problem="this host is not enrolled")
    try:
        return load(path)
    except Misconfigured as e:
        return Config(problem=str(e))


def split_address(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port`; raises `Misconfigured`."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_535:
        raise Misconfigured(f"{text[:80]!a} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _config(table: dict[str, Any]) -> Config:
    known = {"server", "host_id", "host_name", *_OPTIONAL}
    unknown = sorted(set(table) - known)
    if unknown:
        raise Misconfigured(f"unknown key {unknown[0]!a}", hint=f"the keys are: {', '.join(sorted(known))}")
    server, host_id, host_name = (_text(table, key) for key in ("server", "host_id", "host_name"))
    split_address(server)
    if not is_id(host_id, "hst"):
        raise Misconfigured(f"host_id {host_id[:40]!a} is not a host's id")
    config = Config(enrolment=Enrolment(server, host_id, host_name))
    given: dict[str, Any] = {key: _optional(table, key) for key in _OPTIONAL if key in table}
    return replace(config, **given)


def _optional(table: dict[str, Any], key: str) -> Path | tuple[str, int] | int:
    if key in _NUMBERS:
        number, (least, what) = table[key], _NUMBERS[key]
        if type(number) is not int or number < least:
            raise Misconfigured(f"{key} must be {what}")
        return number
    if key == "record_compress":
        if type(table[key]) is not bool:
            raise Misconfigured("record_compress must be true or false")
        return bool(table[key])
    text = _text(table, key)
    if key == "sudo_log_address":
        return split_address(text)
    if not text.startswith("/"):
        raise Misconfigured(f"{key} must be an absolute path")
    return Path(text)


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise Misconfigured(f"{key} is missing or not a text")
    return value
