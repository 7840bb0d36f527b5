"""One cloud for all stories of this folder; each must leave it as it found it."""

from collections.abc import Iterator

import pytest

from tests.functional.workflows.site import Site, opened


@pytest.fixture(scope="package")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # A server that cannot go to one other host must have yet another.
    with opened(tmp_path_factory.mktemp("site"), hosts_per_cell=3) as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    shared_site.saboteur.clear()
    yield shared_site
    shared_site.clean()
