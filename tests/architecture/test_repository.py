"""What must never stand in the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
REGISTRY = re.compile(r"https?://[^\s/]*(?:debian|pypi|pythonhosted|npmjs|npm)[^\s]*")


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_the_host_of_a_package_registry() -> None:
    """Mirrors come from the configuration of the machine that builds."""
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked()
        if (text := _text(path)) is not None
        for match in REGISTRY.finditer(text)
    ]
    assert found == []


def test_every_locked_requirement_has_a_hash() -> None:
    for path in (ROOT / "packaging" / "requirements").glob("*.txt"):
        pins = re.findall(
            r"^[a-z0-9._-]+==.*(?:\n .*)*", path.read_text(encoding="utf-8"), re.MULTILINE | re.IGNORECASE
        )
        assert pins
        assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_every_test_the_threat_table_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)(?:\.py)?`", (ROOT / "SECURITY.md").read_text(encoding="utf-8")))
    files = list((ROOT / "tests").rglob("test_*.py"))
    there = {path.stem for path in files}
    for path in files:
        there |= set(re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")))
    assert named
    assert named - there == set()


def test_make_test_runs_every_level() -> None:
    levels = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    done = subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"--require-level (\w+)", done.stdout)) == levels
    assert set(re.findall(r" tests/(\w+)", done.stdout)) >= levels


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
