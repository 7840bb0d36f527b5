"""The cloud that ``tools/multinode up`` made, as fixtures. Without it nothing here is collected."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stack.keystone import ADMIN
from tests.multinode.client import Client
from tests.multinode.cloud import Cloud
from tests.multinode.layout import ABOVE, CONTROLLER

_PLACE = os.environ.get("NOVA_LITE_MULTINODE")
_TIMES = pytest.StashKey[list[str]]()
collect_ignore_glob = [] if _PLACE else ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    """List the warnings that are others' to mend, and make room for times taken."""
    config.stash[_TIMES] = []
    for release in ("50", "60"):
        config.addinivalue_line("filterwarnings", f"ignore::openstack.warnings.RemovedInSDK{release}Warning")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the times taken."""
    if config.stash[_TIMES]:
        terminalreporter.section("times")
        for line in config.stash[_TIMES]:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> list[str]:
    """Lines of times taken, printed at the end."""
    return request.config.stash[_TIMES]


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """The cloud; a part of it that a run before this one left dead is started again, and all of it runs on."""
    assert _PLACE is not None
    cloud = Cloud(Path(_PLACE))
    cloud.network.forgive()
    cloud.heal()
    yield cloud
    for site in cloud.sites.values():
        site.processes.let_go()


@pytest.fixture(scope="session")
def client(cloud: Cloud) -> Iterator[Client]:
    """An administrator on the client machine, who begins without servers and leaves none."""
    with Client(cloud, ADMIN) as client:
        client.delete_all()
        yield client
        client.delete_all()


@pytest.fixture(autouse=True)
def guard(cloud: Cloud) -> Iterator[None]:
    """Fail a test in which a machine of a cell tried to reach, or is connected to, what it must not know."""
    yield
    found = cloud.network.trespasses()
    cloud.network.forgive()
    assert not found, f"forbidden connections were tried: {found}"
    assert not connected_above(cloud)


def connected_above(cloud: Cloud) -> list[str]:
    """Return the connections of cells' machines to databases and buses above them, as text."""
    above = cloud.sites[CONTROLLER].address
    forbidden = {(above, port): name for name, port in ABOVE.items()}
    return [
        f"{machine.name} to {forbidden[end]}"
        for machine in cloud.network.machines.values()
        if machine.doors is not None
        for end in cloud.network.connections(machine.name) & forbidden.keys()
    ]
