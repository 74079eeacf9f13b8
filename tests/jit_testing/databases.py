"""Databases for tests: a SQLite file, and databases of a private PostgreSQL cluster that only a Unix socket leads to.

PostgreSQL is required (`apt-get install postgresql`): without it tests fail, they never skip.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jit_server.adapters.sql import migrate


@dataclass(slots=True)
class SqliteFiles:
    """Copies of one migrated file."""

    directory: Path
    _template: Path | None = None

    def new(self, directory: Path) -> str:
        """Return the URL of a fresh, migrated database in that directory."""
        if self._template is None:
            self._template = self.directory / "template.db"
            asyncio.run(migrate(sqlite_url(self._template)))
        return sqlite_url(Path(shutil.copy(self._template, directory / "jit.db")))


def sqlite_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@dataclass(slots=True)
class PostgresqlCluster:
    """A running cluster; `new` makes databases from one migrated template."""

    binaries: Path
    directory: Path
    _count: int = 0
    _as_owner: Sequence[str] = field(default_factory=tuple)

    def start(self) -> None:
        data, options = self.directory / "data", f"-k {self.directory} -c listen_addresses= -c fsync=off"
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "-D", str(data))
        self._run("pg_ctl", "-w", "-l", str(self.directory / "log"), "-D", str(data), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-m", "immediate", "-D", str(self.directory / "data"), "stop")

    def new(self) -> str:
        """Return the URL of a fresh, migrated database."""
        if self._count == 0:
            self._run("createdb", "-h", str(self.directory), "-U", "postgres", "template_jit")
            asyncio.run(migrate(self._url("template_jit")))
        self._count += 1
        name = f"jit_{self._count}"
        self._run("createdb", "-h", str(self.directory), "-U", "postgres", "-T", "template_jit", name)
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.directory}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_owner, str(self.binaries / program), *arguments]
        # The server inherits what it is started with, so nothing may wait for the end of its output.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
            )
            output.seek(0)
            if done.returncode != 0:
                raise RuntimeError(f"{program} failed: {output.read().decode(errors='replace')[-2000:]}")


@contextmanager
def postgresql_cluster() -> Iterator[PostgresqlCluster]:
    """A cluster for as long as the block runs; raises if PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise RuntimeError("PostgreSQL is not installed, and the contract suite needs it: apt-get install postgresql")
    directory = Path(tempfile.mkdtemp(prefix="jit-pg-"))
    as_owner: tuple[str, ...] = ()
    if os.geteuid() == 0:  # initdb refuses root
        owner = pwd.getpwnam("postgres")
        os.chown(directory, owner.pw_uid, owner.pw_gid)
        as_owner = ("runuser", "-u", "postgres", "--")
    cluster = PostgresqlCluster(found[-1].parent, directory, _as_owner=as_owner)
    try:
        cluster.start()
        yield cluster
    finally:
        if (directory / "data" / "postmaster.pid").exists():
            cluster.stop()
        shutil.rmtree(directory)
