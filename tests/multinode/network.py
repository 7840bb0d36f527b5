"""Network namespaces as machines: one switch, a cable to each machine, and what may leave each machine of a cell.

Rules sit where packets start: a machine of a cell lets out what is listed for it, and writes down and rejects the rest.
So a process that only tries to reach what it must not know is found out, not just one that succeeds.
"""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.integration.stack.processes import Missing, StackError, birth
from tests.integration.stack.site import tool

#: The first two numbers of every address; the switch is a namespace of its own, so no other network is touched.
_NETWORK = "10.203"
_NETS = Path("/run/netns")


@dataclass(frozen=True, slots=True)
class Door:
    """One server that a machine may open connections to."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Machine:
    """One namespace. ``doors`` is all it may reach; None: everything, as nobody guards it."""

    name: str
    address: str
    doors: tuple[Door, ...] | None = None


@dataclass(frozen=True, slots=True)
class Trespass:
    """A connection that a machine tried to open and must not; ``packets`` counts them all for the machine."""

    machine: str
    target: str


def address(third: int, fourth: int) -> str:
    """Return an address of the network."""
    return f"{_NETWORK}.{third}.{fourth}"


class Network:
    """The namespaces of one deployment; their names begin with a word made from its directory."""

    def __init__(self, directory: Path, machines: Sequence[Machine]) -> None:
        self._prefix = "nl" + hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:6]
        self.machines = {machine.name: machine for machine in machines}

    def namespace(self, machine: str) -> str:
        """Return the name under which ``ip netns`` knows a machine."""
        return f"{self._prefix}-{machine}"

    def within(self, machine: str) -> tuple[str, ...]:
        """Return the command that runs another one on a machine, and becomes it."""
        return (_ip(), "netns", "exec", self.namespace(machine))

    def lay(self) -> None:
        """Make what is not there yet: the switch, the machines, their cables and their rules."""
        switch = self.namespace("switch")
        if not _exists(switch):
            _run(_ip(), "netns", "add", switch)
        if not _succeeds(_ip(), "-n", switch, "link", "show", "switch"):
            _run(_ip(), "-n", switch, "link", "add", "switch", "type", "bridge")
        _run(_ip(), "-n", switch, "link", "set", "switch", "up")
        for number, machine in enumerate(self.machines.values()):
            self._add(machine, f"port{number}", switch)

    def remove(self) -> None:
        """End what still runs on the machines and remove all namespaces; nothing there is no error."""
        names = [self.namespace("switch"), *(self.namespace(name) for name in self.machines)]
        for name in names:
            if _exists(name):
                _end_all_in(name)
        for name in names:
            if _exists(name):
                _run(_ip(), "netns", "delete", name)

    def is_laid(self) -> bool:
        """Return whether every namespace is there."""
        return all(_exists(self.namespace(name)) for name in ("switch", *self.machines))

    # -- what left, or tried to ---------------------------------------------------------------------------------------

    def trespasses(self) -> list[Trespass]:
        """Return what guarded machines tried to reach and must not, since the last ``forgive``."""
        found = []
        for machine in self._guarded():
            listed = json.loads(self._nft(machine.name, "-j", "list", "set", "inet", "guard", "refused"))
            for entry in _elements(listed):
                found.append(Trespass(machine.name, ":".join(str(part) for part in entry)))
        return found

    def forgive(self) -> None:
        """Forget what was tried until now."""
        for machine in self._guarded():
            self._nft(machine.name, "flush", "set", "inet", "guard", "refused")

    def connections(self, machine: str) -> set[tuple[str, int]]:
        """Return the far ends of all TCP connections of a machine, whoever opened them."""
        rows = subprocess.run(
            [*self.within(machine), "cat", "/proc/net/tcp"], capture_output=True, text=True, timeout=30, check=True
        ).stdout.splitlines()[1:]
        return {_far_end(row.split()[2]) for row in rows if row.split()[3] == "01"}

    # -- accidents ----------------------------------------------------------------------------------------------------

    def pull_cable(self, machine: str) -> None:
        """Cut a machine off: nobody reaches it and nobody is told so."""
        _run(_ip(), "-n", self.namespace(machine), "link", "set", "cable", "down")

    def plug_cable(self, machine: str) -> None:
        """Connect a machine again."""
        _run(_ip(), "-n", self.namespace(machine), "link", "set", "cable", "up")

    # -- making it ----------------------------------------------------------------------------------------------------

    def _add(self, machine: Machine, port: str, switch: str) -> None:
        name = self.namespace(machine.name)
        if not _exists(name):
            _run(_ip(), "netns", "add", name)
        if not _succeeds(_ip(), "-n", name, "link", "show", "cable"):
            # A half-made cable goes when either of its ends does.
            _succeeds(_ip(), "-n", switch, "link", "delete", port)
            _run(_ip(), "-n", name, "link", "add", "cable", "type", "veth", "peer", "name", port, "netns", switch)
        # Only one family, so that one set of rules is all there is.
        _run(*self.within(machine.name), "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
        _run(_ip(), "-n", name, "address", "replace", f"{machine.address}/16", "dev", "cable")
        _run(_ip(), "-n", name, "link", "set", "lo", "up")
        _run(_ip(), "-n", name, "link", "set", "cable", "up")
        _run(_ip(), "-n", switch, "link", "set", port, "master", "switch", "up")
        if machine.doors is not None:
            self._nft(machine.name, "-f", "-", text=rules(machine.doors))

    def _guarded(self) -> list[Machine]:
        return [machine for machine in self.machines.values() if machine.doors is not None]

    def _nft(self, machine: str, *arguments: str, text: str = "") -> str:
        return _run(*self.within(machine), tool("nft", package="nftables"), *arguments, text=text)


def rules(doors: Sequence[Door]) -> str:
    """Return the packet rules of a machine that may reach ``doors``; loading them again forgets what was refused."""
    allowed = "\n".join(
        f'    ip daddr {door.address} tcp dport {door.port} counter accept comment "{door.name}"' for door in doors
    )
    return f"""\
table inet guard {{ }}
delete table inet guard
table inet guard {{
  set refused {{ type inet_proto . ipv4_addr . inet_service; flags dynamic; size 4096; }}
  chain leaving {{
    type filter hook output priority 0; policy drop;
    oif lo accept
    ct state established,related accept
{allowed}
    tcp flags & (fin | syn | rst | ack) == syn add @refused {{ ip protocol . ip daddr . tcp dport }} counter reject
    meta l4proto udp add @refused {{ ip protocol . ip daddr . udp dport }} counter reject
    ct state invalid drop
    counter drop
  }}
}}
"""


def check_rights() -> None:
    """Raise Missing, saying what is needed, unless this process may make namespaces and load packet rules."""
    needs = (
        "this needs root with CAP_NET_ADMIN and CAP_SYS_ADMIN, and a kernel with network namespaces, veth, bridge and "
        "nftables"
    )
    if os.geteuid() != 0:
        raise Missing(f"not root: {needs}")
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        tool(program, package=package)
    trial = f"nltry{os.getpid()}"
    steps: list[tuple[str, Callable[[], object]]] = [
        ("make a network namespace", lambda: _run(_ip(), "netns", "add", trial)),
        ("make a bridge", lambda: _run(_ip(), "-n", trial, "link", "add", "b0", "type", "bridge")),
        ("make a cable", lambda: _run(_ip(), "-n", trial, "link", "add", "c0", "type", "veth", "peer", "name", "c1")),
        ("load packet rules", lambda: _run(_ip(), "netns", "exec", trial, tool("nft", package="nftables"), "-f", "-",
                                           text=rules([Door("try", address(0, 1), 1)]))),
    ]  # fmt: skip
    try:
        for what, step in steps:
            try:
                step()
            except StackError as exc:
                raise Missing(f"cannot {what}: {needs} (a container: --privileged, or these two). {exc}") from exc
    finally:
        _succeeds(_ip(), "netns", "delete", trial)


def _ip() -> str:
    return tool("ip", package="iproute2")


def _exists(namespace: str) -> bool:
    """Return whether a namespace is there and whole: a start that was cut off may leave its name alone."""
    path = _NETS / namespace
    if not path.exists():
        return False
    if _succeeds(_ip(), "netns", "exec", namespace, "true"):
        return True
    with suppress(FileNotFoundError):
        path.unlink()
    return False


def _end_all_in(namespace: str) -> None:
    """End every process of a namespace; they are ours, as the namespace is."""
    for number, rounds in ((signal.SIGTERM, 50), (signal.SIGKILL, 100)):
        for _ in range(rounds):
            pids = [int(pid) for pid in _run(_ip(), "netns", "pids", namespace).split() if int(pid) != os.getpid()]
            living = [pid for pid in pids if birth(pid) is not None]
            if not living:
                return
            for pid in living:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(0.1)


def _far_end(text: str) -> tuple[str, int]:
    """Return address and port as /proc writes them: hexadecimal, the address's bytes backwards."""
    host, _, port = text.partition(":")
    return ".".join(str(number) for number in reversed(bytes.fromhex(host))), int(port, 16)


def _elements(listed: dict[str, list[dict[str, dict[str, object]]]]) -> list[list[object]]:
    found: list[list[object]] = []
    for entry in listed["nftables"]:
        for element in entry.get("set", {}).get("elem", ()):  # type: ignore[attr-defined]
            found.append(element["concat"])
    return found


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False).returncode == 0


def _run(*argv: str, text: str = "") -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise StackError(f"{' '.join(argv)} failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout
