"""The store on SQLite and PostgreSQL, through SQLAlchemy Core: one schema, one code."""

from jit_server.adapters.sql.store import SqlStore
from jit_server.adapters.sql.upgrade import migrate

__all__ = ["SqlStore", "migrate"]
