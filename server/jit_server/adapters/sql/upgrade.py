"""Bringing a database to the schema of this code, in one transaction, however many servers start at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from jit_server.adapters.sql import engine as engines
from jit_server.adapters.sql import triggers
from jit_server.errors import Unavailable

_LOCK = 0x6A69746D  # "jitm": the advisory lock of whoever migrates


async def migrate(url: str) -> None:
    """Create or upgrade the schema and its triggers.

    Raises `Unavailable` if the database does not answer or was upgraded by a newer server.
    """
    engine = engines.writer(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except (SQLAlchemyError, CommandError) as error:
        raise Unavailable(f"the database cannot be brought to this version's schema: {first_line(error)}") from error
    finally:
        await engine.dispose()


def config(connection: Connection) -> Config:
    """Return what Alembic needs to work on this connection, without a file."""
    made = Config(attributes={"connection": connection})
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return made


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    command.upgrade(config(connection), "head")
    triggers.install(connection)


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
