"""The embedded block storage service keeps the contract that a real Cinder keeps."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from nova_lite.clients.volumes import Volumes
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.testing import block_storage
from tests.contract.volumes.suite import Storage, VolumesSuite


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    directory = tmp_path_factory.mktemp("volumes")
    source = directory / "source"
    source.write_bytes(b"content " * 1000)
    images = ImageDirectory(directory / "images")
    image = images.add(source, "small")
    with block_storage.running(directory / "volumes", images) as service:

        def call(method: str, path: str, body: Any) -> Any:
            request = urllib.request.Request(service.url + path, method=method)
            request.add_header("X-Auth-Token", "admin")
            request.add_header("OpenStack-API-Version", "volume 3.71")
            data = None if body is None else json.dumps(body).encode()
            with urllib.request.urlopen(request, data, timeout=480) as answer:
                text = answer.read()
            return json.loads(text) if text else None

        volumes = Volumes(service.configuration())
        yield Storage(volumes, lambda: "demo:demo", lambda: "other:other", image.id, call)


class TestEmbedded(VolumesSuite):
    """Ours."""
