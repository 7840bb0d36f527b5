"""What an agent does when told: building, removing, power; with the fence that keeps out late messages."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nova_lite import config, errors
from nova_lite.clients.vendordata import Teller
from nova_lite.compute.actions.spawn import guest_spec
from nova_lite.compute.config_drive import ConfigDrives
from nova_lite.compute.server import ComputeEndpoint
from nova_lite.model.guest import GuestSpec, PowerState
from nova_lite.model.live_migration import Leaving
from tests.unit.compute.agent import INSTANCE, UUID, Host, Images


def test_a_life() -> None:
    host = Host()
    assert host.build() == PowerState.RUNNING
    assert host.build() == PowerState.RUNNING
    assert host.ear.power_off(UUID, 1) == PowerState.SHUTDOWN
    assert host.ear.power_off(UUID, 1) == PowerState.SHUTDOWN
    assert host.ear.power_on(UUID, 1) == PowerState.RUNNING
    assert host.ear.reboot(UUID, 1, hard=False) == PowerState.RUNNING
    assert host.ear.reboot(UUID, 1, hard=True) == PowerState.RUNNING
    assert "login" in host.ear.console_output(UUID, None)
    assert re.match(r"\s*\S+ up\s+.+,\s+\d+ users?,\s+load average: [\d., ]+\n", host.ear.uptime())
    host.ear.destroy(UUID, [])
    host.ear.destroy(UUID, [])
    assert host.state() is None
    assert set(host.fence.asked) == {("run", "host1", UUID, 1), ("stop", "host1", UUID, 1)}


@pytest.mark.parametrize(
    ("deed", "before", "after"),
    [
        ("pause", None, PowerState.PAUSED),
        ("unpause", "pause", PowerState.RUNNING),
        ("suspend", None, PowerState.SHUTDOWN),
        ("resume", "suspend", PowerState.RUNNING),
    ],
)
def test_pausing_and_suspending_are_fenced(deed: str, before: str | None, after: PowerState) -> None:
    host = Host()
    host.build()
    if before is not None:
        getattr(host.ear, before)(UUID, 1)
    found = host.state()
    host.fence.may = False
    with pytest.raises(errors.Conflict, match=f"not asked to {deed}"):
        getattr(host.ear, deed)(UUID, 1)
    assert host.state() is found
    host.fence.may = True
    for _ in range(2):
        assert getattr(host.ear, deed)(UUID, 1) == after
    assert host.fence.asked[-1] == (deed, "host1", UUID, 1)


def test_a_rebuild_replaces_the_guest_and_keeps_it_off_if_it_was() -> None:
    host = Host()
    host.build()
    anew = msgspec.to_builtins(replace(INSTANCE, epoch=2))
    assert host.ear.rebuild(anew, start=False) == PowerState.SHUTDOWN
    assert host.fence.asked[-1] == ("run", "host1", UUID, 2)
    guest = host.driver.guest(UUID)
    assert guest is not None
    assert guest.epoch == 2
    assert host.ear.rebuild(anew, start=True) == PowerState.RUNNING
    host.fence.may = False
    with pytest.raises(errors.Conflict, match="not being built"):
        host.ear.rebuild(anew, start=True)


def test_a_rescue_is_fenced_and_undone() -> None:
    host = Host()
    host.build()
    plain = msgspec.to_builtins(INSTANCE)
    host.fence.may = False
    with pytest.raises(errors.Conflict, match="not asked to rescue"):
        host.ear.rescue(plain, "image")
    host.fence.may = True
    for _ in range(2):
        assert host.ear.rescue(plain, "image", {"kind": "cdrom", "bus": "ide"}) == PowerState.RUNNING
    assert host.fence.asked[-1] == ("rescue", "host1", UUID, 1)
    for _ in range(2):
        assert host.ear.unrescue(UUID, 1, during="rescue", start=False) == PowerState.SHUTDOWN
    assert host.ear.unrescue(UUID, 1, during="unrescue", start=True) == PowerState.RUNNING
    assert host.fence.asked[-1] == ("unrescue", "host1", UUID, 1)
    host.fence.may = False
    with pytest.raises(errors.Conflict, match="not asked to unrescue"):
        host.ear.unrescue(UUID, 1, during="unrescue", start=True)


def test_a_rescue_image_that_is_bad_is_the_users_mistake() -> None:
    host = Host(needs_image=True)
    host.build()
    host.images.error = errors.NotFound("no such image")
    with pytest.raises(errors.GuestFailed):
        host.ear.rescue(msgspec.to_builtins(INSTANCE), "image")
    assert host.state() is PowerState.RUNNING


def test_an_image_is_fetched_ahead_where_guests_need_one() -> None:
    host = Host(needs_image=True)
    host.ear.cache_image("image")
    host.images.error = errors.GuestFailed("It is no image.")
    with pytest.raises(errors.GuestFailed):
        host.ear.cache_image("image")
    Host().ear.cache_image("image")


def test_the_fence_keeps_late_messages_out() -> None:
    host = Host()
    host.build()
    host.ear.power_off(UUID, 1)
    host.fence.may = False
    with pytest.raises(errors.Conflict):
        host.ear.power_on(UUID, 1)
    with pytest.raises(errors.Conflict):
        host.ear.reboot(UUID, 1, hard=True)
    with pytest.raises(errors.Conflict):
        host.build()
    assert host.state() is PowerState.SHUTDOWN
    host.fence.may = True
    host.ear.power_on(UUID, 1)
    host.fence.may = False
    with pytest.raises(errors.Conflict):
        host.ear.power_off(UUID, 1)
    assert host.state() is PowerState.RUNNING


def test_a_fenced_build_makes_nothing() -> None:
    host = Host()
    host.fence.may = False
    with pytest.raises(errors.Conflict, match="not being built"):
        host.build()
    assert host.state() is None


def test_a_conductor_that_does_not_answer_is_no_failure_of_the_host() -> None:
    """The workflow asks again; taken for the host's failure it ended servers in ERROR."""
    host = Host()
    host.fence.error = errors.Timeout("No answer from conductor in time.")
    with pytest.raises(errors.Timeout):
        host.build()
    assert host.state() is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(errors.Unavailable("libvirt is away"), errors.HostFailed, id="another host might"),
        pytest.param(errors.GuestFailed("the disk is too small"), errors.GuestFailed, id="nobody could"),
        pytest.param(errors.Conflict("a newer epoch is here"), errors.Conflict, id="it belongs elsewhere"),
        pytest.param(errors.NotFound("no such image"), errors.GuestFailed, id="something named is not there"),
        pytest.param(errors.Invalid("the config drive is too big"), errors.GuestFailed, id="what was sent is wrong"),
        pytest.param(errors.Misconfigured("no mkisofs"), errors.HostFailed, id="the host lacks something"),
        pytest.param(errors.NovaLiteError("odd"), errors.HostFailed, id="something else"),
    ],
)
def test_failures_of_the_hypervisor(error: errors.NovaLiteError, kind: type[Exception]) -> None:
    host = Host()
    host.driver.fail("spawn", error)
    with pytest.raises(kind, match=error.message):
        host.build()
    assert host.state() is None


def test_a_bug_of_the_driver_is_the_hosts_failure_and_keeps_its_words() -> None:
    host = Host()
    host.driver.fail("spawn", ValueError("secret"))
    with pytest.raises(errors.HostFailed, match="an internal error happened") as failure:
        host.build()
    assert "secret" not in failure.value.message
    assert host.state() is None


@pytest.mark.parametrize(
    ("images", "kind"),
    [
        pytest.param(Images(errors.NotFound("Image image is gone")), errors.GuestFailed, id="gone"),
        pytest.param(Images(errors.GuestFailed("hostile")), errors.GuestFailed, id="hostile"),
        pytest.param(Images(errors.Unavailable("no room for the image")), errors.HostFailed, id="no room"),
        pytest.param(Images(virtual_size=2 << 30), errors.GuestFailed, id="too big for the disk"),
    ],
)
def test_failures_of_images(images: Images, kind: type[Exception]) -> None:
    host = Host(needs_image=True)
    host.images.error, host.images.virtual_size = images.error, images.virtual_size
    with pytest.raises(kind):
        host.build()
    assert host.state() is None


def test_a_guest_that_vanishes_at_once_is_a_failure() -> None:
    host = Host()
    host.driver.guest = lambda uuid: None  # type: ignore[method-assign]
    with pytest.raises(errors.HostFailed, match="vanished"):
        host.build()


@pytest.mark.parametrize("deed", ["power_on", "power_off", "reboot", "pause", "unpause", "suspend", "resume"])
def test_what_is_not_here_cannot_be_powered(deed: str) -> None:
    host = Host()
    options = {"hard": True} if deed == "reboot" else {}
    with pytest.raises(errors.NotFound):
        getattr(host.ear, deed)(UUID, 1, **options)


def test_one_guest_has_one_caller_at_a_time() -> None:
    """A delete that overtakes a build waits for it: whatever the build made is destroyed."""
    host = Host()
    gate = host.driver.hold("spawn")
    builder = threading.Thread(target=host.build)
    builder.start()
    assert gate.reached.wait(480)
    destroyer = threading.Thread(target=host.ear.destroy, args=(UUID, []))
    destroyer.start()
    other = replace(INSTANCE, uuid="1341c77c-0072-4b7c-9507-6e0086d49a3b")
    host.ear.destroy(other.uuid, [])  # another guest's lock is free
    assert destroyer.is_alive()
    assert host.driver.faults.calls("destroy") == 1
    gate.open()
    builder.join(480)
    destroyer.join(480)
    assert host.state() is None


def test_what_the_hypervisor_is_told() -> None:
    spec = guest_spec(replace(INSTANCE, has_config_drive=True), config_files={"a": b"b"})
    assert (spec.uuid, spec.name, spec.epoch) == (UUID, "vm", 1)
    assert (spec.has_config_drive, spec.config_files) == (True, {"a": b"b"})


def test_user_data_that_is_no_base64_is_the_users_mistake() -> None:
    drives = ConfigDrives(Teller(config.load(files=[])))
    assert drives.files(replace(INSTANCE, user_data="a")) == {}, "without a drive nobody looks"
    with pytest.raises(errors.GuestFailed, match="user_data"):
        drives.files(replace(INSTANCE, user_data="a", has_config_drive=True))


def test_a_delete_does_not_wait_for_a_copy_of_the_disk(tmp_path: Path) -> None:
    host = Host(directory=tmp_path)
    host.build()
    host.store.add("snap")
    gate = host.driver.hold("snapshot")
    with ThreadPoolExecutor(1) as pool:
        copying = pool.submit(host.ear.snapshot, UUID, 1, "snapshot", "snap", 10.0)
        assert gate.reached.wait(480)
        host.ear.destroy(UUID, [])
        host.ear.discard_image("snap")
        gate.open()
        with pytest.raises(errors.GuestFailed):
            copying.result(30)
    assert host.store.images == {}


LEAVING = msgspec.to_builtins(Leaving("host2", "fake", 1, disks_at="there"))
_DRIVES: dict[str, tuple[str, Callable[[ComputeEndpoint, dict[str, Any]], object], bool]] = {
    "build": ("spawn", lambda ear, told: ear.build(told), True),
    "rebuild": ("spawn", lambda ear, told: ear.rebuild(told, True), True),
    "receive": ("receive", lambda ear, told: ear.receive(told, "elsewhere", False), True),
    "rescue": ("rescue", lambda ear, told: ear.rescue(told, "image"), True),
    "copy live": ("prepare_landing", lambda ear, told: ear.prepare_landing(told, "m", LEAVING, True), True),
    "share live": ("prepare_landing", lambda ear, told: ear.prepare_landing(told, "m", LEAVING, False), False),
}


@pytest.mark.parametrize("how", _DRIVES)
def test_every_drive_is_written_of_what_is_known_now(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    host = Host()
    host.fence.live = "preparing"
    method, does, is_written = _DRIVES[how]
    given: list[GuestSpec] = []

    def note(spec: GuestSpec, *args: object, **kwargs: object) -> None:
        given.append(spec)
        raise errors.Unavailable("That is all there is to see.")

    monkeypatch.setattr(host.driver, method, note)
    named = replace(INSTANCE, display_name="renamed", has_config_drive=True)
    with pytest.raises(errors.NovaLiteError):
        does(host.ear, msgspec.to_builtins(named))
    told = given[0].config_files.get("openstack/latest/meta_data.json", b"")
    assert (b'"name":"renamed"' in told) is is_written
