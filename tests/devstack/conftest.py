"""What ``tools/devstack up`` started, as fixtures. Without it nothing here is collected."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from openstack.connection import Connection

from tests.devstack.cloud import Cloud
from tests.devstack.command import Command
from tests.integration.stack.keystone import ADMIN, DEMO
from tests.integration.stack.site import Site

_PLACE = os.environ.get("NOVA_LITE_DEVSTACK")
collect_ignore_glob = [] if _PLACE else ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    """List the warnings that are others' to mend."""
    for release in ("50", "60"):
        config.addinivalue_line("filterwarnings", f"ignore::openstack.warnings.RemovedInSDK{release}Warning")


@pytest.fixture(scope="session")
def cloud() -> Cloud:
    """The cloud, all of which must run."""
    assert _PLACE is not None
    cloud = Cloud(Site(Path(_PLACE)))
    cloud.services.require()
    return cloud


@pytest.fixture(scope="session")
def admin(cloud: Cloud) -> Iterator[Connection]:
    """The administrator, of openstacksdk. Afterwards no server is left."""
    with cloud.connect(ADMIN) as connection:
        yield connection
        cloud.delete_all_servers()


@pytest.fixture(scope="session")
def demo(cloud: Cloud) -> Iterator[Connection]:
    """A user of openstacksdk."""
    with cloud.connect(DEMO) as connection:
        yield connection


@pytest.fixture(scope="session")
def demo_cli(cloud: Cloud) -> Iterator[Command]:
    """The ``openstack`` command as a user without rights of an operator."""
    with contextlib.closing(Command(cloud, "demo")) as command:
        yield command


@pytest.fixture(scope="session")
def admin_cli(cloud: Cloud) -> Iterator[Command]:
    """The ``openstack`` command as the administrator."""
    with contextlib.closing(Command(cloud, "admin")) as command:
        yield command
