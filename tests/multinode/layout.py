"""Which machines there are, what runs on each, and whom each may reach. Values only."""

from dataclasses import dataclass

from tests.multinode.network import Door, Machine, address

CELLS = ("cell1", "cell2", "cell3")
CONTROLLER = "controller"
CLIENT = "client"
#: Everything of a machine has its usual port: no other machine shares its address.
PORTS = {
    "mariadb": 3306,
    "amqp": 5672,
    "epmd": 4369,
    "erlang": 25672,
    "keystone": 5000,
    "glance": 9292,
    "api": 8774,
    "placement": 8778,
}


@dataclass(frozen=True, slots=True)
class ComputeHost:
    """A compute host: one agent on a machine of its own."""

    name: str
    cell: str
    driver: str


#: The first host of two cells runs guests in QEMU under a libvirtd of its own; the others imitate theirs.
HOSTS = tuple(
    ComputeHost(f"{cell}-host{number}", cell, "libvirt" if number == 1 and cell != "cell3" else "fake")
    for cell in CELLS
    for number in (1, 2)
)
#: What no machine of a cell may be connected to, by port of the controller.
ABOVE = {"API and Placement databases": PORTS["mariadb"], "API bus": PORTS["amqp"], "Compute API": PORTS["api"]}


def machines() -> tuple[Machine, ...]:
    """Return every machine. Those of a cell are guarded; the controller and the client reach everything."""
    above = address(0, 10)
    found = [Machine(CONTROLLER, above), Machine(CLIENT, address(0, 20))]
    # The volume service joins this list with the first version that has one.
    common = tuple(Door(name, above, PORTS[name]) for name in ("placement", "keystone", "glance"))
    for number, cell in enumerate(CELLS, 1):
        bus = Door("bus of the cell", address(number, 10), PORTS["amqp"])
        found.append(Machine(cell, address(number, 10), common))
        names = [host.name for host in HOSTS if host.cell == cell]
        found += [Machine(name, address(number, 10 + order), (bus, *common)) for order, name in enumerate(names, 1)]
    return tuple(found)
