"""Runs migrations on the connection, and in the transaction, that `upgrade.py` holds."""

from alembic import context

from jit_server.adapters.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
