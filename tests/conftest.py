"""What every test has: databases in files that wait long for each other, never for a disk; the same examples always.

A fifth of the tests' time went into looking through what is imported, again and again, for what nobody needs any more.
"""

import gc
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from nova_lite import storage

#: Objects made, beyond those that went, before the youngest are looked through for rubbish.
_GC_THRESHOLD = 20_000


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


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of all looks for rubbish, and look more seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 10, 10)
