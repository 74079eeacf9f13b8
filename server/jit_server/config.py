"""The server's configuration: `/etc/jit/server.toml`, every key optional (SPEC 1.4, 1.6).

All errors of a file are reported at once.  There is deliberately no key that chooses how passwords are checked, or that
switches a check off.
"""

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from pydantic_core import ErrorDetails
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from jit_server.errors import JitError

DEFAULT_FILE = Path("/etc/jit/server.toml")
DEFAULT_STATE = Path("/var/lib/jit-server")
DEFAULT_PORT = 7443
DEFAULT_BOOTSTRAP_PORT = 7444
_ROTA_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*")


class ConfigError(JitError):
    """The configuration cannot be used; the text is one line an error, each fit to be shown."""

    code = "config"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST:PORT` or `[IPV6]:PORT`; raises ValueError."""
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isascii() or not port.isdecimal() or not 0 <= int(port) <= 65_535:
            raise ValueError(f"{text!r} is not an address: write HOST:PORT or [IPV6]:PORT")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RotaFile:
    """A rota that is kept in a file."""

    path: Path


@dataclass(frozen=True, slots=True)
class RotaWebhook:
    """A rota that a web service tells over HTTPS; the files are None where there is no token, or no CA of its own."""

    url: str
    token_file: Path | None
    ca_file: Path | None


@dataclass(frozen=True, slots=True)
class Config:
    """What an installation may set; see server.toml for the meaning."""

    state: Path
    database: str
    recordings: Path
    listen: Address
    listen_bootstrap: Address
    advertise: str
    issuer: str
    on_call: Mapping[str, RotaFile | RotaWebhook]

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def keys(self) -> Path:
        return self.state / "keys"


def is_host_name(text: str) -> bool:
    """Whether the text is a DNS name or an IP address that a certificate can carry."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


def database_url(database: str, state: Path) -> str:
    """The SQLAlchemy URL with the driver we use; empty means SQLite in the state directory.  Raises ValueError."""
    if not database:
        return f"sqlite+aiosqlite:///{state / 'jit.db'}"
    try:
        url = make_url(database)
    except ArgumentError:
        # The text may hold a password, so it is not repeated.
        raise ValueError("not a database URL: write postgresql://USER@HOST/NAME or sqlite:///PATH") from None
    match url.drivername:
        case "sqlite" | "sqlite+aiosqlite":
            driver = "sqlite+aiosqlite"
        case "postgresql" | "postgresql+psycopg":
            driver = "postgresql+psycopg"
        case _:
            raise ValueError(f"unknown database {url.drivername!r}: write postgresql://… or sqlite:///…")
    return url.set(drivername=driver).render_as_string(hide_password=False)


def load(file: Path, *, required: bool = False) -> Config:
    """Read the file; a missing one means the defaults unless `required`.  Raises `ConfigError`."""
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        if required:
            raise ConfigError(f"{file}: no such file") from None
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    try:
        return parse(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {error}") from None
    except ConfigError as error:
        raise ConfigError("\n".join(f"{file}: {line}" for line in str(error).splitlines())) from None


def parse(untrusted_values: dict[str, object]) -> Config:
    """Check the values and fill in the defaults; raises `ConfigError`."""
    try:
        model = _Model.model_validate(untrusted_values)
        return Config(
            state=Path(model.state),
            database=database_url(model.database, Path(model.state)),
            recordings=Path(model.recordings or f"{model.state}/recordings"),
            listen=Address.parse(model.listen),
            listen_bootstrap=Address.parse(model.listen_bootstrap),
            advertise=model.advertise,
            issuer=model.issuer,
            on_call={name: rota.as_rota() for name, rota in model.on_call.items()},
        )
    except pydantic.ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))}: {_reason(one)}" for one in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        known = _Model.model_fields if len(error["loc"]) == 1 else _RotaModel.model_fields
        return f"unknown key; known are {', '.join(known)}"
    return error["msg"].removeprefix("Value error, ")


def _address(text: str) -> str:
    Address.parse(text)
    return text


def _database(text: str) -> str:
    database_url(text, DEFAULT_STATE)
    return text


def _absolute(text: str) -> str:
    if not Path(text).is_absolute():
        raise ValueError(f"{text!r} is not an absolute path")
    return text


def _absolute_if_given(text: str) -> str:
    return text and _absolute(text)


def _advertised(text: str) -> str:
    if text and not is_host_name(text):
        raise ValueError(f"{text!r} is neither a host name nor an IP address")
    return text


def _issuer(text: str) -> str:
    # Authenticator programs split label and account at a colon.
    if not 0 < len(text) <= 64 or ":" in text or not text.isprintable():
        raise ValueError("must be 1 to 64 printable characters without a colon")
    return text


def _https(text: str) -> str:
    try:
        parts = urlsplit(text)
        fits = parts.scheme == "https" and is_host_name(parts.hostname or "") and parts.port != 0
    except ValueError:
        fits = False
    if text and not (fits and text.isprintable() and text.isascii() and " " not in text):
        raise ValueError(f"{text!r} is not a URL that begins with https:// and names a host")
    if text and "@" in urlsplit(text).netloc:
        raise ValueError("no password in the URL: put a token into token_file")
    return text


def _rota_name(text: str) -> str:
    if not _ROTA_NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!a} cannot be the name of a rota: use letters, digits and . _ -")
    return text


class _RotaModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    file: Annotated[str, AfterValidator(_absolute_if_given)] = ""
    url: Annotated[str, AfterValidator(_https)] = ""
    token_file: Annotated[str, AfterValidator(_absolute_if_given)] = ""
    ca_file: Annotated[str, AfterValidator(_absolute_if_given)] = ""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.file) is bool(self.url):
            raise ValueError("a rota has either a file or a url")
        if self.file and (self.token_file or self.ca_file):
            raise ValueError("token_file and ca_file belong to a url")
        return self

    def as_rota(self) -> RotaFile | RotaWebhook:
        if self.file:
            return RotaFile(Path(self.file))
        token_file, ca_file = (Path(text) if text else None for text in (self.token_file, self.ca_file))
        return RotaWebhook(self.url, token_file, ca_file)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    state: Annotated[str, AfterValidator(_absolute)] = str(DEFAULT_STATE)
    database: Annotated[str, AfterValidator(_database)] = ""
    recordings: Annotated[str, AfterValidator(_absolute_if_given)] = ""
    listen: Annotated[str, AfterValidator(_address)] = f"[::]:{DEFAULT_PORT}"
    listen_bootstrap: Annotated[str, AfterValidator(_address)] = f"[::]:{DEFAULT_BOOTSTRAP_PORT}"
    advertise: Annotated[str, AfterValidator(_advertised)] = ""
    issuer: Annotated[str, AfterValidator(_issuer)] = "jit"
    on_call: dict[Annotated[str, AfterValidator(_rota_name)], _RotaModel] = {}
