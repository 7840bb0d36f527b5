"""What every test has: databases in files that wait long for each other, never for a disk; the same examples always.

A fifth of the tests' time went into looking through what is imported, again and again, for what nobody needs any more,
and as much into compiling the same statements for each of the many databases.
"""

import gc
import tempfile
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from sqlalchemy.util import LRUCache

from nova_lite import storage
from nova_lite.storage import Database

#: Objects made, beyond those that went, before the youngest are looked through for rubbish.
_GC_THRESHOLD = 20_000
#: Compiled statements that are kept at most.
_STATEMENTS = 10_000


def pytest_configure(config: pytest.Config) -> None:
    """Let databases outlive a crash of their process, not of the machine; let Hypothesis not look at the clock."""
    settings.register_profile(
        "steady",
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    settings.load_profile("steady")
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    tune = storage._tune_sqlite

    def tune_for_tests(connection: Any, record: object) -> None:
        tune(connection, record)
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA busy_timeout=480000")

    patch.setattr(storage, "_tune_sqlite", tune_for_tests)
    _share_statements(patch)


def _share_statements(patch: pytest.MonkeyPatch) -> None:
    """Have statements compiled once for all SQLite databases, which differ in nothing but their files."""
    make_engine = Database._new_engine
    with tempfile.TemporaryDirectory() as directory:
        model = make_engine(Database(f"sqlite:///{directory}/model.sqlite"))
        model.connect().close()  # so that its dialect knows what it learns from a connection
        model.dispose()
    dialect, compiled = model.dialect, LRUCache[Any, Any](_STATEMENTS)

    def make_alike(database: Database) -> sa.Engine:
        engine = make_engine(database)
        if database.is_sqlite:
            engine.dialect = engine.pool._dialect = dialect
            engine._compiled_cache = compiled
        return engine

    patch.setattr(Database, "_new_engine", make_alike)


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of all looks for rubbish, and look more seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 10, 10)
