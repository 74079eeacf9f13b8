"""Where this machine gets Debian packages from, read from its own apt configuration: no mirror is named in the tree."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jit_packaging.errors import BuildError

CODENAMES = {12: "bookworm", 13: "trixie"}
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")


@dataclass(frozen=True, slots=True)
class Mirror:
    """One archive: its address, the suites taken from it, and the key file it is checked against (None: apt's own)."""

    uri: str
    suites: tuple[str, ...]
    keyring: Path | None


def mirror_for(release: int, sources: Path = Path("/etc/apt")) -> Mirror:
    """The archive to debootstrap `release` from; raise `BuildError` if this machine knows none.

    An archive that carries the release itself wins; one that carries another Debian release has the rest as well.
    """
    wanted = CODENAMES[release]
    known = [
        m for m in _all(sources) if set(m.suites) & set(CODENAMES.values()) and m.uri.startswith(("http", "file:"))
    ]
    for mirror in sorted(known, key=lambda m: wanted not in m.suites):
        return mirror
    raise BuildError(f"no Debian archive in {sources}/sources.list or sources.list.d: add one for {wanted}")


def proxy() -> str:
    """apt's HTTP proxy, or an empty text."""
    said = subprocess.run(
        ["apt-config", "shell", "P", "Acquire::http::Proxy"], capture_output=True, text=True, check=False
    ).stdout
    return said.strip().removeprefix("P=").strip("'")


def _all(sources: Path) -> Iterator[Mirror]:
    folder = sources / "sources.list.d"
    for path in [sources / "sources.list", *sorted(folder.glob("*.list"))]:
        if path.is_file():
            yield from _one_line_style(path.read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*.sources")):
        yield from _deb822_style(path.read_text(encoding="utf-8"))


def _one_line_style(text: str) -> Iterator[Mirror]:
    for line in text.splitlines():
        if found := _ONE_LINE.match(line.split("#", 1)[0].strip()):
            options = dict(o.split("=", 1) for o in (found["options"] or "").split() if "=" in o)
            yield Mirror(found["uri"], (found["suite"],), _keyring(options.get("signed-by", "")))


def _deb822_style(text: str) -> Iterator[Mirror]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if line.strip() and not line.startswith("#")]
        # Only the first line of a field matters here: of the fields we read, none but an inline key has more.
        fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line[0] != " ")}
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
            for uri in fields.get("uris", "").split():
                yield Mirror(uri, tuple(fields.get("suites", "").split()), _keyring(fields.get("signed-by", "")))


def _keyring(signed_by: str) -> Path | None:
    return Path(signed_by) if signed_by.startswith("/") else None
