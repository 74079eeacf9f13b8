"""What there is to say about the files, each finding at the place in a file that it is about."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable

from jit_server.adapters.policy_yaml.source import Path, Source
from jit_server.domain.policy.finding import Finding, Severity, Spot

MAX_FINDINGS = 1_000
_MAX_SUGGESTIONS = 100
_MAX_COMPARED = 500


class Place:
    """A path within one file, so that a finding can say where it is."""

    __slots__ = ("_source", "file", "name", "path")

    def __init__(self, file: int, name: str, source: Source, path: Path) -> None:
        self.file, self.name, self._source, self.path = file, name, source, path

    def at(self, *path: str | int) -> Place:
        return Place(self.file, self.name, self._source, (*self.path, *path))

    def spot(self, *, key: bool = True) -> Spot:
        position = self._source.find(self.path, key=key)
        return Spot(self.name, position.line, position.column)

    def __str__(self) -> str:
        spot = self.spot()
        return f"{spot.file}:{spot.line}"


class Report:
    """All findings, at most `MAX_FINDINGS` of them one by one."""

    def __init__(self) -> None:
        self._findings: list[tuple[int, Finding]] = []
        self._left_out = 0
        self._suggestions = 0
        self.errors = 0

    def error(self, place: Place, message: str, *, key: bool = False, fix: str = "") -> None:
        """Something is wrong; `key`: with the entry as such, and not with what it holds."""
        spot = place.spot(key=key)
        self.add(place.file, Finding(spot.file, spot.line, spot.column, Severity.ERROR, message, fix=fix))

    def warn(self, place: Place, message: str, *, rule: str, role: str = "", fix: str = "", key: bool = False) -> None:
        """Something is allowed, but seldom meant."""
        spot = place.spot(key=key)
        finding = Finding(spot.file, spot.line, spot.column, Severity.WARNING, message, rule, fix, role)
        self.add(place.file, finding)

    def add(self, file: int, finding: Finding) -> None:
        """`file` counts the files from 0, for the order."""
        self.errors += finding.severity is Severity.ERROR
        if len(self._findings) < MAX_FINDINGS:
            self._findings.append((file, finding))
        else:
            self._left_out += 1

    def unknown(self, what: str, name: str, known: Iterable[str]) -> str:
        """A message about a name that there is not, with the one that was probably meant."""
        close: list[str] = []
        if self._suggestions < _MAX_SUGGESTIONS:
            self._suggestions += 1
            similar = (one for one in known if abs(len(one) - len(name)) <= 2)
            close = difflib.get_close_matches(name[:80], list(itertools.islice(similar, _MAX_COMPARED)), n=1)
        suggestion = f"; did you mean {close[0]}?" if close else ""
        return f"unknown {what} {name[:80]!a}{suggestion}"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """In the order of files, lines and columns."""
        ordered = sorted(self._findings, key=lambda found: (found[0], found[1].line, found[1].column))
        findings = [finding for _, finding in ordered]
        if self._left_out:
            severity = Severity.ERROR if self.errors else Severity.WARNING
            findings.append(Finding("", 0, 0, severity, f"and {self._left_out} more, which are not told one by one"))
        return tuple(findings)
