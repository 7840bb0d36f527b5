"""A private libvirtd and the guest image its guests boot, both made by the repository's own tools."""

import os
import subprocess
import uuid as uuids
from pathlib import Path

from nova_lite.model.guest import VolumeDisk
from tests.integration.stack.processes import Missing, StackError
from tests.integration.stack.site import Site, run, tool
from tests.integration.stack.venv import cache_folder

_TOOLS = Path(__file__).resolve().parents[3] / "tools"


class Libvirt:
    """One hypervisor host. Stopping it destroys its guests."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._state = site.path("data", "libvirt")
        self._log = site.path("log", "libvirtd.log")

    @property
    def uri(self) -> str:
        """Return the connection URI."""
        return self._run("uri")

    def start(self) -> None:
        """Start the daemons; return once they answer."""
        require_programs()
        self._run("start")

    def stop(self) -> None:
        """Destroy the guests and stop the daemons."""
        if self._state.exists():
            self._run("stop")

    def is_running(self) -> bool:
        """Return whether the daemons answer."""
        return self._state.exists() and self._done("status").returncode == 0

    def domains(self) -> set[str]:
        """Return the UUIDs of all guests, running or not."""
        listed = subprocess.run(
            ["virsh", "-q", "-c", self.uri, "list", "--all", "--uuid"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=480,
            check=True,
        )
        return set(listed.stdout.split())

    def _run(self, action: str) -> str:
        done = self._done(action)
        if done.returncode:
            with self._log.open("ab") as log:
                log.write(done.stderr)
            said = done.stderr.decode(errors="replace")
            raise StackError(f"tools/libvirtd {action} failed. Log: {self._log}\n{said}")
        return done.stdout.decode().strip()

    def _done(self, action: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self._site.within, str(_TOOLS / "libvirtd"), action, "--state-dir", str(self._state)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=480,
            check=False,
        )


def require_programs() -> None:
    """Raise Missing, saying what the machine lacks, where no libvirtd can be run."""
    for program, package in (("libvirtd", "libvirt-daemon"), ("virsh", "libvirt-clients")):
        tool(program, package=package)
    tool("qemu-system-x86_64", package="qemu-system-x86")
    if os.geteuid() != 0:
        raise Missing("libvirtd needs root")


def raw_volume(directory: Path, device_name: str) -> VolumeDisk:
    """Return a new volume of 16 MiB, a file in the directory."""
    volume_id = str(uuids.uuid4())
    path = directory / f"volume-{volume_id}"
    with path.open("xb") as file:
        file.truncate(16 << 20)
    return VolumeDisk(volume_id, device_name, {"driver_volume_type": "local", "device_path": str(path)})


def guest_image(site: Site) -> Path:
    """Return a tiny bootable qcow2 image, built on the first call of the machine."""
    folder = cache_folder() / "guest-image"
    for program, package in (("qemu-img", "qemu-utils"), ("syslinux", "syslinux"), ("mcopy", "mtools")):
        tool(program, package=package)
    run([str(_TOOLS / "guest_image"), str(folder)], log=site.path("log", "guest_image.log"), timeout_s=300)
    return folder / "guest.qcow2"
