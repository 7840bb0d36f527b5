"""What is left when an agent, a guest's process or libvirtd dies, hangs or is not there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt import disks, domain_xml, domains
from nova_lite.compute.virt.libvirt.bindings import libvirt as bindings
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.model.guest import PowerState
from tests.contract.virt.rig import a_spec, power_state, wait_until
from tests.integration.libvirt_rig import LibvirtRig, base_image, rig
from tests.integration.stack.libvirt import Libvirt

__all__ = ["base_image", "rig"]


#: A guest boots in ten seconds on a quiet machine, and some tests boot it four times.
pytestmark = pytest.mark.timeout(1500)


def test_a_guest_whose_process_dies_is_off_and_starts_again(rig: LibvirtRig) -> None:
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    processes = Path("/proc").glob("[0-9]*/cmdline")
    [pid] = [int(path.parent.name) for path in processes if f"guest=instance-{spec.uuid}".encode() in _read(path)]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: power_state(rig.driver, spec.uuid) in (PowerState.SHUTDOWN, PowerState.CRASHED), 120, "off")
    rig.driver.power_on(spec.uuid)
    assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


KILLED_AT = {
    "before the disks": disks.Disks.make,
    "among the disks": disks.Disks._make_swap,
    "before the definition": domain_xml.domain,
    "before the start": domains.start,
    "after the start": disks.Disks.finish,
}


@pytest.mark.parametrize("death", KILLED_AT.values(), ids=KILLED_AT.keys())
@pytest.mark.parametrize("then", ["spawn", "destroy"])
def test_an_agent_killed_while_it_spawns(rig: LibvirtRig, death: Callable[..., object], then: str) -> None:
    """Wherever a process dies, the next attempt has a running guest, and its removal leaves nothing."""
    assert rig.image is not None
    spec = a_spec(swap_mib=16, has_config_drive=True)
    module = death.__module__.rpartition(".")[2]
    program = f"""if True:
        import os, pathlib
        from nova_lite.compute.virt.libvirt import disks, domain_xml, domains, driver
        from nova_lite.model.guest import BaseImage, GuestSpec
        die = lambda *args: os._exit(9)
        {module}.{death.__qualname__} = die
        agent = driver.LibvirtDriver("alpha", {rig.uri!r}, "qemu", pathlib.Path({str(rig.directory / "alpha")!r}))
        agent.connect()
        agent.spawn({spec!r}, {rig.image!r})
    """
    done = subprocess.run([sys.executable, "-c", program], timeout=480, check=False)
    assert done.returncode == 9
    if then == "spawn":
        rig.driver.spawn(spec, rig.image)
        assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
        assert not rig.driver._disks.is_unfinished(spec.uuid)
        assert len(rig.driver.guests()) == 1
    rig.driver.destroy(spec.uuid)
    assert rig.leftovers(spec.uuid) == []


def test_a_killed_spawn_that_left_only_files_is_replaced(rig: LibvirtRig) -> None:
    assert rig.image is not None
    spec = a_spec()
    rig.driver._disks.make(spec, rig.image)
    rig.driver.spawn(spec, rig.image)
    assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING
    assert not rig.driver._disks.is_unfinished(spec.uuid)


def test_a_spawn_killed_after_the_start_is_taken_as_done(rig: LibvirtRig) -> None:
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    marker = rig.driver._disks._directory(spec.uuid) / "unfinished"
    marker.touch()
    rig.driver.spawn(spec, rig.image)
    assert not marker.exists()
    assert power_state(rig.driver, spec.uuid) is PowerState.RUNNING


def test_libvirtd_may_restart_under_a_running_guest(rig: LibvirtRig, libvirt: Libvirt) -> None:
    spec = a_spec()
    rig.driver.spawn(spec, rig.image)
    subprocess.run(
        [str(Path("tools/libvirtd").resolve()), "stop", "--keep-guests", "--state-dir", str(libvirt._state)],
        check=True, timeout=480, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with pytest.raises(errors.Unavailable, match="hypervisor does not answer"):
            rig.driver.guests()
    finally:
        libvirt.start()
    assert [guest.power_state for guest in rig.driver.guests()] == [PowerState.RUNNING]
    rig.driver.reboot(spec.uuid, hard=True, timeout_s=0)


def test_a_libvirtd_that_hangs_holds_nobody(rig: LibvirtRig, libvirt: Libvirt, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = rig.new_driver()
    pid = int((libvirt._state / "run" / "libvirtd.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        # Only here: one that does not hang may take longer.
        with monkeypatch.context() as patched:
            patched.setattr(driver._connection, "_call_timeout_s", 1.0)
            for _ in range(2):
                with pytest.raises(errors.Timeout):
                    driver.guests()
        assert time.monotonic() - began < 60
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: driver.guests() == [], 120, "an answer")


def test_no_libvirtd_says_what_to_do(tmp_path: Path) -> None:
    if bindings is None:
        pytest.skip("libvirt-python is not installed")
    driver = LibvirtDriver("alpha", "qemu+unix:///system?socket=/nowhere/sock", "qemu", tmp_path / "instances")
    with pytest.raises(errors.Unavailable, match=r"/nowhere/sock.*systemctl start libvirtd.*connection_uri"):
        driver.connect()
    driver.close()
