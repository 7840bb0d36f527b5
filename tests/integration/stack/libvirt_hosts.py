"""Hypervisor hosts that can take guests from each other: a libvirtd each, beside each other on one machine.

Each has a mount and a host name of its own, a UUID, directories and sockets, and an address of the loopback, so
that none needs a network of its own, nor the right to make one. Guests migrate between those addresses.
"""

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from tests.integration.stack.keystone import side_by_side
from tests.integration.stack.libvirt import require_programs
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.processes import Missing, Program, StackError, wait_until
from tests.integration.stack.services import Host, Services
from tests.integration.stack.site import Site, tool

_TOOL = Path(__file__).resolve().parents[3] / "tools" / "libvirtd"
#: How the directories of hosts begin.
_STATE = "libvirt-"


class LibvirtHosts:
    """The libvirtd of every host, by the host's name. Whatever ran before, ``stop`` leaves no process."""

    def __init__(self, site: Site, names: Sequence[str]) -> None:
        self.site = site
        self.names = tuple(names)

    @classmethod
    def left_in(cls, site: Site) -> Self:
        """Return the hosts that a run which was killed has left in its directory."""
        return cls(site, sorted(path.name.removeprefix(_STATE) for path in site.folder("data").glob(f"{_STATE}*")))

    def uri(self, name: str) -> str:
        """Return where an agent on the host reaches its libvirt."""
        return f"qemu+unix:///system?socket={self._state(name) / 'run' / 'libvirt-sock'}"

    def address(self, name: str) -> str:
        """Return the host's address."""
        return self.site.loopback(self.names.index(name) + 1)

    def start(self) -> None:
        """Start every host; raises Missing saying what the machine lacks."""
        require_programs()
        for program, package in (("unshare", "util-linux"), ("hostname", "hostname")):
            tool(program, package=package)
        may = subprocess.run(
            ["unshare", "--mount", "--uts", "--propagation", "private", "true"], capture_output=True, check=False
        )
        if may.returncode:
            raise Missing(f"no mount and host name of its own for a process: {may.stderr.decode(errors='replace')}")
        side_by_side([partial(self.boot, name) for name in self.names])

    def boot(self, name: str) -> None:
        """Start one host, or start it again; it knows the guests it had, and starts none by itself."""
        self._run("start", name, "--hostname", name, "--listen", self.address(name))

    def stop(self) -> None:
        """Destroy all guests and end all hosts."""
        side_by_side([partial(self._end, name) for name in self.names if self._state(name).exists()])

    def kill_libvirtd(self, name: str) -> None:
        """Kill what manages the host's guests; they run on."""
        path = self._state(name) / "run" / "libvirtd.pid"
        pid = int(path.read_text().strip())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not _mounts(pid), f"the end of libvirtd of {name}", timeout_s=30)

    def cut_power(self, name: str) -> None:
        """End everything that runs on the host at once: its guests, and what would notice that."""
        state = self._state(name)
        pids = [int(path.read_text().strip()) for path in (state / "run").glob("*.pid")]
        pids += [int(path.read_text().strip()) for path in (state / "run" / "qemu").glob("*.pid")]
        pids = [pid for pid in pids if str(state) in _mounts(pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(_mounts(pid) for pid in pids), f"the end of {name}", timeout_s=30)

    def domains(self, name: str, *, running: bool = False) -> set[str]:
        """Return the UUIDs of the guests that the host has, or of those that run there."""
        listed = self.virsh(name, "list", "--uuid", *(() if running else ("--all",)))
        return set(listed.split())

    def having(self, uuid: str, *, running: bool = False) -> list[str]:
        """Return the hosts that have a guest, or where it runs."""
        return [name for name in self.names if uuid in self.domains(name, running=running)]

    def virsh(self, name: str, *arguments: str) -> str:
        """Ask a host's libvirt."""
        done = subprocess.run(
            ["virsh", "-q", "-c", self.uri(name), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=480,
            check=False,
        )
        if done.returncode:
            raise StackError(f"virsh {' '.join(arguments)} failed on {name}: {done.stderr}")
        return done.stdout

    def _end(self, name: str) -> None:
        self._run("stop", name)
        self.cut_power(name)

    def _state(self, name: str) -> Path:
        return self.site.path("data", f"{_STATE}{name}")

    def _run(self, action: str, name: str, *options: str) -> None:
        done = subprocess.run(
            [str(_TOOL), action, "--state-dir", str(self._state(name)), *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=480,
            check=False,
        )
        if done.returncode:
            raise StackError(f"tools/libvirtd {action} of {name} failed: {done.stderr.decode(errors='replace')}")


def _mounts(pid: int) -> str:
    """Return what a process sees mounted; nothing of one that does not run."""
    try:
        return Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return ""


#: Two hosts that share the directory of their guests, and one that has its own.
SHARING = ("virt-a", "virt-b")
APART = "virt-c"


class RealHosts(Services):
    """The agents on such hosts: further hosts of a deployment, all in one cell."""

    def __init__(
        self, site: Site, neighbours: Neighbours, *, cell: str, names: Sequence[str] = (*SHARING, APART)
    ) -> None:
        hosts = tuple(Host(name, cell, "libvirt") for name in names)
        super().__init__(site, neighbours.rabbitmq, neighbours.mariadb, neighbours.keystone, hosts=hosts)
        self.libvirt = LibvirtHosts(site, [host.name for host in hosts])

    @property
    def names(self) -> tuple[str, ...]:
        """Return the agents: what is above them is the deployment's."""
        return tuple(host.name for host in self.hosts)

    def guests_folder(self, host: str) -> Path:
        """Return where ``host`` keeps its guests' files."""
        return super().guests_folder("virt-shared" if host in SHARING else host)

    def _program(self, name: str) -> Program:
        """Return the agent's program: it does not see the directories of guests and images that it does not share."""
        program = super()._program(name)
        others = SHARING if name == APART else (APART,)
        hidden = {self.guests_folder(other) for other in others}
        hidden |= {self._site.folder("data", other, "images") for other in others}
        hide = "".join(f"mount -t tmpfs none {shlex.quote(str(path))}; " for path in sorted(hidden))
        within = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{hide}exec "$@"', "sh")
        return replace(program, argv=(*within, *program.argv))

    def start_all(self) -> None:
        """Start hosts and agents."""
        self.libvirt.start()
        for host in self.hosts:
            self._write_agent(host)
        side_by_side([partial(self.start, name) for name in self.names])

    def stop_all(self) -> None:
        """Stop agents and hosts."""
        side_by_side([partial(self._stop_agent, name) for name in self.names])
        self.libvirt.stop()

    def _stop_agent(self, name: str) -> None:
        self.stop(name)

    def _write_agent(self, host: Host) -> None:
        libvirt = {"virt_type": "qemu", "connection_uri": self.libvirt.uri(host.name)}
        clients = self._clients()
        extra = f"compute_driver = libvirt\ninstances_path = {self.guests_folder(host.name)}\n"
        address = self.libvirt.address(host.name)
        extra += f"my_ip = {address}\n"
        groups = clients + self._section("libvirt", **libvirt) + self._screens_at(address)
        self._write(host.name, host.cell, groups, extra=extra)
