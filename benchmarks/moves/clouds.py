"""The clouds whose servers move: those that boot servers in the other benchmark, with what moves need besides."""

import sys
from pathlib import Path

from benchmarks.scheduling.cloud import USER, Fleet, Options, Surroundings
from benchmarks.scheduling.ours import OurCloud
from benchmarks.scheduling.place import REPOSITORY, Place
from benchmarks.scheduling.real import RealCloud
from tests.integration.stack.processes import Program
from tests.integration.stack.site import ADDRESS, Site, environment, wait_listening

#: As many hosts as the smallest cloud of the other benchmark, a process each.
FLEET = Fleet(4)
#: Names of clouds: each has buses of its own from the start.
CLOUDS = ("ours-moves", "real-moves", "ours-guest")


class MovingRealCloud(RealCloud):
    """The real Nova, told of a network service, and to have its hosts ask nothing above their cell."""

    def _write(self, process: str, bus: str, *options: Options) -> None:
        url = f"http://{ADDRESS}:{self._site.port('networks')}"
        networks = {"auth_type": "admin_token", "endpoint": url, "endpoint_override": url, "token": USER}
        # Its hosts would ask the API's database for a server's group, which is not theirs to ask here.
        alone = {"disable_group_policy_check_upcall": True}
        super()._write(process, bus, *options, {"neutron": networks, "workarounds": alone})


def start_networks(site: Site) -> None:
    """Start the network service of the real Nova."""
    port = site.port("networks")
    argv = (sys.executable, "-W", "ignore", "-m", "benchmarks.moves.networks", str(port))
    site.processes.start(Program("networks", argv, environment(PYTHONPATH=str(REPOSITORY)), str(REPOSITORY)))
    wait_listening(site, "networks", port, timeout_s=60)


class GuestCloud(OurCloud):
    """Our cloud on hosts with a libvirt each, that share a directory: ``uris`` and ``addresses`` are the hosts'."""

    def __init__(
        self,
        place: Place,
        surroundings: Surroundings,
        uris: dict[str, str],
        addresses: dict[str, str],
        folder: Path,
    ) -> None:
        super().__init__(place, surroundings, Fleet(len(uris)), "ours-guest")
        self._uris = uris
        self._addresses = addresses
        self._folder = folder

    def _write(self, process: str, bus: str | None, *options: Options) -> None:
        if process.startswith("hosts-"):
            name = self.fleet.names[int(process.removeprefix("hosts-"))]
            own = {"compute_driver": "libvirt", "my_ip": self._addresses[name], "instances_path": self._folder}
            libvirt = {"virt_type": "qemu", "connection_uri": self._uris[name]}
            options = (*options, {"DEFAULT": own, "libvirt": libvirt})
        super()._write(process, bus, *options)
