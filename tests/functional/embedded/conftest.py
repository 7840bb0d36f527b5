"""A cloud for the stories of a module, and someone to use it."""

from collections.abc import Iterator

import pytest

from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with clouds.running(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def user(cloud: Cloud) -> Iterator[ComputeUser]:
    someone = ComputeUser(cloud.compute_url)
    yield someone
    someone.close()


@pytest.fixture
def image(cloud: Cloud) -> str:
    return ImageDirectory(cloud.settings.image_dir).images()[0].id
