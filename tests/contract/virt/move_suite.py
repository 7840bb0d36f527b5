"""What a hypervisor driver must do for guests that move, or grow where they are."""

from dataclasses import replace

import pytest

from nova_lite import errors
from nova_lite.model.guest import PowerState
from tests.contract.virt.rig import Rig, a_spec, power_state


class MoveContract:
    """The promises of ``Driver`` about guests that move, each a test. Mixed in with ``DriverContract``."""

    def test_a_guest_set_aside_is_no_guest(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        for _ in range(2):
            rig.driver.set_aside(spec.uuid, timeout_s=0)
            assert rig.driver.guests() == []
            assert rig.driver.asides() == [spec.uuid]
        with pytest.raises(errors.NotFound):
            rig.driver.power_on(spec.uuid)
        for _ in range(2):
            rig.driver.drop_aside(spec.uuid)
            assert rig.driver.asides() == []
        assert rig.leftovers(spec.uuid) == []

    def test_disks_are_kept_by_the_host_that_has_them(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        for _ in range(2):
            rig.driver.keep_disks(spec.uuid)
        assert not rig.driver.sees_disks(spec.uuid), "they are its own"
        assert [guest.uuid for guest in rig.driver.guests()] == [spec.uuid]
        rig.driver.destroy(spec.uuid)
        assert rig.leftovers(spec.uuid) == []

    def test_a_guest_comes_back_as_it_was(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.set_aside(spec.uuid, timeout_s=0)
        driver = rig.new_driver()
        assert driver.asides() == [spec.uuid]
        for start, power in ((False, PowerState.SHUTDOWN), (True, PowerState.RUNNING)):
            driver.bring_back(spec.uuid, 3, start=start)
            guest = driver.guest(spec.uuid)
            assert guest is not None
            assert (guest.epoch, guest.power_state) == (3, power)
        assert driver.asides() == []
        with pytest.raises(errors.Conflict):
            driver.bring_back(spec.uuid, 2, start=True)
        driver.destroy(spec.uuid)
        assert rig.leftovers(spec.uuid) == []

    def test_only_what_was_not_finished_is_cleared(self, rig: Rig) -> None:
        spec, whole = a_spec(), a_spec()
        rig.leave_half_made(spec)
        rig.driver.spawn(whole, rig.image)
        for _ in range(2):
            for each in (spec, whole, a_spec()):
                rig.driver.clear_attempt(each.uuid)
            assert rig.leftovers(spec.uuid) == []
            assert power_state(rig.driver, whole.uuid) is PowerState.RUNNING

    def test_a_guest_that_was_never_set_aside_is_brought_back_too(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.bring_back(spec.uuid, 1, start=True)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    def test_a_guest_moves_to_a_neighbour(self, rig: Rig) -> None:
        spec, there = a_spec(), rig.neighbour()
        rig.driver.spawn(spec, rig.image)
        disks_at = rig.driver.disks_at(spec.uuid)
        there.check_reach(disks_at)
        rig.driver.set_aside(spec.uuid, timeout_s=0)
        moved = replace(spec, epoch=2, root_gib=2)
        for start, power in ((False, PowerState.SHUTDOWN), (True, PowerState.RUNNING)):
            there.receive(moved, disks_at, start=start)
            guest = there.guest(spec.uuid)
            assert guest is not None
            assert (guest.epoch, guest.power_state) == (2, power)
        assert there.asides() == []
        assert rig.driver.guests() == []
        with pytest.raises(errors.Conflict):
            there.receive(replace(moved, epoch=1), disks_at, start=True)
        there.destroy(spec.uuid)
        assert rig.driver.asides() == [spec.uuid]
        rig.driver.drop_aside(spec.uuid)

    def test_a_guest_grows_where_it_is(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        disks_at = rig.driver.disks_at(spec.uuid)
        rig.driver.set_aside(spec.uuid, timeout_s=0)
        rig.driver.receive(replace(spec, epoch=2, ram_mib=192), disks_at, start=True)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        rig.driver.destroy(spec.uuid)
        assert rig.driver.asides() == [spec.uuid]
        rig.driver.bring_back(spec.uuid, 3, start=True)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        rig.driver.destroy(spec.uuid)
        assert rig.leftovers(spec.uuid) == []

    def test_nothing_can_be_moved_that_is_not_there(self, rig: Rig) -> None:
        uuid = a_spec().uuid
        for deed in (
            lambda: rig.driver.disks_at(uuid),
            lambda: rig.driver.set_aside(uuid, timeout_s=0),
            lambda: rig.driver.bring_back(uuid, 1, start=True),
        ):
            with pytest.raises(errors.NotFound):
                deed()
        rig.driver.drop_aside(uuid)
