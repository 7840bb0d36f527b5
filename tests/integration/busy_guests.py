"""Real guests that change their memory faster than it is copied leave for another host, whatever happens under way.

It takes minutes, and is no part of the suite: ``python -m pytest tests/integration/busy_guests.py``.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest

from nova_lite.compute.actions.live_migration import LiveMigrator
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.config_drive import ConfigDrives
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.model.guest import PowerState
from nova_lite.model.live_migration import Departure, Landing, Patience, Stage
from tests.contract.virt.rig import a_spec, power_state, wait_until
from tests.guests import config_files
from tests.integration.conftest import started
from tests.integration.stack.libvirt_hosts import LibvirtHosts
from tests.integration.stack.live_rig import HERE, PATIENCE_S, THERE, Rig, hosts_of, rig_on
from tests.integration.stack.neighbours import Neighbours

pytestmark = pytest.mark.timeout(1200)

#: So slow a copying ends only when it is made to: the guest changes its memory faster.
_SLOW = Patience(bandwidth_mib_s=4)

#: Changes 20 MiB of memory again and again, and tells how often it has, in which boot, and how large its disk is.
_BUSY = b"""#!/bin/sh
mkdir -p /run/busy
mount -t tmpfs none /run/busy
head -c 20m /dev/urandom >/run/busy/from
id=$(cat /proc/sys/kernel/random/boot_id)
round=0
while :; do
    cp /run/busy/from /run/busy/to
    round=$((round + 1))
    echo "round $round $id end" >/dev/console
done
"""


@pytest.fixture(scope="module")
def hosts(neighbours: Neighbours) -> Iterator[LibvirtHosts]:
    hosts = hosts_of(neighbours)
    try:
        started(hosts.start)
        yield hosts
    finally:
        hosts.stop()


@pytest.fixture
def rig(hosts: LibvirtHosts) -> Iterator[Rig]:
    yield from rig_on(hosts)


class Traveller:
    """A guest that is busy, on its way."""

    def __init__(self, rig: Rig, patience: Patience) -> None:
        self.rig = rig
        rig.be(patience)
        self.spec = a_spec(has_config_drive=True, config_files=config_files(_BUSY))
        self.uuid = self.spec.uuid
        rig.driver.spawn(self.spec, rig.image)
        self.boot_id = self.tells(rig.driver)[1]
        self.there = rig.neighbour()
        leaving = rig.driver.leaving(self.uuid)
        assert not self.there.check_landing(self.uuid, leaving, copies_disks=None)
        self.landing: Landing = self.there.prepare_landing(replace(self.spec, epoch=2), leaving, copies_disks=False)

    def tells(self, driver: LibvirtDriver, beyond: int = 0) -> tuple[int, str]:
        """Return the newest round the guest tells of, once it tells of one beyond some other, and its boot."""
        found: list[tuple[int, str]] = []

        def told() -> bool:
            text = driver.console_output(self.uuid, lines=None).decode(errors="replace")
            rounds = re.findall(r"round (\d+) (\S{36}) end", text)
            found.extend((int(number), boot_id) for number, boot_id in rounds[-1:] if int(number) > beyond)
            return bool(found)

        wait_until(told, PATIENCE_S, "the guest at work")
        return found[-1]

    def depart(self) -> None:
        self.rig.driver.depart(self.uuid, self.landing)
        wait_until(lambda: bool(self.departure().progress.memory_processed), PATIENCE_S, "memory being copied")

    def departure(self) -> Departure:
        return self.rig.driver.departure(self.uuid)

    def arrives(self) -> None:
        """See that the guest comes to the other host, whole, and works on there in the same boot."""
        wait_until(lambda: self.departure().stage is not Stage.LEAVING, PATIENCE_S, "the end of the sending")
        assert self.departure().stage is Stage.GONE
        wait_until(lambda: self.there.has_landed(self.uuid, 2), PATIENCE_S, "the guest whole")
        self.there.finish_landing(self.uuid, 2)
        assert power_state(self.there, self.uuid) is PowerState.RUNNING
        self.works_on(self.there)
        assert self.uuid not in self.rig.hosts.domains(HERE)

    def stays(self) -> None:
        """See that the guest works on where it was, and that nothing of it is on the other host in the end."""
        wait_until(lambda: self.departure().stage is not Stage.LEAVING, PATIENCE_S, "the end of the sending")
        wait_until(self._is_here, PATIENCE_S, "the guest at rest")
        assert not self.there.has_landed(self.uuid, 2)
        self.there.destroy(self.uuid)
        assert power_state(self.rig.driver, self.uuid) is PowerState.RUNNING
        self.works_on(self.rig.driver)
        assert self.uuid not in self.rig.hosts.domains(THERE)

    def works_on(self, driver: LibvirtDriver) -> None:
        before, _ = self.tells(driver)
        _, boot_id = self.tells(driver, beyond=before)
        assert boot_id == self.boot_id

    def _is_here(self) -> bool:
        if self.departure().stage is Stage.UNSETTLED:
            self.there.destroy(self.uuid)
            self.rig.driver.stay(self.uuid)
        return self.departure().stage is Stage.HERE


class _Asked:
    """Says that every migration is running."""

    def live_status(self, host: str, migration: str) -> str:
        return "running"


def test_a_busy_guest_that_is_paused_arrives(rig: Rig) -> None:
    guest = Traveller(rig, _SLOW)
    guest.depart()
    rig.driver.hurry(guest.uuid)
    guest.arrives()


def test_a_busy_guest_goes_on_before_its_memory_has_come(rig: Rig) -> None:
    guest = Traveller(rig, replace(_SLOW, may_post_copy=True))
    guest.depart()
    rig.driver.hurry(guest.uuid)
    guest.arrives()


def test_a_busy_guest_is_slowed_down(rig: Rig) -> None:
    guest = Traveller(rig, replace(_SLOW, bandwidth_mib_s=24, may_slow_down=True))
    guest.depart()

    def slowed_down() -> bool:
        if guest.departure().stage is not Stage.LEAVING:
            return True
        return "Auto converge throttle" in rig.hosts.virsh(HERE, "domjobinfo", guest.uuid)

    wait_until(slowed_down, PATIENCE_S, "a slower guest")
    rig.driver.hurry(guest.uuid)
    guest.arrives()


@pytest.mark.parametrize("forces", [False, True], ids=["abort", "force_complete"])
def test_patience_ends(rig: Rig, forces: bool) -> None:
    patience = replace(_SLOW, timeout_s_per_gib=1, forces=forces)
    guest = Traveller(rig, patience)
    migrator = LiveMigrator(
        HERE, rig.driver, _Asked(), cast(VolumePlugger, None), cast(ConfigDrives, None), lambda: patience
    )
    guest.depart()
    wait_until(
        lambda: migrator.departure(guest.uuid, wait_s=1).stage is not Stage.LEAVING, PATIENCE_S, "the end of patience"
    )
    if forces:
        guest.arrives()
    else:
        guest.stays()


@pytest.mark.parametrize("host", [HERE, THERE])
def test_a_libvirt_that_is_killed_under_way_leaves_the_guest_where_it_is(rig: Rig, host: str) -> None:
    guest = Traveller(rig, _SLOW)
    guest.depart()
    rig.hosts.kill_libvirtd(host)
    rig.hosts.boot(host)
    guest.stays()
