"""Volumes of the embedded block storage service, as old clients of this API reach them: for its stories."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova_lite.clients.volumes import Volumes
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.testing import block_storage
from nova_lite.testing.block_storage import BlockStorage
from nova_lite.testing.cloud import eventually
from tests.functional.compute_api.cloud import Client, Cloud


@dataclass(frozen=True)
class OldVolumes:
    """The API and the block storage behind it."""

    cloud: Cloud
    storage: BlockStorage


@contextlib.contextmanager
def running(directory: Path) -> Iterator[OldVolumes]:
    """Run both while the block lasts."""
    with block_storage.running(directory, ImageDirectory(directory / "images")) as storage:
        cloud = Cloud(directory, volumes=Volumes(storage.configuration(http_retries=0)))
        try:
            yield OldVolumes(cloud, storage)
        finally:
            cloud.close()


def reached(client: Client, path: str, status: str) -> Any:
    """Return a volume or snapshot as soon as it has this status."""

    def seen() -> Any:
        [found] = client.get(path).json.values()
        return found if found["status"] == status else None

    return eventually(seen, f"{path} is {status}")


def await_gone(client: Client, path: str) -> None:
    """Return when there is no such thing any more."""
    eventually(lambda: client.get(path).status_code == 404 or None, f"{path} is gone")
