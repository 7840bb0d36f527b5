"""What every hypervisor driver must do, whatever it drives.

A driver's own test module subclasses ``DriverContract`` and gives it a ``rig`` fixture.
"""

import uuid as uuids
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.guest import BaseImage, GuestSpec, PowerState, RescueDevice
from tests.contract.virt.rig import GIB, Rig, a_spec, power_state, wait_until


class DriverContract:
    """The promises of ``Driver``, each a test."""

    def booted(self, rig: Rig, spec: GuestSpec, times: int = 1) -> None:
        """Wait until the guest's console shows its banner for the ``times``-th time."""

        def banners() -> int:
            return rig.driver.console_output(spec.uuid, lines=None).count(rig.banner)

        wait_until(lambda: banners() >= times, rig.patience_s, f"banner number {times}")

    def test_guest_lives_from_spawn_to_destroy(self, rig: Rig) -> None:
        spec = a_spec(epoch=3)
        assert rig.driver.guest(spec.uuid) is None
        rig.driver.spawn(spec, rig.image)
        guest = rig.driver.guest(spec.uuid)
        assert guest is not None
        assert (guest.uuid, guest.epoch, guest.power_state) == (spec.uuid, 3, PowerState.RUNNING)
        assert rig.driver.guests() == [guest]
        self.booted(rig, spec)
        rig.driver.destroy(spec.uuid)
        assert rig.driver.guest(spec.uuid) is None
        assert rig.driver.guests() == []
        assert rig.leftovers(spec.uuid) == []

    def test_spawn_twice_leaves_the_first_guest_alone(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        rig.driver.spawn(spec, rig.image)
        assert rig.driver.console_output(spec.uuid, lines=None).count(rig.banner) == 1
        assert len(rig.driver.guests()) == 1

    def test_spawn_of_a_stopped_guest_starts_it_with_its_disk(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.power_off(spec.uuid, timeout_s=0)
        rig.driver.spawn(spec, rig.image)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    def test_spawn_of_a_newer_epoch_replaces_guest_and_disks(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        newer = replace(spec, epoch=2)
        for _ in range(2):
            rig.driver.spawn(newer, rig.image, start=False)
            (guest,) = rig.driver.guests()
            assert (guest.epoch, guest.power_state) == (2, PowerState.SHUTDOWN)
        assert rig.banner not in rig.driver.console_output(spec.uuid, lines=None)
        rig.driver.spawn(newer, rig.image)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        self.booted(rig, newer)

    def test_spawn_replaces_a_half_made_attempt(self, rig: Rig) -> None:
        spec = a_spec()
        rig.leave_half_made(spec)
        rig.driver.spawn(spec, rig.image)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        rig.driver.destroy(spec.uuid)
        assert rig.leftovers(spec.uuid) == []

    def test_destroy_clears_a_half_made_attempt(self, rig: Rig) -> None:
        spec = a_spec()
        rig.leave_half_made(spec)
        rig.driver.destroy(spec.uuid)
        assert rig.leftovers(spec.uuid) == []
        assert rig.driver.guests() == []

    def test_spawn_with_a_newer_epoch_replaces_the_stale_guest(self, rig: Rig) -> None:
        spec = a_spec(epoch=1)
        rig.driver.spawn(spec, rig.image)
        rig.driver.spawn(replace(spec, epoch=2), rig.image)
        assert [(guest.uuid, guest.epoch) for guest in rig.driver.guests()] == [(spec.uuid, 2)]

    def test_spawn_with_an_older_epoch_is_refused(self, rig: Rig) -> None:
        spec = a_spec(epoch=2)
        rig.driver.spawn(spec, rig.image)
        with pytest.raises(errors.Conflict):
            rig.driver.spawn(replace(spec, epoch=1), rig.image)
        assert [(guest.uuid, guest.epoch) for guest in rig.driver.guests()] == [(spec.uuid, 2)]

    def test_failed_start_leaves_nothing_and_may_be_tried_again(self, rig: Rig) -> None:
        spec = a_spec(has_config_drive=True)
        rig.fail_next_start()
        with pytest.raises(errors.Unavailable):
            rig.driver.spawn(spec, rig.image)
        assert rig.driver.guest(spec.uuid) is None
        assert rig.leftovers(spec.uuid) == []
        rig.driver.spawn(spec, rig.image)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    def test_image_bigger_than_the_disk_is_the_users_mistake(self, rig: Rig) -> None:
        image = BaseImage("big", rig.image.path if rig.image else "/nowhere", "qcow2", 2 * GIB)
        spec = a_spec(root_gib=1)
        with pytest.raises(errors.GuestFailed, match="disk"):
            rig.driver.spawn(spec, image)
        assert rig.driver.guest(spec.uuid) is None
        assert rig.leftovers(spec.uuid) == []

    def test_disk_of_zero_takes_the_images_size(self, rig: Rig) -> None:
        spec = a_spec(root_gib=0)
        rig.driver.spawn(spec, rig.image)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    def test_destroy_twice_and_of_an_unknown_guest(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.destroy(spec.uuid)
        rig.driver.destroy(spec.uuid)
        rig.driver.destroy(str(uuids.uuid4()))
        assert rig.driver.guests() == []

    def test_destroy_of_a_stopped_guest(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.power_off(spec.uuid, timeout_s=0)
        rig.driver.destroy(spec.uuid)
        assert rig.driver.guest(spec.uuid) is None
        assert rig.leftovers(spec.uuid) == []

    def test_power_off_and_on_are_idempotent(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        for _ in range(2):
            rig.driver.power_off(spec.uuid, timeout_s=0)
            assert power_state(rig.driver, spec.uuid) is PowerState.SHUTDOWN
        for _ in range(2):
            rig.driver.power_on(spec.uuid)
            assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    def test_power_off_asks_the_guest_first(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        rig.driver.power_off(spec.uuid, timeout_s=rig.patience_s)
        assert power_state(rig.driver, spec.uuid) is PowerState.SHUTDOWN

    def test_soft_reboot_boots_again(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        rig.driver.reboot(spec.uuid, hard=False, timeout_s=rig.patience_s)
        self.booted(rig, spec, times=2)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    def test_hard_reboot_boots_again(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        rig.driver.reboot(spec.uuid, hard=True, timeout_s=0)
        self.booted(rig, spec, times=2)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    @pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
    def test_reboot_starts_a_stopped_guest(self, rig: Rig, hard: bool) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.power_off(spec.uuid, timeout_s=0)
        rig.driver.reboot(spec.uuid, hard=hard, timeout_s=0)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    def test_pause_and_unpause_are_idempotent(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        for _ in range(2):
            rig.driver.pause(spec.uuid)
            assert power_state(rig.driver, spec.uuid) is PowerState.PAUSED
        for _ in range(2):
            rig.driver.unpause(spec.uuid)
            assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        self.booted(rig, spec)

    def test_a_suspended_guest_runs_on_where_it_was(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        for _ in range(2):
            rig.driver.suspend(spec.uuid)
            assert power_state(rig.driver, spec.uuid) is PowerState.SHUTDOWN
        for _ in range(2):
            rig.driver.resume(spec.uuid)
            assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        rig.driver.power_off(spec.uuid, timeout_s=rig.patience_s)  # it can only obey when it is up
        rig.driver.power_on(spec.uuid)
        self.booted(rig, spec, times=2)
        assert rig.driver.console_output(spec.uuid, lines=None).count(rig.banner) == 2

    def test_a_paused_guest_may_be_suspended_and_then_runs(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.pause(spec.uuid)
        rig.driver.suspend(spec.uuid)
        rig.driver.resume(spec.uuid)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    @pytest.mark.parametrize("deed", ["pause", "suspend"])
    def test_hard_reboot_of_what_is_paused_or_suspended_is_a_boot(self, rig: Rig, deed: str) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        getattr(rig.driver, deed)(spec.uuid)
        rig.driver.reboot(spec.uuid, hard=True, timeout_s=0)
        self.booted(rig, spec, times=2)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    def test_destroy_of_a_suspended_guest_leaves_nothing(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.suspend(spec.uuid)
        rig.driver.destroy(spec.uuid)
        assert rig.driver.guest(spec.uuid) is None
        assert rig.leftovers(spec.uuid) == []

    @pytest.mark.parametrize("deed", ["pause", "unpause", "suspend"])
    def test_what_is_off_cannot_be_paused_or_suspended(self, rig: Rig, deed: str) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.power_off(spec.uuid, timeout_s=0)
        with pytest.raises(errors.Conflict, match="not running"):
            getattr(rig.driver, deed)(spec.uuid)
        assert power_state(rig.driver, spec.uuid) is PowerState.SHUTDOWN

    def test_resume_of_what_lost_its_memory_is_a_boot(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.power_off(spec.uuid, timeout_s=0)
        rig.driver.resume(spec.uuid)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    def test_a_rescued_guest_boots_from_another_disk_and_back(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        for _ in range(2):
            rig.driver.rescue(spec, rig.image, timeout_s=0)
            assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        self.booted(rig, spec, times=2)
        guest = rig.new_driver().guest(spec.uuid)
        assert guest is not None
        assert guest.epoch == spec.epoch
        for _ in range(2):
            rig.driver.unrescue(spec.uuid, start=True)
            assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        self.booted(rig, spec, times=3)
        rig.driver.destroy(spec.uuid)
        assert rig.leftovers(spec.uuid) == []

    def test_a_rescue_disk_may_come_last_and_is_booted_from(self, rig: Rig) -> None:
        spec = a_spec(swap_mib=16)
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        for _ in range(2):
            rig.driver.rescue(spec, rig.image, timeout_s=0, device=RescueDevice("disk", "scsi"))
            assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        self.booted(rig, spec, times=2)
        rig.driver.unrescue(spec.uuid, start=True)
        self.booted(rig, spec, times=3)
        rig.driver.destroy(spec.uuid)
        assert rig.leftovers(spec.uuid) == []

    def test_a_stopped_guest_may_be_rescued_and_be_left_off_again(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        rig.driver.power_off(spec.uuid, timeout_s=0)
        rig.driver.rescue(spec, rig.image, timeout_s=0)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        for _ in range(2):
            rig.driver.unrescue(spec.uuid, start=False)
            assert power_state(rig.driver, spec.uuid) is PowerState.SHUTDOWN

    def test_a_rescued_guest_is_destroyed_whole(self, rig: Rig) -> None:
        spec = a_spec(has_config_drive=True, swap_mib=16)
        rig.driver.spawn(spec, rig.image)
        rig.driver.rescue(spec, rig.image, timeout_s=0)
        rig.driver.destroy(spec.uuid)
        assert rig.driver.guest(spec.uuid) is None
        assert rig.leftovers(spec.uuid) == []

    def test_a_running_guest_is_looked_into(self, rig: Rig) -> None:
        spec = a_spec()
        for deed in (rig.driver.diagnostics, rig.driver.freeze, rig.driver.thaw):
            with pytest.raises(errors.NotFound):
                deed(spec.uuid)
        rig.driver.spawn(spec, rig.image)
        found = rig.driver.diagnostics(spec.uuid)
        assert (len(found.cpus), found.disks[0].device) == (spec.vcpus, "vda")
        assert found.memory_max_kib >= found.memory_used_kib > 0
        assert found.cpus[0].time_ns is not None
        assert found.memory_kib["actual"] > 0
        rig.driver.inject_nmi(spec.uuid)
        rig.driver.power_off(spec.uuid, timeout_s=0)
        rig.driver.thaw(spec.uuid)
        for deed in (rig.driver.diagnostics, rig.driver.inject_nmi, rig.driver.freeze):
            with pytest.raises(errors.Conflict):
                deed(spec.uuid)
        with pytest.raises(errors.Conflict):
            rig.driver.set_password(spec.uuid, "root", "opensesame")

    def test_console_shows_the_last_lines(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        assert rig.driver.console_output(spec.uuid, lines=0) == b""
        last = rig.driver.console_output(spec.uuid, lines=2)
        log = rig.driver.console_output(spec.uuid, lines=None)
        assert len(log) <= 100 * 1024
        assert last.count(b"\n") == 1
        assert last in log

    @pytest.mark.parametrize("is_on", [True, False], ids=["running", "stopped"])
    def test_a_snapshot_is_a_file_and_the_guest_goes_on(self, rig: Rig, tmp_path: Path, is_on: bool) -> None:
        tmp_path.chmod(0o711)
        for parent in tmp_path.parents[:2]:
            parent.chmod(0o711)
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        self.booted(rig, spec)
        if not is_on:
            rig.driver.power_off(spec.uuid, timeout_s=0)
        for name in ("one", "two"):
            path = tmp_path / name
            assert rig.driver.snapshot(spec.uuid, path, timeout_s=rig.patience_s) in ("raw", "qcow2")
            assert path.stat().st_size > 0
        assert power_state(rig.driver, spec.uuid) is (PowerState.RUNNING if is_on else PowerState.SHUTDOWN)
        assert rig.driver.console_output(spec.uuid, lines=None).count(rig.banner) == 1

    def test_new_driver_finds_the_guests_with_their_epochs(self, rig: Rig) -> None:
        running, stopped = a_spec(epoch=7), a_spec(epoch=8)
        for spec in (running, stopped):
            rig.driver.spawn(spec, rig.image)
        rig.driver.power_off(stopped.uuid, timeout_s=0)
        again = rig.new_driver()
        found = {guest.uuid: (guest.epoch, guest.power_state) for guest in again.guests()}
        assert found == {running.uuid: (7, PowerState.RUNNING), stopped.uuid: (8, PowerState.SHUTDOWN)}
        again.power_on(stopped.uuid)
        again.destroy(running.uuid)
        assert power_state(again, stopped.uuid) is PowerState.RUNNING

    def test_guests_of_a_neighbour_are_not_seen(self, rig: Rig) -> None:
        spec = a_spec()
        rig.driver.spawn(spec, rig.image)
        neighbour = rig.neighbour()
        assert neighbour.guests() == []
        assert neighbour.guest(spec.uuid) is None
        neighbour.destroy(spec.uuid)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING

    @pytest.mark.parametrize(
        "act",
        [
            pytest.param(lambda driver, uuid: driver.power_on(uuid), id="power on"),
            pytest.param(lambda driver, uuid: driver.power_off(uuid, timeout_s=0), id="power off"),
            pytest.param(lambda driver, uuid: driver.reboot(uuid, hard=True, timeout_s=0), id="reboot"),
            pytest.param(lambda driver, uuid: driver.pause(uuid), id="pause"),
            pytest.param(lambda driver, uuid: driver.unpause(uuid), id="unpause"),
            pytest.param(lambda driver, uuid: driver.suspend(uuid), id="suspend"),
            pytest.param(lambda driver, uuid: driver.resume(uuid), id="resume"),
            pytest.param(lambda driver, uuid: driver.unrescue(uuid, start=True), id="unrescue"),
            pytest.param(lambda driver, uuid: driver.snapshot(uuid, Path("/nowhere"), timeout_s=1), id="snapshot"),
            pytest.param(lambda driver, uuid: driver.console_output(uuid, lines=None), id="console"),
            pytest.param(lambda driver, uuid: driver.console_ports(uuid, "vnc"), id="console to be opened"),
        ],
    )
    def test_unknown_guest_is_not_found(self, rig: Rig, act: Callable[[Driver, str], object]) -> None:
        with pytest.raises(errors.NotFound):
            act(rig.driver, str(uuids.uuid4()))

    def test_resources_are_those_of_a_host(self, rig: Rig) -> None:
        resources = rig.driver.resources()
        assert resources.vcpus >= 1
        assert resources.ram_mib >= 256
        assert resources.disk_gib >= 1
        assert resources.hypervisor_version > 0
        assert resources.hypervisor_hostname
        assert "COMPUTE_NODE" in resources.traits

    def test_providers_are_a_tree_that_offers_the_resources(self, rig: Rig) -> None:
        resources = rig.driver.resources()
        host, *parts = providers = rig.driver.providers()
        assert (host.name, host.parent, host.traits) == (resources.hypervisor_hostname, None, resources.traits)
        names = [provider.name for provider in providers]
        assert len(set(names)) == len(names)
        assert all(part.parent in names[:place] for place, part in enumerate(parts, start=1))
        assert all(name.startswith(f"{host.name}_") for name in names[1:])
        assert sum(one.inventories["VCPU"].total for one in providers if "VCPU" in one.inventories) == resources.vcpus
        assert rig.driver.providers() == providers
