"""People are told which line of which file it is (DESIGN 5); what the line means stays sudo's own parser's to say."""

import pytest

from jit_enforcer import parseback, probe, sudoersfiles
from jit_enforcer.errors import Unsafe, Unsuitable
from jit_enforcer.paths import Paths


def write(paths: Paths, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = paths.root / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


MAIN = {"/etc/sudoers": "root ALL=ALL\n@includedir /etc/sudoers.d\n"}
OURS = {"/etc/sudoers.d/zzz-jit": "# ours\n@includedir /run/jit/sudoers.d\n"}


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({}, ""),
        ({"/etc/sudoers.d/zzzz": "# nothing\n\n"}, ""),
        ({"/etc/sudoers.d/zzzz.bak": "bob ALL=ALL\n", "/etc/sudoers.d/zzzz~": "bob ALL=ALL\n"}, ""),
        ({"/etc/sudoers.d/aaa": "bob ALL=ALL\n"}, ""),
        ({"/etc/sudoers.d/zzzz": "# one\nbob ALL=\\\n  ALL\n"}, "/etc/sudoers.d/zzzz:2"),
        ({"/etc/sudoers.d/zzzz": "#1001 ALL=ALL\n"}, "/etc/sudoers.d/zzzz:1"),
        ({"/etc/sudoers.d/zzzz": "bob ALL=ALL \\"}, "/etc/sudoers.d/zzzz:1"),
        ({"/etc/sudoers.d/zzzz": '@include "/etc/my rules"\n', "/etc/my rules": "\nbob ALL=ALL\n"}, "/etc/my rules:2"),
        ({"/etc/sudoers.d/zzzz": "@include my\\ rules\n", "/etc/sudoers.d/my rules": "a"}, "/etc/sudoers.d/my rules:1"),
        ({"/etc/sudoers.d/zzzz\x1b": "bob ALL=ALL\n"}, "/etc/sudoers.d/zzzz\\x1b:1"),
        ({"/etc/sudoers": "#includedir /etc/sudoers.d\n\nbob ALL=ALL\n"}, "/etc/sudoers:3"),
    ],
)
def test_the_first_line_that_comes_after_ours_is_named(paths: Paths, files: dict[str, str], place: str) -> None:
    write(paths, MAIN | OURS | files)
    said = sudoersfiles.what_comes_later(paths)
    assert said.partition(" comes after")[0] == place


def test_a_sudoers_that_does_not_read_ours_is_told_so(paths: Paths) -> None:
    write(paths, MAIN | OURS | {"/etc/sudoers": "root ALL=ALL\n"})
    assert sudoersfiles.what_comes_later(paths).startswith("sudo does not read /run/jit/sudoers.d")


@pytest.mark.parametrize("text", ["@include /etc/missing\n", "@include /etc/sudoers\n"])
def test_what_cannot_be_read_to_its_end_is_doubt(paths: Paths, text: str) -> None:
    write(paths, {"/etc/sudoers": text})
    with pytest.raises(Unsafe):
        sudoersfiles.what_comes_later(paths)


def test_the_defaults_that_loosen_ours_are_named_bound_ones_first(paths: Paths) -> None:
    write(paths, MAIN | OURS | {"/etc/sudoers.d/a": "Defaults use_pty\n", "/etc/sudoers.d/b": "Defaults !use_ptyx\n"})
    assert sudoersfiles.place_of(paths, "use_pty") == " in /etc/sudoers.d/a:1"
    write(paths, {"/etc/sudoers.d/Z": "\nDefaults>root env_reset, \\\n !use_pty\n"})
    assert sudoersfiles.place_of(paths, "use_pty") == " in /etc/sudoers.d/Z:2"
    assert sudoersfiles.place_of(paths, "log_output") == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Defaults!/usr/bin/id !log_output", "change log_output"),
        ("Defaults>root ignore_logfile_errors", "change ignore_logfile_errors"),
        ("Defaults log_servers+=192.0.2.1", "add to log_servers"),
    ],
)
def test_what_loosens_ours_is_refused_with_its_place(paths: Paths, line: str, said: str) -> None:
    paths.sudoers.write_text(f"root ALL=ALL\n\n{line}\n@includedir {paths.dropins}\n")
    with pytest.raises(Unsuitable, match=f"Defaults in /etc/sudoers:3 {said}"):
        parseback.check_whole(paths, defaults=[], rules=[], run_as_names={"root"}, run_as_uids={0})


def test_what_was_mended_is_seen_at_once(paths: Paths) -> None:
    write(paths, MAIN | OURS)
    host = probe.Probe(paths)

    def problems() -> list[str]:
        return [problem for problem in host.problems() if "sudoers" in problem]

    # sudo reads its own absolute path: here the real host's folder, so the main file says it all.
    write(paths, {"/etc/sudoers": f"root ALL=ALL\n@includedir {paths.dropins}\n"})
    assert problems() == []
    write(paths, {"/etc/sudoers": f"root ALL=ALL\n@includedir {paths.dropins}\nbob ALL=ALL\n"})
    assert problems() == ["/etc/sudoers:3 comes after the rules of grants: move it before @includedir"]
    write(paths, {"/etc/sudoers": f"root ALL=ALL\n@includedir {paths.dropins}\n"})
    assert problems() == []
