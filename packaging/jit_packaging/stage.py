"""The file tree of one package, as it will lie on the host; the same bytes from the same sources."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from jit_packaging.errors import BuildError
from jit_packaging.inside import run_inside
from jit_packaging.packages import MODES, PACKAGING, REPOSITORY, SHARED_CODE, SHARED_MEMBER, Package

_LAUNCHER = """#!{venv}/bin/python -I
import sys

from {module} import {function}

sys.exit({function}())
"""

_STDLIB_MAIN = '''"""Runs {code} with nothing but the standard library: python3 -I -S /{folder}."""

from {code}.main import main

raise SystemExit(main())
'''


def version(package: Package) -> str:
    """The version of the member's pyproject.toml."""
    text = (REPOSITORY / package.member / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def sources(package: Package) -> Iterator[Path]:
    """Every file of the repository that the package is made from, except its requirements."""
    for folder in (*_code_folders(package).values(), package.folder, Path(__file__).parent):
        yield from _files(folder)
    yield from (REPOSITORY / name for name in package.files)
    yield from (page for name in package.man_pages if (page := _man_source(name)).exists())
    yield from (REPOSITORY / name for name in ("CHANGELOG.md", "LICENSE"))
    yield REPOSITORY / package.member / "pyproject.toml"


def stage(package: Package, dependencies: Path, root: Path, target: Path, *, epoch: int) -> None:
    """Fill the empty folder `target`; `root` is the build root whose Python compiles and whose scdoc renders."""
    venv = target / package.venv.lstrip("/")
    shutil.copytree(dependencies / "venv", venv, symlinks=True)
    (site_packages,) = venv.glob("lib/python3.*/site-packages")
    _copy_code(package, site_packages, target)
    _copy_files(package, target)
    _documents(package, target)
    _compile(package, root, target, site_packages, epoch=epoch)
    for path in [*target.rglob("*"), target]:
        if not path.is_symlink():
            name = str(path.relative_to(target))
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(MODES.get(name, 0o755 if executable else 0o644))
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _code_folders(package: Package) -> dict[str, Path]:
    folders = {code: REPOSITORY / package.member / code for code in (*package.code, *package.stdlib_programs.values())}
    return folders | {SHARED_CODE: REPOSITORY / SHARED_MEMBER / SHARED_CODE}


def _copy_code(package: Package, site_packages: Path, target: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.pyi", "*.proto")
    folders = _code_folders(package)
    for code in (*package.code, SHARED_CODE):
        shutil.copytree(folders[code], site_packages / code, ignore=ignore)
    # So that importlib.metadata knows the version, as after any other installation.
    record = site_packages / f"{package.name.replace('-', '_')}-{version(package)}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {version(package)}\n")
    for command, entry in package.launchers.items():
        module, function = entry.split(":")
        text = _LAUNCHER.format(venv=package.venv, module=module, function=function)
        _write(target / command, text, executable=True)
    for folder, code in package.stdlib_programs.items():
        shutil.copytree(folders[code], target / folder / code, ignore=ignore)
        _write(target / folder / "__main__.py", _STDLIB_MAIN.format(code=code, folder=folder))


def _copy_files(package: Package, target: Path) -> None:
    shutil.copytree(package.folder / "root", target, dirs_exist_ok=True, symlinks=True)
    for source, installed in package.files.items():
        destination = target / installed
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / source, destination)


def _documents(package: Package, target: Path) -> None:
    folder = target / "usr/share/doc" / package.name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / "LICENSE", folder / "copyright")
    changes = (REPOSITORY / "CHANGELOG.md").read_bytes()
    (folder / "changelog.gz").write_bytes(gzip.compress(changes, mtime=0))


def _compile(package: Package, root: Path, target: Path, site_packages: Path, *, epoch: int) -> None:
    """Byte code that never looks at time stamps, man pages, and completions that a command prints itself."""
    folders = [site_packages / code for code in (*package.code, SHARED_CODE)]
    folders += [target / folder for folder in package.stdlib_programs]
    inside = ["/stage/" + str(folder.relative_to(target)) for folder in folders]
    run_inside(
        root,
        {target: "/stage"},
        ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", "/stage", *inside],
        epoch=epoch,
    )
    for name in package.man_pages:
        if not _man_source(name).exists():
            raise BuildError(f"packaging/man/{name}.scd is missing; {package.name} installs it")
        page = target / "usr/share/man" / f"man{name[-1]}" / f"{name}.gz"
        page.parent.mkdir(parents=True, exist_ok=True)
        text = run_inside(root, {PACKAGING / "man": "/man"}, ["sh", "-c", f"exec scdoc < /man/{name}.scd"], epoch=epoch)
        page.write_bytes(gzip.compress(text.encode(), mtime=0))
    for command in package.self_completing:
        for shell, place in (
            ("bash", f"usr/share/bash-completion/completions/{command}"),
            ("zsh", f"usr/share/zsh/vendor-completions/_{command}"),
            ("fish", f"usr/share/fish/vendor_completions.d/{command}.fish"),
        ):
            # Bound where it will lie, so that the launcher finds its environment.
            binds = {target / "usr/lib" / package.name: f"/usr/lib/{package.name}", target: "/stage"}
            text = run_inside(root, binds, [f"/stage/usr/bin/{command}", "completion", shell], epoch=epoch)
            _write(target / place, text)


def _man_source(name: str) -> Path:
    return PACKAGING / "man" / f"{name}.scd"


def _write(path: Path, text: str, *, executable: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755 if executable else 0o644)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if "__pycache__" not in path.parts and (path.is_file() or path.is_symlink()):
            yield path


def installed_kib(target: Path) -> int:
    """What the package takes on a disk, for its Installed-Size."""
    said = subprocess.run(["du", "-sk", str(target)], capture_output=True, text=True, check=True).stdout
    return int(said.split()[0])
