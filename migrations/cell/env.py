"""Runs the cells' history on the connection its caller opened."""

from alembic import context

from nova_lite.db.cell_tables import CellBase

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=CellBase.metadata,
    compare_type=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
