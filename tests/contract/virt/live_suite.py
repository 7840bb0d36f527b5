"""What every hypervisor driver must do with guests that leave for another host while they run, whatever it drives."""

from dataclasses import replace

import pytest

from nova_lite import errors
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.guest import GuestSpec, PowerState
from nova_lite.model.live_migration import Departure, Landing, Stage
from tests.contract.virt.rig import Rig, a_spec, power_state, wait_until
from tests.contract.virt.volume_suite import VolumeRig


class LiveContract:
    """The promises of ``Driver`` about guests that leave while they run. Mixed in with ``DriverContract``."""

    def sent(self, rig: Rig, driver: Driver, uuid: str) -> Departure:
        """Wait until a guest's leaving is over, and return how."""
        wait_until(lambda: driver.departure(uuid).stage is not Stage.LEAVING, rig.patience_s, "the end of the sending")
        return driver.departure(uuid)

    def prepared(self, rig: Rig, spec: GuestSpec, there: Driver) -> Landing:
        """Have a neighbour ready for a guest, which is to have the next epoch there."""
        leaving = rig.driver.leaving(spec.uuid)
        copies = there.check_landing(spec.uuid, leaving, copies_disks=None)
        coming = replace(spec, epoch=spec.epoch + 1)
        landing = there.prepare_landing(coming, leaving, copies_disks=copies)
        assert there.prepare_landing(coming, leaving, copies_disks=copies) == landing
        assert landing.epoch == coming.epoch
        assert not there.has_landed(spec.uuid, coming.epoch)
        return landing

    def test_a_guest_goes_on_at_a_neighbour(self, rig: Rig) -> None:
        spec, there = a_spec(epoch=3), rig.neighbour()
        rig.driver.spawn(spec, rig.image)
        landing = self.prepared(rig, spec, there)
        rig.driver.depart(spec.uuid, landing)
        assert self.sent(rig, rig.driver, spec.uuid).stage is Stage.GONE
        rig.driver.depart(spec.uuid, landing)
        for _ in range(2):
            assert there.has_landed(spec.uuid, 4)
            there.finish_landing(spec.uuid, 4)
        assert not there.has_landed(spec.uuid, 5)
        rig.driver.destroy(spec.uuid)
        assert rig.leftovers(spec.uuid) == []
        assert rig.driver.guests() == []
        guest = there.guest(spec.uuid)
        assert guest is not None
        assert (guest.epoch, guest.power_state) == (4, PowerState.RUNNING)
        there.reboot(spec.uuid, hard=True, timeout_s=0)
        there.destroy(spec.uuid)

    def test_a_paused_guest_comes_paused(self, rig: Rig) -> None:
        spec, there = a_spec(), rig.neighbour()
        rig.driver.spawn(spec, rig.image)
        rig.driver.pause(spec.uuid)
        rig.driver.depart(spec.uuid, self.prepared(rig, spec, there))
        assert self.sent(rig, rig.driver, spec.uuid).stage is Stage.GONE
        assert there.has_landed(spec.uuid, 2)
        there.finish_landing(spec.uuid, 2)
        assert power_state(there, spec.uuid) is PowerState.PAUSED
        there.destroy(spec.uuid)

    def test_a_guest_nobody_waits_for_stays(self, rig: Rig) -> None:
        spec, there = a_spec(), rig.neighbour()
        rig.driver.spawn(spec, rig.image)
        landing = self.prepared(rig, spec, there)
        there.destroy(spec.uuid)
        rig.driver.stay(spec.uuid)
        assert rig.driver.departure(spec.uuid).stage is Stage.HERE
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        with pytest.raises(errors.NotFound):
            there.finish_landing(spec.uuid, landing.epoch)
        assert there.guests() == []
        assert rig.driver.console_output(spec.uuid, lines=None).count(rig.banner) <= 1

    def test_a_guest_takes_its_volume_along(self, rig: VolumeRig) -> None:
        volume, there = rig.volume(), rig.neighbour()
        spec = a_spec(volumes=(volume,))
        rig.driver.spawn(spec, rig.image)
        rig.driver.depart(spec.uuid, self.prepared(rig, spec, there))
        assert self.sent(rig, rig.driver, spec.uuid).stage is Stage.GONE
        assert there.has_landed(spec.uuid, 2)
        there.finish_landing(spec.uuid, 2)
        assert there.volumes_of(spec.uuid) == [volume.volume_id]
        there.power_off(spec.uuid, timeout_s=0)
        there.detach_volume(spec.uuid, volume.volume_id, timeout_s=0)
        assert there.volumes_of(spec.uuid) == []
        there.power_on(spec.uuid)
        there.destroy(spec.uuid)

    def test_only_guests_that_run_leave(self, rig: Rig) -> None:
        spec = a_spec()
        with pytest.raises(errors.NotFound):
            rig.driver.leaving(spec.uuid)
        assert rig.driver.departure(spec.uuid).stage is Stage.GONE
        rig.driver.stay(spec.uuid)
        rig.driver.hurry(spec.uuid)
        rig.driver.spawn(spec, rig.image)
        rig.driver.power_off(spec.uuid, timeout_s=0)
        with pytest.raises(errors.Conflict):
            rig.driver.leaving(spec.uuid)

    def test_hypervisors_of_another_kind_take_nobody(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        foreign = replace(rig.driver.leaving(spec.uuid), hypervisor_type="abacus")
        with pytest.raises(errors.HostFailed):
            rig.neighbour().check_landing(spec.uuid, foreign, copies_disks=None)
