"""One .deb from a staged tree: control file, maintainer scripts, conffiles, checksums, dpkg-deb."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from string import Template

from jit_packaging.cache import cached, digest, digest_of_files
from jit_packaging.debian_root import debian_root
from jit_packaging.dependencies import PYTHON, environment
from jit_packaging.errors import BuildError
from jit_packaging.packages import REPOSITORY, Package
from jit_packaging.stage import installed_kib, sources, stage, version

_SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


def build_package(package: Package, release: int, out: Path) -> Path:
    """Build, or take from the cache, and copy to `out`; the path of the copy."""
    missing = [path for path in sources(package) if not path.exists()]
    if missing:
        raise BuildError(f"{package.name} needs {missing[0].relative_to(REPOSITORY)}, which is not there")
    root = debian_root(release, "build")
    epoch = source_date_epoch()
    files = digest_of_files(sources(package), REPOSITORY)
    key = digest(files, package.requirements.read_bytes(), root.name, str(epoch))
    name = f"packages/{package.name}-{key}"
    (built,) = cached(name, lambda draft: _build(package, release, root, draft, epoch)).glob("*.deb")
    return _publish(built, out, f"{package.name}_*+deb{release}_*.deb")


def _publish(built: Path, out: Path, replaced: str) -> Path:
    """Copy to `out`, whole at every moment, and take away what the pattern finds beside it."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=out, prefix=".", delete=False) as draft:
        draft.write(built.read_bytes())
    Path(draft.name).chmod(0o644)
    final = Path(draft.name).rename(out / built.name)
    for old in set(out.glob(replaced)) - {final}:
        old.unlink(missing_ok=True)
    return final


def _build(package: Package, release: int, root: Path, draft: Path, epoch: int) -> None:
    dependencies = environment(package, release, epoch=epoch)
    machine = run(["dpkg", "--print-architecture"]).strip()
    full_version = f"{version(package)}+deb{release}"
    # In the cache, not in /tmp, which may be a small file system in memory.
    with tempfile.TemporaryDirectory(dir=draft.parent, prefix="stage-") as folder:
        target = Path(folder) / "tree"
        target.mkdir(mode=0o755)
        stage(package, dependencies, root, target, epoch=epoch)
        _control(package, release, full_version, machine, target)
        for path in (target / "DEBIAN").rglob("*"):
            os.utime(path, (epoch, epoch))
        # zstd: every dpkg that Debian 12 and later ship unpacks it, several times faster than xz.
        run(
            ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z9", "--build", str(target),
             str(draft / f"{package.name}_{full_version}_{machine}.deb")],
            SOURCE_DATE_EPOCH=str(epoch),
        )  # fmt: skip


def _control(package: Package, release: int, full_version: str, machine: str, target: Path) -> None:
    folder = target / "DEBIAN"
    kib = installed_kib(target)
    checksums = [
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(target)}\n"
        for path in sorted(target.rglob("*"))
        if path.is_file() and not path.is_symlink()
    ]
    folder.mkdir(mode=0o755)
    major, minor = PYTHON[release].split(".")
    template = Template((package.folder / "debian/control").read_text(encoding="utf-8"))
    control = template.substitute(
        version=full_version, architecture=machine, installed_size=kib,
        python=f"{major}.{minor}", next_python=f"{major}.{int(minor) + 1}",
    )  # fmt: skip
    (folder / "control").write_text(control, encoding="utf-8")
    (folder / "md5sums").write_text("".join(checksums), encoding="utf-8")
    for name in (*_SCRIPTS, "conffiles"):
        source = package.folder / "debian" / name
        if source.exists():
            shutil.copy(source, folder / name)
            (folder / name).chmod(0o755 if name in _SCRIPTS else 0o644)


def source_date_epoch() -> int:
    """The time of the last commit, so that the same sources give the same bytes; zero outside a git checkout."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    done = subprocess.run(
        ["git", "-C", str(REPOSITORY), "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False
    )
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else 0


def run(command: list[str], **environment_extra: str) -> str:
    """Standard output of `command`; raise `BuildError` with what it said if it fails."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C.UTF-8"} | environment_extra
    )
    if done.returncode:
        raise BuildError(f"{command[0]} failed with status {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout
