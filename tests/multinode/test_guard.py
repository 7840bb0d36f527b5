"""The packet rules themselves: what is forbidden fails and is noticed, what is needed works, nobody is told of more."""

import subprocess

import pytest

from tests.multinode.cloud import Cloud
from tests.multinode.layout import ABOVE, CELLS, CONTROLLER, HOSTS, PORTS
from tests.multinode.network import Trespass
from tests.multinode.programs import MACHINE_OF

_KNOCK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()"


def knocks(cloud: Cloud, machine: str, target: str, port: int) -> bool:
    """Return whether a connection from one machine to a port of another can be opened."""
    address = cloud.sites[target].address
    argv = [*cloud.network.within(machine), "/usr/bin/env", "python3", "-c", _KNOCK, address, str(port)]
    return subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0


@pytest.mark.parametrize("machine", ["cell1-host1", "cell2-host2", "cell3"])
@pytest.mark.parametrize(
    ("target", "port"),
    [
        *(pytest.param(CONTROLLER, port, id=name) for name, port in ABOVE.items()),
        pytest.param("cell1", PORTS["mariadb"], id="a cell's database"),
        pytest.param("cell2-host1", 22, id="another host"),
    ],
)
def test_what_is_forbidden_fails_and_is_noticed(cloud: Cloud, machine: str, target: str, port: int) -> None:
    assert not knocks(cloud, machine, target, port)
    assert cloud.network.trespasses() == [Trespass(machine, f"tcp:{cloud.sites[target].address}:{port}")]
    cloud.network.forgive()


def test_a_host_reaches_the_bus_of_its_own_cell_alone(cloud: Cloud) -> None:
    assert [cell for cell in CELLS if knocks(cloud, "cell2-host1", cell, PORTS["amqp"])] == ["cell2"]
    assert {trespass.machine for trespass in cloud.network.trespasses()} == {"cell2-host1"}
    cloud.network.forgive()


@pytest.mark.parametrize("name", ["placement", "keystone", "glance"])
def test_what_hosts_need_of_the_controller_is_open(cloud: Cloud, name: str) -> None:
    assert all(knocks(cloud, machine, CONTROLLER, PORTS[name]) for machine in ("cell1", "cell3-host2"))


def test_no_configuration_of_a_cell_names_what_is_above_it(cloud: Cloud) -> None:
    above = cloud.sites[CONTROLLER].address
    for name, machine in MACHINE_OF.items():
        if machine == CONTROLLER:
            continue
        text = cloud.programs.configuration(name).read_text()
        assert "api_database" not in text, name
        for what, port in ABOVE.items():
            assert f"{above}:{port}" not in text, f"{name}: {what}"


def test_every_process_of_a_cell_is_on_the_machine_it_should_be_on(cloud: Cloud) -> None:
    for name in [f"{cell}-conductor" for cell in CELLS] + [host.name for host in HOSTS]:
        pids = subprocess.run(
            ["ip", "netns", "pids", cloud.network.namespace(MACHINE_OF[name])],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout.split()
        assert str(cloud.programs.site(name).processes.pid(name)) in pids, name
