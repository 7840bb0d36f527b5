"""Volumes of a real Cinder on a real Ceph, in real guests on two real hosts: what was written is read elsewhere.

And whoever is killed amid an attachment or its end, nothing of it is left with anybody.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.integration.conftest import started
from tests.integration.stack.ceph import POOLS, Ceph
from tests.integration.stack.deployment import Deployment
from tests.integration.stack.guests import Guest
from tests.integration.stack.libvirt_hosts import SHARING
from tests.integration.stack.processes import wait_until
from tests.integration.stack.real_servers import LARGE, SMALL
from tests.integration.stack.volume_rig import VolumeRig, kill_cinder, volume_rig

pytestmark = pytest.mark.timeout(1800)

HERE, THERE = SHARING
CONDUCTOR = "cell2-conductor"


@pytest.fixture(scope="module")
def rig(_running: Deployment, ceph: Ceph) -> Iterator[VolumeRig]:
    _running.heal()
    started(_running.neighbours.cinder.prepare)  # the rig itself starts it, with settings of its own
    with volume_rig(_running) as rig:
        yield rig


@pytest.fixture(scope="module")
def guests(rig: VolumeRig) -> tuple[Guest, Guest]:
    """A guest on either host, both up."""
    found = tuple(rig.boot(f"on-{host}", host, flavor=SMALL) for host in SHARING)
    for each in found:
        rig.reaches(each.uuid, "ACTIVE")
        each.says("true")
    return found[0], found[1]


@pytest.fixture
def shared(rig: VolumeRig) -> Iterator[str]:
    """A volume that several servers may have."""
    body = {"volume_type": {"name": "shared", "extra_specs": {"multiattach": "<is> True"}}}
    made = rig.cinder.call("POST", "/types", body)["volume_type"]["id"]
    volume = rig.volume(volume_type="shared")
    yield volume
    rig.remove(volume)
    rig.cinder.call("DELETE", f"/types/{made}")


def test_what_one_guest_wrote_another_reads_when_it_gets_the_volume(
    rig: VolumeRig, guests: tuple[Guest, Guest]
) -> None:
    here, there = guests
    volume = rig.volume()
    rig.attach(here.uuid, volume)
    here.writes(volume, "from-the-first")
    rig.detach(here.uuid, volume)
    assert volume[:20] not in here.disks()
    rig.are_open(0, volume)

    rig.attach(there.uuid, volume)
    assert there.reads(volume) == "from-the-first"

    rig.cinder.call("POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}})
    wait_until(lambda: there.size_gib(volume) == 2, "the guest seeing that the volume has grown", timeout_s=60)
    there.writes(volume, "in-the-new-part", at_mib=2000)
    assert there.reads(volume, at_mib=2000) == "in-the-new-part"
    rig.settle()
    rig.detach(there.uuid, volume)
    assert rig.dangling() == []
    rig.remove(volume)


def test_two_guests_share_a_volume(rig: VolumeRig, guests: tuple[Guest, Guest], shared: str) -> None:
    here, there = guests
    for guest in guests:
        rig.attach(guest.uuid, shared)
    here.writes(shared, "by-the-first")
    assert there.reads(shared) == "by-the-first"
    there.writes(shared, "by-the-second", at_mib=1)
    assert here.reads(shared, at_mib=1) == "by-the-second"
    rig.detach(here.uuid, shared)
    there.writes(shared, "alone")
    assert there.reads(shared) == "alone"
    rig.detach(there.uuid, shared)
    assert rig.dangling() == []


def test_a_volume_goes_to_another_pool_below_a_guest_that_runs(rig: VolumeRig, guests: tuple[Guest, Guest]) -> None:
    guest, volume = guests[0], rig.volume()
    rig.attach(guest.uuid, volume)
    guest.writes(volume, "before")
    before = rig.pool(volume)
    (after,) = set(POOLS) - {before}
    host = f"cinder@{after}#{after}"
    rig.cinder.call("POST", f"/volumes/{volume}/action", {"os-migrate_volume": {"host": host}})

    def is_over() -> bool:
        told = rig.told_of(volume)
        assert told["migration_status"] != "error", told
        return rig.pool(volume) == after and told["migration_status"] == "success" and told["status"] == "in-use"

    wait_until(is_over, f"{volume} in {after}", timeout_s=300, interval_s=0.5)
    rig.settle()
    assert guest.reads(volume) == "before"
    guest.writes(volume, "after", at_mib=1)
    assert guest.reads(volume, at_mib=1) == "after"
    # Cinder deletes what is left in the other pool when all is said to be over.
    wait_until(lambda: rig.dangling() == [], "nothing left in the other pool", timeout_s=300, interval_s=0.5)
    rig.detach(guest.uuid, volume)
    assert rig.dangling() == []
    rig.remove(volume)


def test_a_server_that_boots_from_a_volume_keeps_it_through_all_that_it_goes_through(rig: VolumeRig) -> None:
    root, data = rig.volume(imageRef=rig.image_id), rig.volume()
    guest = rig.boot("from-a-volume", HERE, flavor=SMALL, volume_id=root)
    rig.reaches(guest.uuid, "ACTIVE")
    rig.attach(guest.uuid, data)
    guest.says("echo kept >/root/marker; sync")
    guest.writes(data, "kept-too")
    boot_id = guest.says("cat /proc/sys/kernel/random/boot_id")

    target = THERE
    rig.act(guest.uuid, "os-migrateLive", {"host": target, "block_migration": "auto"})
    wait_until(lambda: rig.host(guest.uuid) == target, "the server on the other host", timeout_s=300)
    rig.reaches(guest.uuid, "ACTIVE")
    assert guest.says("cat /proc/sys/kernel/random/boot_id") == boot_id
    assert guest.reads(data) == "kept-too"
    guest.writes(data, "live")

    def is_whole(host: str) -> None:
        rig.settle()
        assert rig.host(guest.uuid) == host
        assert rig.hosts.libvirt.having(guest.uuid) == [host]
        assert guest.says("cat /root/marker; cat /proc/sys/kernel/random/boot_id").splitlines()[0] == "kept"
        assert guest.reads(data) == "live"
        rig.are_open(1, root, data)
        assert rig.dangling() == []

    is_whole(THERE)
    rig.resize(guest.uuid, LARGE)
    is_whole(rig.host(guest.uuid))
    rig.act(guest.uuid, "rebuild", {"imageRef": rig.image_id}, version="compute 2.92")
    rig.reaches(guest.uuid, "ACTIVE")
    is_whole(rig.host(guest.uuid))
    rig.act(guest.uuid, "rebuild", {"imageRef": rig.image_id})
    rig.reaches(guest.uuid, "ACTIVE")
    assert guest.says("ls /root/marker || true") == "ls: /root/marker: No such file or directory"
    assert guest.reads(data) == "live"
    rig.settle()
    assert rig.dangling() == []
    rig.deployment.delete_all_servers()


@dataclass(frozen=True)
class Death:
    """Who dies, and at which moment (``stack/doomed.py``) of what is done with a volume; Cinder dies whenever."""

    deed: str
    victim: str
    moment: str

    def __str__(self) -> str:
        return f"{self.deed}-{self.victim}-{self.moment}".replace(" ", "_")


ATTACH, DETACH = "attach", "detach"
DEATHS = (
    Death(ATTACH, HERE, "libvirt:attach_volume:before"),
    Death(ATTACH, HERE, "libvirt:attach_volume:after"),
    Death(ATTACH, CONDUCTOR, "cell:attach-volume:plug in:middle"),
    Death(ATTACH, CONDUCTOR, "cell:attach-volume:complete attachment:middle"),
    Death(ATTACH, "cinder", ""),
    Death(DETACH, HERE, "libvirt:detach_volume:before"),
    Death(DETACH, HERE, "libvirt:detach_volume:after"),
    Death(DETACH, CONDUCTOR, "cell:detach-volume:begin detaching:middle"),
    Death(DETACH, CONDUCTOR, "cell:detach-volume:remove attachment:middle"),
    Death(DETACH, "cinder", ""),
)


def test_whoever_dies_leaves_nothing_of_an_attachment_or_its_end(rig: VolumeRig) -> None:
    guest = rig.boot("with-volumes", HERE, flavor=SMALL)
    rig.reaches(guest.uuid, "ACTIVE")
    guest.says("true")
    volume = rig.volume()
    for death in DEATHS:
        if rig.has(guest.uuid, volume) == (death.deed == ATTACH):
            (rig.detach if death.deed == ATTACH else rig.attach)(guest.uuid, volume)
        begin = rig.begin_attaching if death.deed == ATTACH else rig.begin_detaching
        die_amid(rig, death, lambda: begin(guest.uuid, volume))  # noqa: B023
        rig.settle()
        assert rig.dangling() == [], death
        assert rig.has(guest.uuid, volume) == (volume[:20] in guest.disks()), death


def die_amid(rig: VolumeRig, death: Death, act: Callable[[], None]) -> None:
    """Do something, have somebody die at its moment, and start that again."""
    if death.victim == "cinder":
        act()
        kill_cinder(rig)
        rig.cinder.start()
        return
    services = rig.hosts if death.victim in rig.hosts.names else rig.deployment.services
    services.kill(death.victim)
    services.start_doomed(death.victim, death.moment)
    act()
    wait_until(lambda: not services.is_running(death.victim), str(death), timeout_s=300)
    services.start(death.victim)
