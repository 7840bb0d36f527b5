"""What the fake driver does beyond the contract: faults on command."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.model.guest import BaseImage, GuestSpec, PowerState, VolumeDisk


def spec(uuid: str = "5f4b1a52-5b3e-4f0e-9a0e-111111111111") -> GuestSpec:
    return GuestSpec(uuid=uuid, name="vm", epoch=1, vcpus=1, ram_mib=64, root_gib=1)


def test_a_failure_happens_as_often_as_asked() -> None:
    driver = FakeDriver("alpha")
    driver.fail("spawn", errors.Unavailable("no luck"), times=2)
    for _ in range(2):
        with pytest.raises(errors.Unavailable, match="no luck"):
            driver.spawn(spec(), None)
    assert driver.guests() == []
    driver.spawn(spec(), None)
    assert driver.faults.calls("spawn") == 3


def test_a_failure_without_end_ends_when_cleared() -> None:
    driver = FakeDriver("alpha")
    driver.fail("guests", errors.Unavailable("gone"), times=None)
    for _ in range(3):
        with pytest.raises(errors.Unavailable):
            driver.guests()
    driver.faults.clear("guests")
    assert driver.guests() == []


def test_a_lost_answer_leaves_the_deed_done() -> None:
    driver = FakeDriver("alpha")
    driver.fail("spawn", errors.Timeout("no answer"), after=True)
    with pytest.raises(errors.Timeout):
        driver.spawn(spec(), None)
    assert [guest.power_state for guest in driver.guests()] == [PowerState.RUNNING]


def test_a_delay_makes_the_call_slower() -> None:
    driver = FakeDriver("alpha")
    driver.delay("spawn", 0.05)
    began = time.monotonic()
    driver.spawn(spec(), None)
    assert time.monotonic() - began >= 0.05


def test_a_held_call_waits_at_its_gate() -> None:
    driver = FakeDriver("alpha")
    gate = driver.hold("spawn")
    caller = threading.Thread(target=driver.spawn, args=(spec(), None))
    caller.start()
    assert gate.reached.wait(480)
    assert driver.guests() == []
    gate.open()
    caller.join(480)
    assert len(driver.guests()) == 1


def test_a_forgotten_gate_fails_the_caller() -> None:
    driver = FakeDriver("alpha")
    gate = driver.hold("spawn")
    gate._deadline_s = 0.01
    with pytest.raises(TimeoutError):
        driver.spawn(spec(), None)


def test_image_bigger_than_disk_when_images_are_asked_for() -> None:
    driver = FakeDriver("alpha", needs_image=True)
    assert driver.needs_image
    with pytest.raises(errors.GuestFailed):
        driver.spawn(spec(), BaseImage("image", "/nowhere", "raw", 2 * 1024**3))


def test_unreadable_state_is_a_matter_for_the_operator(tmp_path: Path) -> None:
    (tmp_path / "guest.json").write_text("not json")
    with pytest.raises(errors.Misconfigured, match="state"):
        FakeDriver("alpha", tmp_path).connect()


def test_a_state_that_cannot_be_written_fails_the_spawn(tmp_path: Path) -> None:
    driver = FakeDriver("alpha", tmp_path / "never made")
    with pytest.raises(errors.Unavailable):
        driver.spawn(spec(), None)
    assert driver.guests() == []


def test_resources_are_as_constructed() -> None:
    resources = FakeDriver("alpha", vcpus=3, ram_mib=4096, disk_gib=17).resources()
    assert (resources.vcpus, resources.ram_mib, resources.disk_gib) == (3, 4096, 17)
    assert resources.hypervisor_hostname == "alpha"


def volume(attachment_id: str, volume_id: str = "aaaaaaaa-5b3e-4f0e-9a0e-111111111111") -> VolumeDisk:
    return VolumeDisk(volume_id, "/dev/vdb", {"driver_volume_type": "local", "attachment_id": attachment_id})


def test_a_guest_keeps_a_disk_when_told_to() -> None:
    driver, disk = FakeDriver("alpha"), volume("one")
    driver.spawn(spec(), None)
    driver.attach_volume(spec().uuid, disk)
    driver.fail("detach_volume", errors.Timeout("the guest keeps its disk"))
    with pytest.raises(errors.Timeout):
        driver.detach_volume(spec().uuid, disk.volume_id, timeout_s=1)
    assert driver.volumes_of(spec().uuid) == [disk.volume_id]
    assert driver.reached == {"one"}
    driver.detach_volume(spec().uuid, disk.volume_id, timeout_s=1)
    assert driver.volumes_of(spec().uuid) == []
    assert driver.reached == set()


def test_a_host_knows_what_it_was_led_to_until_it_is_to_forget() -> None:
    driver = FakeDriver("alpha")
    driver.spawn(replace(spec(), volumes=(volume("one"),)), None)
    driver.destroy(spec().uuid)
    assert driver.reached == {"one"}
    driver.release_volume(volume("one").connection)
    assert driver.reached == set()


def test_a_guest_that_comes_running_has_its_volumes_by_this_hosts_connections(tmp_path: Path) -> None:
    here, there = FakeDriver("alpha", tmp_path / "alpha"), FakeDriver("beta", tmp_path / "beta")
    for driver in (here, there):
        driver.connect()
    here.spawn(replace(spec(), volumes=(volume("one"),)), None)
    leaving = here.leaving(spec().uuid)
    coming = replace(spec(), epoch=2, volumes=(volume("two"),))
    gate = here.hold("transfer")
    here.depart(spec().uuid, there.prepare_landing(coming, leaving, copies_disks=False))
    gate.open()
    deadline = time.monotonic() + 480
    while not there.has_landed(spec().uuid, 2):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [one.attachment_id for one in there.plugged(spec().uuid)] == ["two"]
    assert (here.reached, there.reached) == ({"one"}, {"two"})
