"""What `jitctl` keeps between two runs, and where (XDG base directories).

* `$XDG_CONFIG_HOME/jitctl/config.toml`: the server's bootstrap address and the user name
* `$XDG_STATE_HOME/jitctl/ca.crt`: the pinned CA of that server
* `$XDG_STATE_HOME/jitctl/session.json`: one login: private key, certificate, server

Directories are 0700, files 0600, each replaced as a whole by a rename.  A
session that other people could read or that is not ours is not used.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from .errors import CtlError


@dataclass(frozen=True, slots=True)
class Config:
    """`server` is HOST:PORT of the bootstrap listener; empty when unknown."""

    server: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """`server` is HOST:PORT of the mTLS listener; `expires_at` RFC 3339; PEM texts."""

    server: str
    user: str
    expires_at: str
    key: str
    certificate: str

    @property
    def ends(self) -> datetime:
        return datetime.fromisoformat(self.expires_at)


def _directory(variable: str, fallback: str) -> Path:
    base = os.environ.get(variable, "")
    # The XDG specification: a relative path is invalid and to be ignored.
    return (Path(base) if base.startswith("/") else Path.home() / fallback) / "jitctl"


def config_path() -> Path:
    return _directory("XDG_CONFIG_HOME", ".config") / "config.toml"


def ca_path() -> Path:
    return _directory("XDG_STATE_HOME", ".local/state") / "ca.crt"


def session_path() -> Path:
    return _directory("XDG_STATE_HOME", ".local/state") / "session.json"


def _replace(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(FileNotFoundError):  # left by a killed run that had our process id
            draft.unlink()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CtlError("config", f"cannot write {path}: {error.strerror}") from error


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise CtlError("config", f"{path} is not UTF-8", f"mend or remove {path}") from None
    except OSError as error:
        raise CtlError("config", f"cannot read {path}: {error.strerror}") from error


def read_config() -> Config:
    """The configuration; raise `CtlError` (config) for a file that is not one."""
    path = config_path()
    try:
        found = tomllib.loads(_read(path) or "")
    except tomllib.TOMLDecodeError as error:
        raise CtlError("config", f"{path}: {error}", "mend or remove the file") from None
    unknown = found.keys() - {"server", "user"}
    if unknown or not all(isinstance(value, str) for value in found.values()):
        what = ", ".join(sorted(unknown)) or "a value that is not text"
        raise CtlError("config", f"{path}: {what} is not known here", "the keys are server and user, both text")
    return Config(**found)


def write_config(config: Config) -> None:
    # A JSON string without escapes beyond ASCII is a TOML basic string; names
    # outside the basic plane are written as they are.
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in asdict(config).items() if value]
    _replace(config_path(), "\n".join(lines) + "\n")


def read_ca() -> bytes | None:
    """PEM of the pinned CA, or None before the first login."""
    text = _read(ca_path())
    return None if text is None else text.encode()


def write_ca(pem: bytes) -> None:
    _replace(ca_path(), pem.decode("ascii"))


def read_session() -> Session | None:
    """The stored login, or None; raise `CtlError` (config) when others could have read it."""
    path = session_path()
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CtlError("config", f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise CtlError("config", f"{path} is not a private file of yours", "run 'jitctl logout', then 'jitctl login'")
    try:
        session = Session(**json.loads(_read(path) or ""))
        if not all(isinstance(value, str) for value in asdict(session).values()) or session.ends.tzinfo is None:
            raise ValueError("a field is not what it should be")
    except (ValueError, TypeError):
        raise CtlError("config", f"{path} is damaged", "run 'jitctl login'") from None
    return session


def write_session(session: Session) -> None:
    _replace(session_path(), json.dumps(asdict(session)))


def forget_session() -> bool:
    """Remove the stored login; say whether there was one."""
    return _remove(session_path())


def forget_server() -> None:
    """Remove what was kept about the server: its pinned CA and its address."""
    _remove(ca_path())
    _remove(config_path())


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CtlError("config", f"cannot remove {path}: {error.strerror}") from error
    return True
