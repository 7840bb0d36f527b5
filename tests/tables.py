"""Databases with the tables of the models: in SQLite as copies of one that was made before, for they are many."""

import functools
import tempfile
from pathlib import Path

import sqlalchemy as sa

from nova_lite.storage import Database


def make_tables(database: Database, metadata: sa.MetaData) -> None:
    """Make the tables of ``metadata``, and no rows, in an empty database."""
    url = database.engine.url
    if url.get_backend_name() != "sqlite":
        metadata.create_all(database.engine)
        return
    database.close()
    assert url.database is not None
    Path(url.database).write_bytes(_made(metadata))


@functools.cache
def _made(metadata: sa.MetaData) -> bytes:
    """Return the file of a SQLite database with these tables."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "made.sqlite"
        made = Database(f"sqlite:///{path}")
        metadata.create_all(made.engine)
        made.close()
        return path.read_bytes()
