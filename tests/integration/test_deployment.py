"""The real deployment: separate processes, RabbitMQ, MariaDB, Keystone, uWSGI, two cells, a real guest."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack.exceptions
import pytest
import sqlalchemy as sa

from tests.integration.stack.clients import Truth, call, guests, openstack_json
from tests.integration.stack.clients import openstack as run_openstack
from tests.integration.stack.deployment import FLAVOR, IMAGE, Deployment
from tests.integration.stack.keystone import ADMIN, DEMO, OTHER, READER
from tests.integration.stack.processes import birth, wait_until
from tests.integration.stack.services import CELLS, STOP_S

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def only_libvirt(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment with every imitated host disabled, so that servers become real guests."""
    with deployment.connect(ADMIN) as admin:
        imitated = {host.name for host in deployment.services.hosts if host.driver == "fake"}
        services = [service for service in admin.compute.services() if service.host in imitated]
        for service in services:
            admin.compute.disable_service(service, disabled_reason="only real guests now")
        yield deployment
        for service in services:
            admin.compute.enable_service(service)


@pytest.fixture
def demo(deployment: Deployment) -> Iterator[Any]:
    """A connection of a user."""
    with deployment.connect(DEMO) as connection:
        yield connection


def boot(deployment: Deployment, account: Any, name: str, *, host: str | None = None) -> Any:
    """Boot a server and return it once it is ACTIVE."""
    with deployment.connect(account) as cloud:
        server = cloud.compute.create_server(
            name=name,
            image_id=cloud.image.find_image(IMAGE, ignore_missing=False).id,
            flavor_id=cloud.compute.find_flavor(FLAVOR, ignore_missing=False).id,
            networks="none",
            **({} if host is None else {"availability_zone": f"nova:{host}"}),
        )
        return cloud.compute.wait_for_server(server, wait=480, interval=0.2)


# -- a life -----------------------------------------------------------------------------------------------------------


def test_the_openstack_command_leads_a_real_guest_through_its_life(only_libvirt: Deployment, demo: Any) -> None:
    """What takes its time is waited for without the command: each use of it is seconds of work."""

    def openstack(*arguments: str) -> Any:
        return openstack_json(only_libvirt, "demo", *arguments)

    def act(*arguments: str) -> None:
        run_openstack(only_libvirt, "demo", *arguments)

    def shown(field: str) -> Any:
        return openstack("server", "show", "vm1")[field]

    def becomes(status: str) -> None:
        wait_until(lambda: demo.compute.get_server(uuid).status == status, status, timeout_s=60, interval_s=0.2)
        assert shown("status") == status

    def says(banner: str) -> None:
        def output() -> str:
            return str(demo.compute.get_server_console_output(uuid)["output"])

        wait_until(lambda: banner in output(), f"the guest saying {banner}", timeout_s=60, interval_s=0.2)
        assert banner in run_openstack(only_libvirt, "demo", "console", "log", "show", "vm1")

    created = openstack("server", "create", "--flavor", FLAVOR, "--image", IMAGE, "--nic", "none", "--wait", "vm1")
    uuid = created["id"]
    assert created["status"] == "ACTIVE"
    truth = Truth(only_libvirt)
    assert truth.guests() == {uuid: ["cell1-virt"]}
    assert list(truth.allocations(uuid)) == ["cell1-virt"]
    assert [(row["ID"], row["Status"]) for row in openstack("server", "list")] == [(uuid, "ACTIVE")]
    assert shown("OS-EXT-STS:power_state") in (1, "Running")

    says(" login:")

    act("server", "stop", "vm1")
    becomes("SHUTOFF")
    act("server", "start", "vm1")
    becomes("ACTIVE")
    says(" login:")
    act("server", "reboot", "--hard", "--wait", "vm1")
    assert shown("status") == "ACTIVE"

    act("server", "image", "create", "--name", "snap", "--wait", "vm1")
    snapshot = openstack("image", "show", "snap")
    assert (snapshot["status"], snapshot["disk_format"]) == ("active", "qcow2")
    assert snapshot["properties"]["instance_uuid"] == uuid
    assert snapshot["owner"] == shown("project_id")
    act("image", "delete", "snap")

    act("server", "delete", "--wait", "vm1")
    assert openstack("server", "list") == []
    assert truth.guests() == {}
    assert truth.allocations(uuid) == {}
    assert not list(only_libvirt.services.guests_folder("cell1-virt").glob(f"*{uuid}*"))


def test_servers_of_both_cells_are_one_list(deployment: Deployment) -> None:
    hosts = ("cell1-fake", "cell2-fake1", "cell2-fake2")
    servers = {host: boot(deployment, ADMIN, f"on-{host}", host=host) for host in hosts}
    truth = Truth(deployment)

    with deployment.connect(ADMIN) as admin:
        listed = list(admin.compute.servers(details=True))
        assert {server.name: server.hypervisor_hostname for server in listed} == {f"on-{host}": host for host in hosts}
        pages = list(admin.compute.servers(details=False, limit=1, paginated=True))
        assert [server.id for server in pages] == [server.id for server in listed]
        for host, server in servers.items():
            assert truth.guests()[server.id] == [host]
            amounts = {"VCPU": 1, "MEMORY_MB": 128, "DISK_GB": 1}
            assert truth.allocations(server.id) == {host: amounts}
            assert admin.compute.get_server(server.id).compute_host == host


# -- who may ----------------------------------------------------------------------------------------------------------


def test_a_project_sees_its_own_servers_only(deployment: Deployment) -> None:
    server = boot(deployment, DEMO, "mine")

    with deployment.connect(OTHER) as other:
        assert list(other.compute.servers()) == []
        with pytest.raises(openstack.exceptions.NotFoundException):
            other.compute.get_server(server.id)
        with pytest.raises(openstack.exceptions.NotFoundException):
            other.compute.delete_server(server.id, ignore_missing=False)
    with deployment.connect(READER) as reader:
        assert [found.id for found in reader.compute.servers()] == [server.id]
        with pytest.raises(openstack.exceptions.ForbiddenException):
            reader.compute.stop_server(server.id)
        with pytest.raises(openstack.exceptions.ForbiddenException):
            list(reader.compute.servers(all_projects=True))
    with deployment.connect(ADMIN) as admin:
        assert [found.id for found in admin.compute.servers(all_projects=True)] == [server.id]


@pytest.mark.parametrize("token", [None, "gAAAAA-no-such-token", "nonsense"])
def test_a_wrong_token_is_refused_by_both_apis(deployment: Deployment, token: str | None) -> None:
    for url in (f"{deployment.services.api_url}/servers", f"{deployment.services.placement_url}/resource_providers"):
        answer = call(url, token=token)
        assert answer.status == 401, answer
        assert answer.headers["www-authenticate"].startswith("Keystone uri="), answer.headers
    versions = call(deployment.services.api_url.removesuffix("/v2.1") + "/")
    assert versions.status in (200, 300)


def test_placement_is_for_administrators(deployment: Deployment) -> None:
    url = f"{deployment.services.placement_url}/resource_providers"
    assert call(url, token=deployment.neighbours.keystone.token(DEMO)).status == 403
    names = openstack_json(deployment, "admin", "resource", "provider", "list")
    assert {row["name"] for row in names} == {host.name for host in deployment.services.hosts}


def test_without_keystone_requests_are_put_off_not_refused(deployment: Deployment) -> None:
    fresh = [deployment.neighbours.keystone.token(DEMO) for _ in range(2)]
    urls = (f"{deployment.services.api_url}/servers", f"{deployment.services.placement_url}/resource_providers")
    deployment.neighbours.keystone.stop()
    for url, token in zip(urls, fresh, strict=True):
        answer = call(url, token=token)
        assert answer.status == 503, answer
    deployment.neighbours.keystone.start()
    assert call(urls[0], token=fresh[0]).status == 200


# -- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["api", "placement"])
def test_both_apis_have_several_workers_and_survive_one(deployment: Deployment, name: str) -> None:
    services = deployment.services
    url = f"{services.api_url}/flavors" if name == "api" else f"{services.placement_url}/resource_providers"
    token = deployment.neighbours.keystone.token(ADMIN)
    wait_until(lambda: len(services.workers(name)) == 2, "two workers", timeout_s=30)
    before = services.workers(name)
    assert _workers_that_answer(services.workers(name), url, token) == set(before)

    services.kill_worker(name)

    assert call(url, token=token).status == 200
    wait_until(lambda: len(set(services.workers(name)) - set(before)) == 1, "a new worker", timeout_s=30)
    assert call(url, token=token).status == 200


def _workers_that_answer(workers: list[int], url: str, token: str) -> set[int]:
    """Return the workers whose CPU time grows while 40 requests come in fours."""
    before = {pid: _cpu_ticks(pid) for pid in workers}
    deadline = time.monotonic() + 480
    while time.monotonic() < deadline:
        threads = [threading.Thread(target=call, args=(url,), kwargs={"token": token}) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        busy = {pid for pid in workers if _cpu_ticks(pid) > before[pid]}
        if busy == set(workers):
            break
    return busy


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_nothing_of_a_cell_knows_what_is_above_it(deployment: Deployment) -> None:
    """The configuration names no API database, and no connection of a cell's process goes to one, or to its bus."""
    boot(deployment, ADMIN, "traffic", host="cell2-fake1")
    services = deployment.services
    below = [f"{cell}-conductor" for cell in CELLS] + [host.name for host in services.hosts]
    for name in below:
        text = services.configuration(
            name.removesuffix("-conductor") if name.endswith("-conductor") else name
        ).read_text()
        assert "api_database" not in text
        assert "nova_lite_api" not in text
    databases, broker = deployment.neighbours.mariadb.port, deployment.neighbours.rabbitmq.port
    to_api_database = _database_peers(deployment, "nova_lite_api")
    to_api_bus = deployment.neighbours.rabbitmq.connected_peers("api")
    assert to_api_database, "the API itself is connected"
    assert to_api_bus
    for name in below:
        pid = deployment.site.processes.pid(name) or 0
        to_bus, to_databases = _local_ports(pid, broker), _local_ports(pid, databases)
        assert to_bus, f"{name} is connected to its own bus at least"
        assert not to_bus & to_api_bus, name
        assert not to_databases & to_api_database, name
        assert name.endswith("-conductor") or not to_databases, f"{name}: agents know no database"


def _local_ports(pid: int, to: int) -> set[int]:
    """Return the local ports of a process's TCP connections to a port: those to others may have the same."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed just now
            links.append(str(link.readlink()))
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = ([int(end.rpartition(":")[2], 16) for end in row[1:3]] for row in rows if row[9] in inodes)
    return {local for local, remote in ends if remote == to}


def _database_peers(deployment: Deployment, database: str) -> set[int]:
    """Return the source ports of the connections to one database."""
    engine = sa.create_engine(deployment.neighbours.mariadb.url("nova_lite_api"))
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT host FROM information_schema.processlist WHERE db = :db"), {"db": database}
        )
        mine = connection.execute(sa.text("SELECT host FROM information_schema.processlist WHERE id = CONNECTION_ID()"))
        found = {host.rpartition(":")[2] for (host,) in rows} - {mine.scalar_one().rpartition(":")[2]}
    engine.dispose()
    return {int(port) for port in found}


def test_every_process_ends_well_when_asked_and_work_goes_on_afterwards(deployment: Deployment) -> None:
    server = boot(deployment, ADMIN, "survivor", host="cell1-fake")
    services = deployment.services
    pids = {name: deployment.site.processes.pid(name) or 0 for name in services.names}
    workers = services.workers("api") + services.workers("placement")

    for name in services.names:
        deployment.site.processes.send(name, signal.SIGTERM)
    for name in services.names:
        deployment.site.processes.wait_ended(name, timeout_s=STOP_S)
    exits = {name: deployment.site.processes.exit_code(name) for name in services.names}

    assert exits == dict.fromkeys(services.names, 0)
    assert [pid for pid in [*pids.values(), *workers] if birth(pid) is not None] == []
    assert guests(deployment) == {server.id: ["cell1-fake"]}, "guests run on without their agent"

    deployment.heal()
    with deployment.connect(ADMIN) as admin:
        assert admin.compute.get_server(server.id).status == "ACTIVE"
    boot(deployment, ADMIN, "newcomer", host="cell2-fake2")


def test_operators_commands_agree_with_what_runs(deployment: Deployment) -> None:
    manage = deployment.services.manage
    manage("manage", "cell_v2", "discover_hosts")
    manage("manage", "api_db", "sync")
    manage("cell1", "db", "sync", "--local_cell")
    rows = openstack_json(deployment, "admin", "compute", "service", "list", "--service", "nova-compute")
    assert {(row["Host"], row["State"]) for row in rows} == {(host.name, "up") for host in deployment.services.hosts}
    hypervisors = openstack_json(deployment, "admin", "hypervisor", "list")
    assert {row["Hypervisor Hostname"] for row in hypervisors} == {host.name for host in deployment.services.hosts}
