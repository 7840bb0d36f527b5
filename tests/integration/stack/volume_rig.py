"""Two real hosts, a real Cinder whose volumes are images of a real Ceph, and servers that have such volumes."""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.integration.stack import ceph
from tests.integration.stack.cinder import PROCESSES
from tests.integration.stack.clients import Answer, Truth, call
from tests.integration.stack.deployment import IMAGE, Deployment
from tests.integration.stack.guests import Guest
from tests.integration.stack.keystone import ADMIN, side_by_side
from tests.integration.stack.libvirt_hosts import SHARING, RealHosts
from tests.integration.stack.processes import StackError, wait_until
from tests.integration.stack.real_servers import in_their_zone
from tests.integration.stack.services import CELLS, CONTROL, Services

#: A slow machine is given several times that.
_PATIENCE_S = 300.0
_VERSION = "compute 2.96"
_ZONE = "real"

_SECRET = f"""<secret ephemeral="no" private="yes">
<uuid>{ceph.SECRET}</uuid><usage type="ceph"><name>client.{ceph.USER}</name></usage>
</secret>"""


class VolumeRig:
    """Servers on two hosts that share their directories, and volumes. Everything is the administrator's."""

    def __init__(self, deployment: Deployment, hosts: RealHosts) -> None:
        self.deployment = deployment
        self.hosts = hosts
        self.cinder = deployment.neighbours.cinder
        self.ceph = deployment.neighbours.ceph
        self.truth = Truth(deployment)
        self._token = deployment.neighbours.keystone.token(ADMIN)
        self._flavors = {each["name"]: each["id"] for each in self.ask("GET", "/flavors").body["flavors"]}
        with deployment.connect(ADMIN) as admin:
            self.image_id = str(admin.image.find_image(IMAGE, ignore_missing=False).id)

    def ask(self, method: str, path: str, body: object = None, *, version: str = _VERSION) -> Answer:
        """Send one request to the Compute API; raises StackError for a refusal."""
        url = self.deployment.services.api_url + path
        answer = call(url, method=method, token=self._token, body=body, version=version)
        if answer.status >= 300:
            raise StackError(f"{method} {path}: {answer.status} {answer.body}")
        return answer

    # -- servers ------------------------------------------------------------------------------------------------------

    def boot(self, name: str, host: str, *, flavor: str, volume_id: str | None = None) -> Guest:
        """Ask for a server on a host, booting from a volume if one is named; return its guest, which boots."""
        body: dict[str, Any] = {"name": name, "flavorRef": self._flavors[flavor], "networks": "none"}
        body["availability_zone"] = f"{_ZONE}:{host}"
        if volume_id is None:
            body["imageRef"] = self.image_id
        else:
            root = {"boot_index": 0, "uuid": volume_id, "source_type": "volume", "destination_type": "volume"}
            body["block_device_mapping_v2"] = [root]
        return Guest(self.hosts.libvirt, self.ask("POST", "/servers", {"server": body}).body["server"]["id"])

    def act(self, server: str, action: str, body: object = None, *, version: str = _VERSION) -> None:
        """Do something to a server."""
        self.ask("POST", f"/servers/{server}/action", {action: body}, version=version)

    def resize(self, server: str, flavor: str) -> None:
        """Resize a server, wherever it goes, and confirm that."""
        self.act(server, "resize", {"flavorRef": self._flavors[flavor]})
        self.reaches(server, "VERIFY_RESIZE")
        self.act(server, "confirmResize")
        self.reaches(server, "ACTIVE")

    def shown(self, server: str) -> dict[str, Any]:
        """Return a server as its operator sees it."""
        found: dict[str, Any] = self.ask("GET", f"/servers/{server}").body["server"]
        return found

    def host(self, server: str) -> str:
        return str(self.shown(server)["OS-EXT-SRV-ATTR:host"])

    def reaches(self, server: str, status: str) -> None:
        """Wait until a server has a status and nothing is done to it; raises StackError for one that fails."""

        def reached() -> bool:
            shown = self.shown(server)
            if shown["status"] == "ERROR" != status:
                raise StackError(f"{server}: {shown.get('fault')}")
            return bool(shown["status"] == status and shown["OS-EXT-STS:task_state"] is None)

        wait_until(reached, f"{server} {status}", timeout_s=_PATIENCE_S, interval_s=0.3)

    # -- volumes ------------------------------------------------------------------------------------------------------

    def volume(self, **wanted: object) -> str:
        """Make a volume of 1 GiB, wait for it, return its id."""
        made: str = self.cinder.call("POST", "/volumes", {"volume": {"size": 1, **wanted}})["volume"]["id"]
        self.comes(made, "available")
        return made

    def status(self, volume_id: str) -> str:
        return str(self.told_of(volume_id)["status"])

    def told_of(self, volume_id: str) -> dict[str, Any]:
        """Return a volume as Cinder's administrator sees it."""
        found: dict[str, Any] = self.cinder.call("GET", f"/volumes/{volume_id}")["volume"]
        return found

    def pool(self, volume_id: str) -> str:
        """Return the pool that a volume is in."""
        return str(self.told_of(volume_id)["os-vol-host-attr:host"]).rpartition("#")[2]

    def comes(self, volume_id: str, *statuses: str) -> None:
        """Wait until a volume has one of these statuses."""
        what = f"{volume_id} {statuses}"
        wait_until(lambda: self.status(volume_id) in statuses, what, timeout_s=_PATIENCE_S, interval_s=0.3)

    def remove(self, volume_id: str) -> None:
        """Delete a volume, which must be available, and wait until its image is gone."""
        self.cinder.call("DELETE", f"/volumes/{volume_id}")
        gone = f"volume-{volume_id}"
        wait_until(lambda: gone not in self.ceph.images(), f"{gone} gone", timeout_s=_PATIENCE_S, interval_s=0.5)

    def begin_attaching(self, server: str, volume_id: str) -> None:
        self.ask("POST", f"/servers/{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume_id}})

    def attach(self, server: str, volume_id: str) -> None:
        """Attach a volume to a server that is there, and wait until it is."""
        self.begin_attaching(server, volume_id)
        self.settle()
        assert self.has(server, volume_id)

    def begin_detaching(self, server: str, volume_id: str) -> None:
        self.ask("DELETE", f"/servers/{server}/os-volume_attachments/{volume_id}")

    def detach(self, server: str, volume_id: str) -> None:
        """Detach a volume from a server, and wait until it is."""
        self.begin_detaching(server, volume_id)
        self.settle()
        assert not self.has(server, volume_id)

    def has(self, server: str, volume_id: str) -> bool:
        """Return whether a server has a volume; all three who know must say the same."""
        listed = self.ask("GET", f"/servers/{server}/os-volume_attachments").body["volumeAttachments"]
        shown = self.cinder.call("GET", f"/volumes/{volume_id}")["volume"]
        ours = volume_id in [each["volumeId"] for each in listed]
        theirs = server in [each["server_id"] for each in shown["attachments"]]
        hosts = self.hosts.libvirt.having(server)
        guests = [volume_id in self.hosts.libvirt.virsh(host, "dumpxml", server) for host in hosts]
        assert [ours] * (len(guests) + 1) == [theirs, *guests], (listed, shown, hosts)
        return ours

    def are_open(self, times: int, *volumes: str) -> None:
        """Wait until volumes are open so often: the store learns late who has closed one, or was killed."""
        images = [f"volume-{each}" for each in volumes]

        def reached() -> bool:
            return [self.ceph.watchers(image) for image in images] == [times] * len(images)

        wait_until(reached, f"{images} open {times} times", timeout_s=_PATIENCE_S, interval_s=0.5)

    # -- what is left -------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait until all work has ended."""
        wait_until(lambda: not self.truth.open_workflows(), "all work ended", timeout_s=_PATIENCE_S, interval_s=0.2)

    def dangling(self) -> list[str]:
        """Return what somebody has of volumes that nobody else knows of, or that never ends."""
        everything = self.cinder.call("GET", "/volumes/detail?all_tenants=1")["volumes"]
        found = [
            f"{each['id']} {each['status']}" for each in everything if each["status"] not in ("available", "in-use")
        ]
        attachments = self.cinder.call("GET", "/attachments/detail?all_tenants=1")["attachments"]
        found += [f"attachment {each['id']} {each['status']}" for each in attachments if each["status"] != "attached"]
        theirs = sorted((each["instance"], each["volume_id"], each["id"]) for each in attachments)
        ours = []
        for server in self.ask("GET", "/servers?all_tenants=1").body["servers"]:
            rows = self.ask("GET", f"/servers/{server['id']}/os-volume_attachments").body["volumeAttachments"]
            ours += [(server["id"], row["volumeId"], row["attachment_id"]) for row in rows]
            in_use = {row["volumeId"] for row in rows}
            for host in self.hosts.libvirt.having(server["id"]):
                xml = self.hosts.libvirt.virsh(host, "dumpxml", server["id"])
                given = {each["id"] for each in everything if f"<serial>{each['id']}</serial>" in xml}
                found += [f"guest {server['id']} on {host} has {each}" for each in given ^ in_use]
        return found if theirs == sorted(ours) else [*found, f"{theirs} is not {sorted(ours)}"]

    def delete_all(self) -> None:
        """Delete all servers and volumes; every volume goes, which shows that nothing holds it."""
        self.deployment.delete_all_servers()
        self.settle()
        for each in self.cinder.call("GET", "/volumes/detail?all_tenants=1")["volumes"]:
            self.remove(each["id"])


@contextlib.contextmanager
def volume_rig(deployment: Deployment) -> Iterator[VolumeRig]:
    """Have a deployment use Cinder, with two real hosts more; afterwards it is as it was."""
    neighbours = deployment.neighbours
    hosts = RealHosts(deployment.site, neighbours, cell=CELLS[1], names=SHARING)
    was_running = neighbours.cinder.is_running()
    try:
        side_by_side([partial(_begin_telling, deployment), hosts.libvirt.start])
        for name in SHARING:
            tell_secret(hosts, name, neighbours.ceph.key())
        _use_volumes(deployment, has_volumes=True)
        hosts.has_volumes = True
        hosts.start_all()
        with deployment.connect(ADMIN) as admin, in_their_zone(deployment, hosts, admin.compute):
            rig = VolumeRig(deployment, hosts)
            yield rig
            rig.delete_all()
    finally:
        hosts.stop_all()
        neighbours.cinder.stop()
        neighbours.cinder.tells_compute, neighbours.cinder.pools = False, ceph.POOLS[:1]
        _use_volumes(deployment, has_volumes=False)
        if was_running:  # for other modules, too
            neighbours.cinder.start()


def tell_secret(hosts: RealHosts, name: str, key: str) -> None:
    """Give a host the key of Ceph's user, as its operator does: into libvirt's store, under Cinder's name for it."""
    path = hosts.libvirt.site.write(_SECRET, "data", "ceph-secret.xml")
    hosts.libvirt.virsh(name, "secret-define", str(path))
    secret = hosts.libvirt.site.write(key, "data", "ceph-key")
    hosts.libvirt.virsh(name, "secret-set-value", ceph.SECRET, "--file", str(secret))


def _begin_telling(deployment: Deployment) -> None:
    cinder = deployment.neighbours.cinder
    cinder.stop()
    cinder.tells_compute, cinder.pools = True, ceph.POOLS
    deployment.neighbours.ceph.start()
    cinder.start()


def _use_volumes(deployment: Deployment, *, has_volumes: bool) -> None:
    """Start anew all that asks Cinder, or asks it no more."""
    services = deployment.services
    services.has_volumes = has_volumes
    services.write_configuration(deployment.neighbours.libvirt.uri)
    names = [name for name in CONTROL if name not in ("placement", "scheduler")]
    side_by_side([partial(_start_anew, services, name) for name in names])


def _start_anew(services: Services, name: str) -> None:
    services.stop(name)
    services.start(name)


def kill_cinder(rig: VolumeRig) -> None:
    """End all of Cinder's processes at once."""
    for name in PROCESSES:
        rig.deployment.site.processes.kill(name)
