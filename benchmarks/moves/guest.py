"""A real guest that is migrated live between two libvirt hosts, and what of that is the control plane's time."""

import re
import shutil
from collections.abc import Iterator
from contextlib import closing

import requests

from benchmarks.moves import deeds
from benchmarks.moves.clouds import GuestCloud
from benchmarks.moves.report import LiveMigration
from benchmarks.placement.wire import BadAnswer, Client
from benchmarks.scheduling.boots import request
from benchmarks.scheduling.cloud import Cloud, Fleet, Surroundings
from benchmarks.scheduling.place import Place
from tests.integration.stack.libvirt import guest_image
from tests.integration.stack.libvirt_hosts import LibvirtHosts
from tests.integration.stack.processes import wait_until

_HOSTS = 2
#: Seconds that a guest gets to boot, or to move.
_LIMIT_S = 300.0
_FLAVOR = "guest"


def moves(place: Place, surroundings: Surroundings, times: int) -> Iterator[LiveMigration]:
    """Boot a guest and yield each of its ways there and back."""
    names = Fleet(_HOSTS).names
    hosts = LibvirtHosts(place.site, names)
    folder = place.site.folder("data", "guests")
    cloud = GuestCloud(
        place,
        surroundings,
        {name: hosts.uri(name) for name in names},
        {name: hosts.address(name) for name in names},
        folder,
    )
    try:
        hosts.start()
        cloud.start()
        with closing(Client(cloud.port)) as client:
            server_id = _boot(cloud, client, _image(place, surroundings))
            for _ in range(times):
                yield _move(cloud, hosts, server_id)
            client.send(request("DELETE", f"/servers/{server_id}"))
    finally:
        cloud.stop()
        hosts.stop()


def _image(place: Place, surroundings: Surroundings) -> str:
    """Put the bootable image beside the other one; return its id."""
    whole = place.site.path("data", "guest.qcow2")
    shutil.copy(guest_image(place.site), whole)
    whole.rename(place.site.folder("data", "images") / whole.name)
    found: list[str] = []

    def listed() -> bool:
        images = requests.get(f"{surroundings.image_url}/v2/images", timeout=10).json()["images"]
        found.extend(image["id"] for image in images if image["disk_format"] == "qcow2")
        return bool(found)

    wait_until(listed, "the guest's image", timeout_s=60)
    return found[0]


def _boot(cloud: Cloud, client: Client, image_id: str) -> str:
    """Boot the guest; return its server once it asks who logs in."""
    client.send(
        request("POST", "/flavors", {"flavor": {"id": _FLAVOR, "name": _FLAVOR, "vcpus": 1, "ram": 128, "disk": 1}})
    )
    wanted = {"name": "guest", "flavorRef": _FLAVOR, "imageRef": image_id, "networks": "none"}
    server_id = str(client.send(request("POST", "/servers", {"server": wanted})).json()["server"]["id"])

    def is_up() -> bool:
        answer = client.send(deeds.act(server_id, {"os-getConsoleOutput": {}}))
        return answer.status == 200 and " login:" in str(answer.json()["output"])

    wait_until(is_up, "the guest's login prompt", timeout_s=_LIMIT_S, interval_s=0.5)
    return server_id


def _move(cloud: Cloud, hosts: LibvirtHosts, server_id: str) -> LiveMigration:
    run = deeds.drive(cloud, [server_id], deeds.migrate_live, clients=1, limit_s=_LIMIT_S)
    [found] = run.boots
    if found.outcome != "active":
        raise BadAnswer(f"the guest did not move: {found.outcome}")
    [host] = hosts.having(server_id, running=True)
    told = hosts.virsh(host, "domjobinfo", "--completed", "--keep-completed", "--rawstats", server_id)
    stats = {name: int(value) for name, value in re.findall(r"^(\w+): +(\d+)$", told, re.MULTILINE)}
    return LiveMigration(
        total_s=found.took_s,
        data_s=stats["time_elapsed"] / 1000,
        downtime_ms=stats.get("downtime", 0),
        sent_mib=stats.get("memory_processed", 0) / 1024**2,
    )
