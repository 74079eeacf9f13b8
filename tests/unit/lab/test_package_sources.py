"""Where packages come from: the machine's own apt sources, in both of apt's styles."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[3] / "packaging"
ASK = """
import dataclasses, json, pathlib, sys
sys.path.insert(0, sys.argv[1])
from jit_packaging.apt_sources import mirror_for
from jit_packaging.errors import BuildError
try:
    print(json.dumps(dataclasses.astuple(mirror_for(int(sys.argv[3]), pathlib.Path(sys.argv[2]))), default=str))
except BuildError as failure:
    print(json.dumps(str(failure)))
"""


def mirror(sources: Path, release: int = 12) -> object:
    said = subprocess.run(
        ["/usr/bin/python3", "-c", ASK, str(PACKAGING), str(sources), str(release)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(said.stdout)


@pytest.mark.parametrize(
    "text",
    [
        "deb http://mirror.test/debian bookworm main\n",
        "# a comment\n\ndeb-src http://mirror.test/debian sid main\ndeb  http://mirror.test/debian bookworm main # x\n",
    ],
)
def test_the_one_line_style_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.list").write_text(text)
    assert mirror(tmp_path) == ["http://mirror.test/debian", ["bookworm"], None]


def test_options_of_the_one_line_style_are_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    line = "deb [arch=amd64 signed-by=/etc/keys/d.gpg] https://mirror.test/d bookworm main\n"
    (tmp_path / "sources.list.d" / "debian.list").write_text(line)
    assert mirror(tmp_path) == ["https://mirror.test/d", ["bookworm"], "/etc/keys/d.gpg"]


def test_the_deb822_style_is_read_and_what_is_disabled_is_not(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "Enabled: no\nTypes: deb\nURIs: http://off.test/debian\nSuites: bookworm\nComponents: main\n\n"
        "# The archive\nTypes: deb deb-src\nURIs: http://mirror.test/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n"
    )
    assert mirror(tmp_path) == [
        "http://mirror.test/debian",
        ["bookworm", "bookworm-updates"],
        "/usr/share/keyrings/k.gpg",
    ]


def test_an_archive_of_another_release_serves_when_there_is_none_of_this_one(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://old.test/debian bookworm main\n")
    assert mirror(tmp_path, 13) == ["http://old.test/debian", ["bookworm"], None]
    (tmp_path / "sources.list").write_text(
        "deb http://old.test/debian bookworm main\ndeb http://new.test/debian trixie main\n"
    )
    assert mirror(tmp_path, 13) == ["http://new.test/debian", ["trixie"], None]


def test_a_machine_without_a_debian_archive_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://mirror.test/ubuntu noble main\ndeb cdrom:[x]/ bookworm main\n")
    assert "add one for bookworm" in str(mirror(tmp_path))
