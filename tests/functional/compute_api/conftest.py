"""Fixtures of the Compute API's stories."""

import uuid as uuids
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nova_lite.clients.volumes import Volumes
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.testing import block_storage
from nova_lite.testing.block_storage import BlockStorage
from tests.functional import suite
from tests.functional.compute_api import fakes, old_volumes
from tests.functional.compute_api.cloud import Client, Cloud
from tests.functional.compute_api.old_volumes import OldVolumes


@pytest.fixture(scope="session", autouse=True)
def web_server() -> Iterator[None]:
    """Serve every cloud by the server that NOVA_LITE_SUITE names."""
    kind = suite.chosen()
    if kind == suite.SERVERS[0]:
        yield
        return
    with fakes.serving(kind) as Cloud.server:
        yield
    Cloud.server = None


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path)
    yield made
    made.close()


@pytest.fixture
def make_cloud(tmp_path: Path) -> Iterator[Callable[..., Cloud]]:
    """Makes a cloud with options of its own, by group: ``make_cloud(api={"max_limit": 2})``."""
    made: list[Cloud] = []

    def make(**options: Mapping[str, Any]) -> Cloud:
        directory = tmp_path / f"made{len(made)}"
        directory.mkdir()
        made.append(Cloud(directory, options=options))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()


@pytest.fixture
def client(cloud: Cloud) -> Client:
    return cloud.client()


@pytest.fixture
def admin(cloud: Cloud) -> Client:
    return cloud.client("admin:admins")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockStorage]:
    directory = tmp_path_factory.mktemp("volumes")
    with block_storage.running(directory, ImageDirectory(directory / "images")) as service:
        yield service


@pytest.fixture
def storage(running: BlockStorage) -> Iterator[BlockStorage]:
    """The block storage service of a module, without the faults of the test before."""
    yield running
    running.faults.clear()


@pytest.fixture
def volume_cloud(tmp_path: Path, storage: BlockStorage) -> Iterator[Cloud]:
    """A cloud that has ``storage`` for its block storage service."""
    made = Cloud(tmp_path, volumes=Volumes(storage.configuration(http_retries=0)))
    yield made
    made.close()


@pytest.fixture(scope="module")
def volumes_of_old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldVolumes]:
    with old_volumes.running(tmp_path_factory.mktemp("cloud")) as both:
        yield both


@pytest.fixture
def project() -> str:
    """A project of the test's own, so that it sees its own volumes only."""
    return uuids.uuid4().hex


@pytest.fixture
def old(volumes_of_old: OldVolumes, project: str) -> Client:
    return volumes_of_old.cloud.client(f"alice:{project}", version="2.35")
