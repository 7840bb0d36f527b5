"""What every test has: databases in files that outlive a crash of their process, not of the machine."""

from typing import Any

import pytest

from nova_lite import storage


def pytest_configure(config: pytest.Config) -> None:
    """Wait for no disk: a test makes several databases and throws them away."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    tune = storage._tune_sqlite

    def tune_for_tests(connection: Any, record: object) -> None:
        tune(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    patch.setattr(storage, "_tune_sqlite", tune_for_tests)
