"""Runs the API history on the connection its caller opened."""

from alembic import context

from nova_lite.db.api_tables import ApiBase

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=ApiBase.metadata,
    compare_type=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
