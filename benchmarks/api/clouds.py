"""The two Compute APIs: those of the other benchmarks, but asking one identity service who calls, as deployments do."""

from collections.abc import Mapping
from contextlib import closing

from benchmarks.api import cases
from benchmarks.listing import peers as listing
from benchmarks.listing.cloud import HOSTS, host_name, uuid_of
from benchmarks.listing.peers import OurNova
from benchmarks.placement.peers import PROCESSES, THREADS, Peer, Stage
from benchmarks.scheduling.cloud import Options, ini
from benchmarks.scheduling.ours import OurCloud
from benchmarks.scheduling.real import RealCloud
from nova_lite.db.repositories import hosts
from nova_lite.model.conductor import HostReport
from nova_lite.model.guest import HostResources
from tests.integration.stack.real_nova import RealNova

#: The filter that checks the real one's tokens.
CHECKED = "benchmarks.api.checked_tokens:checked"
_BELIEVED = "benchmarks.listing.beside_nova:noauth"
#: A key of the kind that clients make today; nobody has the other half.
_PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJlbmNobWFyay1rZXktbm9ib2R5LWhhcy10aGUtb3Ro bench"

Identity = Mapping[str, object]


class OurCheckingNova(OurNova):
    """Ours, with hypervisors, and tokens checked."""

    def check_tokens(self, identity: Identity) -> None:
        """Have the next start ask that identity service."""
        self.auth = ini({"api": {"auth_strategy": "keystone"}, "keystone_authtoken": identity})

    def add_hypervisors(self) -> None:
        """Have every host of every cell introduce itself, as large as the real one's."""
        with self.opened() as (_, cells):
            for number, (_, database) in enumerate(cells[1:]):
                with database.writer() as session:
                    for host in range(HOSTS):
                        hosts.register(session, _report(host_name(number, host)))


class RealCheckingNova(RealNova):
    """The real one, with tokens checked."""

    def check_tokens(self, identity: Identity) -> None:
        """Have the next start ask that identity service; the databases are made."""
        with self.configuration().open("a") as file:
            file.write(ini({"keystone_authtoken": identity}))


class OurCheckingCloud(OurCloud):
    """Our whole cloud, its Compute API checking tokens."""

    identity: Identity

    def _write(self, process: str, bus: str | None, *options: Options) -> None:
        if process == "api":
            options = (*options, {"api": {"auth_strategy": "keystone"}, "keystone_authtoken": self.identity})
        super()._write(process, bus, *options)


class RealCheckingCloud(RealCloud):
    """The real one's whole cloud, its Compute API checking tokens."""

    identity: Identity

    def _write_configuration(self) -> None:
        super()._write_configuration()
        paste = self._configuration("api").with_name("api-paste.ini")
        paste.write_text(paste.read_text().replace(_BELIEVED, CHECKED))

    def _write(self, process: str, bus: str, *options: Options) -> None:
        if process == "api":
            options = (*options, {"keystone_authtoken": self.identity})
        super()._write(process, bus, *options)


def pair(stage: Stage, identity: Identity) -> tuple[RealCheckingNova, OurCheckingNova]:
    """Return both, their databases made and filled with the same servers and hosts."""
    real = RealCheckingNova(
        stage.site, stage.mariadb, noauth=CHECKED, cells=cases.CELLS, processes=PROCESSES, threads=THREADS
    )
    listing.fill_real(stage, real, cases.SERVERS)
    real.check_tokens(identity)
    ours = OurCheckingNova(stage.site, stage.mariadb, cells=cases.CELLS, name="ours")
    ours.make(cases.SERVERS)
    ours.add_hypervisors()
    ours.check_tokens(identity)
    return real, ours


def add_nouns(peer: Peer) -> None:
    """Add flavors and keypairs by the API itself."""
    with closing(peer.client()) as client:
        for number in range(cases.FLAVORS):
            client.send(cases.request("POST", "/v2.1/flavors", cases.flavor(number))).json()
            path = f"/v2.1/flavors/f{number:03}/os-extra_specs"
            client.send(cases.request("POST", path, cases.extra_specs(number))).json()
        for number in range(cases.KEYPAIRS):
            body = {"keypair": {"name": f"key-{number:03}", "type": "ssh", "public_key": _PUBLIC_KEY}}
            client.send(cases.request("POST", "/v2.1/os-keypairs", body)).json()


def _report(host: str) -> HostReport:
    resources = HostResources(64, 524_288, 4_000, "QEMU", 8_000_000, host, "127.0.0.1")
    return HostReport(host, uuid_of(f"node-{host}"), resources)
