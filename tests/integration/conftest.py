"""The real neighbours as fixtures: each starts when the first test asks for it, and stops after the last.

A component that is not installed skips the tests that need it, saying which; in CI (``CI=true``) it fails them.
"""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]

from tests.dealing import Dealer, dealer, put_in_turn
from tests.integration.stack.ceph import Ceph
from tests.integration.stack.cinder import Cinder
from tests.integration.stack.deployment import Deployment
from tests.integration.stack.glance import Glance
from tests.integration.stack.keystone import Keystone
from tests.integration.stack.libvirt import Libvirt
from tests.integration.stack.libvirt_hosts import LibvirtHosts
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.postgresql import PostgreSQL
from tests.integration.stack.processes import Missing, birth
from tests.integration.stack.rabbitmq import RabbitMQ
from tests.integration.stack.site import Site
from tests.integration.stack.stock import Stock

_PREFIX = "nova-lite-test-"
#: What one worker runs where several share the tests, for it uses the same servers: folders, or single modules. What
#: takes minutes begins before all else, the longest first; a second deployment is a minute more of work.
_GROUPS = {
    "libvirt": {"test_libvirt_deaths", "test_libvirt_driver", "test_libvirt_volumes"},
    "deployment": {
        "test_deaths_at_steps",
        "test_deployment",
        "test_faults",
        "test_neighbours",
        "test_notifications",
        "test_placement_auth",
        "test_stops",
    },
    "volumes": {"test_real_volumes", "test_volumes"},
    "races": {"races"},
    "lists": {"test_lists_beside_nova"},
    "wsgi": {"test_wsgi"},
    "archiving": {"test_archiving"},
    "trees": {"test_host_trees"},
    "devices": {"test_consoles", "test_host_volumes"},
    "databases": {"test_database_races", "test_databases", "test_repositories"},
}
_FAILED = pytest.StashKey[bool]()
_SITES = pytest.StashKey[list[Path]]()


def pytest_configure(config: pytest.Config) -> None:
    """List the warnings that are others' to mend."""
    # openstacksdk calls what it has itself deprecated, and announces the end of InfluxDB support to everyone.
    for release in ("50", "60"):
        config.addinivalue_line("filterwarnings", f"ignore::openstack.warnings.RemovedInSDK{release}Warning")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Dealer | None:
    """Deal modules out to workers, those together that share what is slow to start."""
    return dealer(config, log, _group_of)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes minutes."""
    turns = {group: turn for turn, group in enumerate(_GROUPS)}
    put_in_turn(config, items, _group_of, lambda nodeid: (turns.get(_group_of(nodeid), len(turns)),))


def _group_of(nodeid: str) -> str:
    path = Path(nodeid.partition("::")[0])
    # Modules of different folders may have one name.
    name = path.parent.name if any(path.parent.name in names for names in _GROUPS.values()) else path.stem
    return next((group for group, names in _GROUPS.items() if name in names), str(path))


def started(start: Callable[[], object]) -> None:
    """Start something; where it is not installed, skip the test, or fail it in CI."""
    try:
        start()
    except Missing as exc:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"CI must have every component: {exc}", pytrace=False)
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def neighbours(request: pytest.FixtureRequest) -> Iterator[Neighbours]:
    """The place of this session's servers."""
    _sweep()
    with new_directory(request.config) as directory:
        everything = Neighbours(Site(directory))
        yield everything
        everything.stop()


@contextlib.contextmanager
def new_directory(config: pytest.Config) -> Iterator[Path]:
    """Yield a directory for servers, kept when a test failed. Socket paths are short, so not below pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    (directory / "owner.json").write_text(json.dumps([os.getpid(), birth(os.getpid())]))
    config.stash.setdefault(_SITES, []).append(directory)
    yield directory
    if not config.stash.get(_FAILED, False):
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def rabbitmq(neighbours: Neighbours) -> RabbitMQ:
    started(neighbours.rabbitmq.start)
    return neighbours.rabbitmq


@pytest.fixture(scope="session")
def mariadb(neighbours: Neighbours) -> MariaDB:
    started(neighbours.mariadb.start)
    return neighbours.mariadb


@pytest.fixture(scope="session")
def postgresql(neighbours: Neighbours) -> PostgreSQL:
    started(neighbours.postgresql.start)
    return neighbours.postgresql


@pytest.fixture(scope="session")
def stock() -> Stock:
    """Databases with tables, on either server."""
    return Stock()


@pytest.fixture(scope="session")
def keystone(neighbours: Neighbours, mariadb: MariaDB) -> Keystone:
    started(neighbours.keystone.start)
    return neighbours.keystone


@pytest.fixture(scope="session")
def glance(neighbours: Neighbours, mariadb: MariaDB, keystone: Keystone) -> Glance:
    started(neighbours.glance.start)
    return neighbours.glance


@pytest.fixture(scope="session")
def ceph(neighbours: Neighbours) -> Ceph:
    started(neighbours.ceph.start)
    return neighbours.ceph


@pytest.fixture(scope="session")
def cinder(
    neighbours: Neighbours, mariadb: MariaDB, rabbitmq: RabbitMQ, keystone: Keystone, glance: Glance, ceph: Ceph
) -> Cinder:
    started(neighbours.cinder.start)
    return neighbours.cinder


@pytest.fixture(scope="session")
def libvirt(neighbours: Neighbours) -> Libvirt:
    started(neighbours.libvirt.start)
    return neighbours.libvirt


@pytest.fixture(scope="session")
def _running(neighbours: Neighbours) -> Iterator[Deployment]:
    deployment = Deployment(neighbours.site, neighbours)
    try:
        started(deployment.start)
        yield deployment
    finally:  # a start that failed half-way leaves processes too
        deployment.stop_services()


@pytest.fixture
def deployment(_running: Deployment) -> Iterator[Deployment]:
    """The whole deployment, all of it running and without servers; what a test stopped is started again."""
    _running.heal()
    yield _running
    _running.heal()
    _running.delete_all_servers()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Name the servers' logs in the report of a failed test, and keep them."""
    report = yield
    directories = item.config.stash.get(_SITES, [])
    if report.failed and directories:
        item.config.stash[_FAILED] = True
        logs = "\n".join(str(path) for place in directories for path in sorted((place / "log").glob("*.log")))
        report.sections.append(("Logs of the servers (kept)", logs))
    return report


def _sweep() -> None:
    """End and remove what sessions that were killed left behind; of those that begin together, one does."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            owner = (directory / "owner.json").open()
        except OSError:
            continue
        with owner:
            fcntl.flock(owner, fcntl.LOCK_EX)
            if _is_left_behind(directory):
                _remove(directory)


def _is_left_behind(directory: Path) -> bool:
    try:
        pid, born = json.loads((directory / "owner.json").read_text())
    except (OSError, ValueError):  # another session has removed it, or makes it
        return False
    return birth(pid) != born and bool(Site(directory).processes.names())


def _remove(directory: Path) -> None:
    site = Site(directory)
    LibvirtHosts.left_in(site).stop()
    Neighbours(site).stop()
    for name in site.processes.names():
        site.processes.kill(name)
    shutil.rmtree(directory, ignore_errors=True)
