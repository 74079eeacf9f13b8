"""Rotas in files: who is on call, and nobody where the file does not say so (S6)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jit_server.adapters.on_call import FileRota, RotaError, Rotas


def write(file: Path, text: str) -> None:
    """Another inode each time, as editors do."""
    draft = file.with_suffix(".new")
    draft.write_text(text)
    os.replace(draft, file)


def test_a_file_names_people_and_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "rotas.yaml"
    write(file, "dba: [alice, bob]\nweb: []\n")
    rotas = Rotas({"dba": FileRota(file, "dba"), "web": FileRota(file, "web")})
    assert rotas.of("alice").naming == {"dba"}
    assert rotas.of("carol").naming == frozenset()
    assert rotas.of("carol").heard == {"dba", "web"}
    write(file, '{"dba": ["bob"], "web": ["alice"]}')
    assert rotas.of("alice").naming == {"web"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        ("", "has no rota dba"),
        ("web: [alice]\n", "has no rota dba"),
        ("dba: alice\n", "a rota is a list"),
        ("dba: [alice, 5]\n", "no text"),
        ("dba: ['al ice']\n", "cannot be a person's name"),
        ("dba: [alice\n", ":2:1:"),
        ("dba: &a [alice]\nweb: *a\n", "anchor"),
        ("\x00", "not allowed here"),
        ("dba: [alice]\n#" + "x" * 1024 * 1024, "more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_wrong_names_nobody_not_even_those_of_before(
    tmp_path: Path, text: str | None, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "rotas.yaml"
    write(file, "dba: [alice]\n")
    rota = FileRota(file, "dba")
    rotas = Rotas({"dba": rota})
    assert rotas.of("alice").naming == {"dba"}
    if text is None:
        file.unlink()
    else:
        write(file, text)
    for _ in range(3):
        assert (rotas.of("alice").naming, rotas.of("alice").heard) == (frozenset(), frozenset())
    with pytest.raises(RotaError, match=why):
        rota.people()
    assert [record.message for record in caplog.records] == ["A rota cannot be asked and names nobody"]


def test_asking_a_rota_that_is_wrong_keeps_nothing_of_who_asked(tmp_path: Path) -> None:
    file = tmp_path / "rotas.yaml"
    write(file, "other: [alice]\n")
    rota = FileRota(file, "dba")
    depths = []
    for _ in range(3):
        with pytest.raises(RotaError) as caught:
            rota.people()
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1
