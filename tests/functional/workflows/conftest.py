"""One cloud for all stories of this folder; each must leave it as it found it."""

from collections.abc import Iterator

import pytest

from tests.functional.workflows.site import Site, opened


@pytest.fixture(scope="package")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with opened(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    shared_site.saboteur.clear()
    yield shared_site
    shared_site.clean()
