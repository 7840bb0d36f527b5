"""Fixtures of the Compute API's stories."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.compute_api.cloud import Client, Cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(cloud: Cloud) -> Client:
    return cloud.client()


@pytest.fixture
def admin(cloud: Cloud) -> Client:
    return cloud.client("admin:admins")
