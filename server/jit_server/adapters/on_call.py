"""Who is on call: rotas kept in a file, or told by a web service (`[on_call.ROTA]` of server.toml).

Doubt denies (S6): a rota that cannot be read, or whose last answer is too old, names nobody, and the journal says why,
once each time the reason changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from jit_server.adapters.policy_yaml import source as yaml_source
from jit_server.domain.identity import check_user_name
from jit_server.errors import Invalid
from jit_server.ports import OnDuty

MAX_BYTES = 1024 * 1024
MAX_PEOPLE = 10_000

_log = logging.getLogger(__name__)


class RotaError(Exception):
    """Why a rota cannot be told; one line."""


class Rota(Protocol):
    def people(self) -> frozenset[str]:
        """The names of those who are on call now, from what is known at once.  Raises `RotaError`."""

    async def refresh(self) -> None:
        """Ask anew if it is time to; what goes wrong is told by `people`."""


class Rotas:
    """All rotas of the installation; `refresh` is to be called every few seconds."""

    def __init__(self, rotas: Mapping[str, Rota]) -> None:
        self._rotas = rotas
        self._problems: dict[str, str] = {}

    def of(self, name: str) -> OnDuty:
        told = {rota: people for rota in self._rotas if (people := self._people(rota)) is not None}
        return OnDuty(frozenset(rota for rota, people in told.items() if name in people), frozenset(told))

    async def refresh(self) -> None:
        await asyncio.gather(*(rota.refresh() for rota in self._rotas.values()))

    def _people(self, name: str) -> frozenset[str] | None:
        try:
            people = self._rotas[name].people()
        except RotaError as error:
            if self._problems.get(name) != str(error):
                _log.warning("A rota cannot be asked and names nobody", extra={"rota": name, "error": str(error)})
            self._problems[name] = str(error)
            return None
        if self._problems.pop(name, None) is not None:
            _log.info("A rota can be asked again", extra={"rota": name})
        return people


class FileRota:
    """A YAML or JSON file of rotas, each a list of people; read again whenever it changes."""

    def __init__(self, path: Path, rota: str) -> None:
        self._path = path
        self._rota = rota
        self._seen: tuple[int, int, int] | None = None
        self._people: frozenset[str] | RotaError = frozenset()

    def people(self) -> frozenset[str]:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._people = self._read()
                self._seen = seen
        except OSError as error:
            raise RotaError(f"{self._path}: {error.strerror}") from None
        if isinstance(self._people, RotaError):
            # Without the way it went before, which grows with each time it is raised, and keeps what it passed.
            raise self._people.with_traceback(None)
        return self._people

    async def refresh(self) -> None:
        """Nothing: the file is looked at each time it is asked."""

    def _read(self) -> frozenset[str] | RotaError:
        with self._path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            return RotaError(f"{self._path} has more than {MAX_BYTES} bytes")
        try:
            source = yaml_source.read(content.decode("utf-8"))
        except UnicodeDecodeError:
            return RotaError(f"{self._path} is not UTF-8")
        if source.problems:
            first = source.problems[0]
            return RotaError(f"{self._path}:{first.position.line}:{first.position.column}: {first.message}")
        if not isinstance(source.root, dict) or self._rota not in source.root:
            return RotaError(f"{self._path} has no rota {self._rota}")
        try:
            return names(source.root[self._rota])
        except RotaError as error:
            return RotaError(f"{self._path}: {error}")


def names(untrusted: object) -> frozenset[str]:
    """The people of a rota, a list of names; raises `RotaError`."""
    if not isinstance(untrusted, list) or len(untrusted) > MAX_PEOPLE:
        raise RotaError(f"a rota is a list of at most {MAX_PEOPLE} names")
    for name in untrusted:
        if not isinstance(name, str):
            raise RotaError("a rota names something that is no text")
        try:
            check_user_name(name)
        except Invalid as error:
            raise RotaError(str(error)) from None
    return frozenset(untrusted)
