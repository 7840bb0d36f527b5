"""What every hypervisor driver must do with volumes, whatever it drives."""

import uuid as uuids
from dataclasses import replace
from typing import Protocol

import pytest

from nova_lite import errors
from nova_lite.model.guest import PowerState, VolumeDisk
from tests.contract.virt.rig import Rig, a_spec, power_state, wait_until


class VolumeRig(Rig, Protocol):
    """A host that can be given volumes."""

    def volume(self, device_name: str = "/dev/vdb") -> VolumeDisk:
        """Return a new volume that this host and its neighbour can have."""
        ...

    def bootable(self) -> VolumeDisk:
        """Return a new volume to boot from, as ``/dev/vda``."""
        ...

    def is_there(self, uuid: str, volume: VolumeDisk) -> bool:
        """Return whether the guest has a volume by this very connection, now and at its next start."""
        ...


class VolumeContract:
    """The promises of ``Driver`` about volumes, each a test. Mixed in with ``DriverContract``."""

    def test_a_host_says_who_it_is(self, rig: VolumeRig) -> None:
        said = rig.driver.connector()
        assert said["host"] == "alpha"
        assert said["ip"]
        assert {"platform", "os_type", "multipath"} <= said.keys()
        assert rig.driver.connector() == said

    def test_a_guest_that_is_off_gets_volumes_and_loses_them(self, rig: VolumeRig) -> None:
        spec, first, second = a_spec(), rig.volume("/dev/vdb"), rig.volume("/dev/vdc")
        rig.driver.spawn(spec, rig.image, start=False)
        assert rig.driver.volumes_of(spec.uuid) == []
        for _ in range(2):
            rig.driver.attach_volume(spec.uuid, first)
        rig.driver.attach_volume(spec.uuid, second)
        driver = rig.new_driver()
        assert driver.volumes_of(spec.uuid) == [first.volume_id, second.volume_id]
        for _ in range(2):
            driver.detach_volume(spec.uuid, first.volume_id, timeout_s=rig.patience_s)
            assert driver.volumes_of(spec.uuid) == [second.volume_id]
        driver.attach_volume(spec.uuid, replace(first, device_name="/dev/vdd"))
        driver.power_on(spec.uuid)
        assert set(driver.volumes_of(spec.uuid)) == {first.volume_id, second.volume_id}

    def test_a_running_guest_gets_a_volume_and_keeps_it(self, rig: VolumeRig) -> None:
        spec, volume = a_spec(), rig.volume()
        rig.driver.spawn(spec, rig.image)
        for _ in range(2):
            rig.driver.attach_volume(spec.uuid, volume)
            assert rig.driver.volumes_of(spec.uuid) == [volume.volume_id]
        rig.driver.reboot(spec.uuid, hard=True, timeout_s=0)
        assert rig.driver.volumes_of(spec.uuid) == [volume.volume_id]
        rig.driver.power_off(spec.uuid, timeout_s=0)
        assert rig.driver.volumes_of(spec.uuid) == [volume.volume_id]
        rig.driver.detach_volume(spec.uuid, volume.volume_id, timeout_s=0)
        rig.driver.power_on(spec.uuid)
        assert rig.driver.volumes_of(spec.uuid) == []

    def test_a_running_guest_goes_over_to_another_volume_and_back(self, rig: VolumeRig) -> None:
        here, spec = rig.volume(), a_spec()
        there = replace(rig.volume(), volume_id=here.volume_id)
        rig.driver.spawn(spec, rig.image)
        rig.driver.attach_volume(spec.uuid, here)
        for place in (there, there, here):
            self.swap(rig, spec.uuid, place)
            assert rig.is_there(spec.uuid, place)
            assert rig.driver.volumes_of(spec.uuid) == [here.volume_id]
        self.swap(rig, spec.uuid, there)
        rig.driver.reboot(spec.uuid, hard=True, timeout_s=0)
        assert rig.is_there(spec.uuid, there)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    def test_a_guest_keeps_its_volume_where_it_was_to_go_no_more(self, rig: VolumeRig) -> None:
        here, spec = rig.volume(), a_spec()
        there = replace(rig.volume(), volume_id=here.volume_id)
        rig.driver.spawn(spec, rig.image)
        rig.driver.attach_volume(spec.uuid, here)
        with pytest.raises(errors.Conflict):
            rig.driver.swap_volume(spec.uuid, there, timeout_s=rig.patience_s, goes_on=lambda: False)
        assert rig.is_there(spec.uuid, here)
        for _ in range(2):
            self.swap(rig, spec.uuid, here)
            assert rig.is_there(spec.uuid, here)
        third = replace(rig.volume(), volume_id=here.volume_id)
        self.swap(rig, spec.uuid, third)
        assert rig.is_there(spec.uuid, third)

    def test_what_cannot_go_over(self, rig: VolumeRig) -> None:
        here, spec = rig.volume(), a_spec()
        there = replace(rig.volume(), volume_id=here.volume_id)
        with pytest.raises(errors.NotFound):
            self.swap(rig, spec.uuid, there)
        rig.driver.spawn(spec, rig.image, start=False)
        with pytest.raises(errors.GuestFailed):
            self.swap(rig, spec.uuid, there)
        rig.driver.attach_volume(spec.uuid, here)
        with pytest.raises(errors.GuestFailed):
            self.swap(rig, spec.uuid, there)
        self.swap(rig, spec.uuid, here)
        assert rig.is_there(spec.uuid, here)

    def swap(self, rig: VolumeRig, uuid: str, volume: VolumeDisk) -> None:
        """Have a guest go over to another volume."""
        rig.driver.swap_volume(uuid, volume, timeout_s=rig.patience_s, goes_on=lambda: True)

    def test_a_guest_is_made_with_its_volumes_and_takes_them_with_it(self, rig: VolumeRig) -> None:
        volume = rig.volume()
        spec = a_spec(volumes=(volume,))
        rig.driver.spawn(spec, rig.image, start=False)
        assert rig.driver.volumes_of(spec.uuid) == [volume.volume_id]
        other = rig.volume("/dev/vdc")
        rig.driver.spawn(replace(spec, epoch=2, volumes=(other,)), rig.image, start=False)
        assert rig.driver.volumes_of(spec.uuid) == [other.volume_id]
        rig.driver.destroy(spec.uuid)
        for _ in range(2):
            rig.driver.detach_volume(spec.uuid, other.volume_id, timeout_s=0)
            rig.driver.release_volume(volume.connection)
            rig.driver.release_volume(other.connection)
        assert rig.leftovers(spec.uuid) == []
        with pytest.raises(errors.NotFound):
            rig.driver.volumes_of(spec.uuid)

    def test_a_guest_set_aside_has_its_volumes_again(self, rig: VolumeRig) -> None:
        here, there = rig.volume(), rig.neighbour()
        spec = a_spec(volumes=(here,))
        rig.driver.spawn(spec, rig.image, start=False)
        disks_at = rig.driver.disks_at(spec.uuid)
        rig.driver.set_aside(spec.uuid, timeout_s=0)
        added = rig.volume("/dev/vdc")
        there.receive(replace(spec, epoch=2, volumes=(here, added)), disks_at, start=False)
        assert there.volumes_of(spec.uuid) == [here.volume_id, added.volume_id]
        there.destroy(spec.uuid)
        rig.driver.bring_back(spec.uuid, 3, start=False)
        assert rig.driver.volumes_of(spec.uuid) == [here.volume_id]

    def test_two_guests_share_a_volume(self, rig: VolumeRig) -> None:
        volume = replace(rig.volume(), is_shareable=True)
        specs = [a_spec(ram_mib=96, volumes=(volume,)), a_spec(ram_mib=96)]
        for spec in specs:
            rig.driver.spawn(spec, rig.image)
        rig.driver.attach_volume(specs[1].uuid, volume)
        assert [rig.driver.volumes_of(spec.uuid) for spec in specs] == [[volume.volume_id]] * 2
        rig.driver.destroy(specs[0].uuid)
        assert rig.driver.volumes_of(specs[1].uuid) == [volume.volume_id]
        assert power_state(rig.driver, specs[1].uuid) is PowerState.RUNNING

    def test_a_guest_boots_from_a_volume_and_lets_another_go(self, rig: VolumeRig) -> None:
        volume, data = rig.bootable(), rig.volume()
        spec = a_spec(volumes=(data, volume), root_gib=0)
        assert spec.boots_from_volume
        rig.driver.spawn(spec, None)
        assert set(rig.driver.volumes_of(spec.uuid)) == {volume.volume_id, data.volume_id}
        for _ in range(2):  # at first while the guest is booting still
            rig.driver.detach_volume(spec.uuid, data.volume_id, timeout_s=rig.patience_s)
            assert rig.driver.volumes_of(spec.uuid) == [volume.volume_id]
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        self.up(rig, spec.uuid)
        rig.driver.destroy(spec.uuid)
        assert rig.leftovers(spec.uuid) == []

    def test_a_device_that_another_disk_is_stays_that_ones(self, rig: VolumeRig) -> None:
        first, second = rig.volume(), rig.volume()
        spec = a_spec(volumes=(first,))
        rig.driver.spawn(spec, rig.image, start=False)
        with pytest.raises(errors.GuestFailed, match="vdb"):
            rig.driver.attach_volume(spec.uuid, second)
        assert rig.driver.volumes_of(spec.uuid) == [first.volume_id]

    def test_a_volume_nobody_can_reach_is_refused(self, rig: VolumeRig) -> None:
        spec, volume = a_spec(), replace(rig.volume(), connection={})
        rig.driver.spawn(spec, rig.image, start=False)
        with pytest.raises(errors.GuestFailed):
            rig.driver.attach_volume(spec.uuid, volume)
        assert rig.driver.volumes_of(spec.uuid) == []
        unmade = a_spec(volumes=(volume,))
        with pytest.raises(errors.GuestFailed):
            rig.driver.spawn(unmade, rig.image)
        assert rig.leftovers(unmade.uuid) == []

    def test_a_guest_that_is_not_here_has_no_volumes(self, rig: VolumeRig) -> None:
        uuid, volume = str(uuids.uuid4()), rig.volume()
        with pytest.raises(errors.NotFound):
            rig.driver.attach_volume(uuid, volume)
        for deed in (rig.driver.volumes_of, lambda uuid: rig.driver.extend_volume(uuid, volume.volume_id, 1)):
            with pytest.raises(errors.NotFound):
                deed(uuid)
        rig.driver.detach_volume(uuid, volume.volume_id, timeout_s=0)
        rig.driver.release_volume(volume.connection)

    def up(self, rig: VolumeRig, uuid: str) -> None:
        """Wait until the guest's console shows its banner."""
        wait_until(lambda: rig.banner in rig.driver.console_output(uuid, lines=None), rig.patience_s, "the banner")
