"""A guest at its serial console: commands typed at its shell, and what they answer."""

import os
import re
import select
import shlex
import termios
import time
import tty
import uuid as uuids

from tests.integration.stack.libvirt_hosts import LibvirtHosts
from tests.integration.stack.processes import StackError

#: Seconds for a guest to boot, or to do what it is told: it is interpreted, perhaps beside others.
_PATIENCE_S = 600.0
#: Seconds after which whoever did not answer is asked again: what nobody reads a guest throws away.
_ASK_AGAIN_S = 30.0
#: What a shell tells a terminal beside text.
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Guest:
    """A guest, wherever it runs now."""

    def __init__(self, hosts: LibvirtHosts, uuid: str) -> None:
        self._hosts = hosts
        self.uuid = uuid
        self._terminal: tuple[str, int] | None = None

    def says(self, command: str) -> str:
        """Run a command in the guest; return its output. Raises StackError when it fails."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                status, said = self._ask(command, deadline)
            except OSError:  # the terminal went away: the guest has moved, or has been started anew
                self.forget()
                time.sleep(0.5)
                continue
            if status:
                raise StackError(f"{command!r} failed ({status}) in guest {self.uuid}: {said}")
            return said
        raise StackError(f"guest {self.uuid} does not answer to {command!r}")

    def device(self, volume_id: str) -> str:
        """Return the name of a volume in the guest, once it is there."""
        for _ in range(int(_PATIENCE_S)):
            found = self.disks().get(volume_id[:20])
            if found is not None:
                return found
            time.sleep(0.5)
        raise StackError(f"guest {self.uuid} has no volume {volume_id}: {self.disks()}")

    def disks(self) -> dict[str, str]:
        """Return serial → device of the guest's disks that have one; of a serial a guest sees twenty characters."""
        said = self.says("cd /sys/block; for d in vd*; do echo $d $(cat $d/serial) end; done")
        return {serial: f"/dev/{name}" for name, serial in re.findall(r"(vd\w+) (\S+) end", said)}

    def writes(self, volume_id: str, text: str, *, at_mib: int = 0) -> None:
        """Write one word to a volume and wait until it is there."""
        device = self.device(volume_id)
        self.says(f"echo {shlex.quote(text)} | dd of={device} bs=1M seek={at_mib} conv=sync,fsync,notrunc")

    def reads(self, volume_id: str, *, at_mib: int = 0) -> str:
        """Return what was written to a volume, past what the guest remembers of it."""
        device = self.device(volume_id)
        self.says("echo 3 >/proc/sys/vm/drop_caches")
        return self.says(f"dd if={device} bs=1M skip={at_mib} count=1 2>/dev/null | head -n 1")

    def size_gib(self, volume_id: str) -> float:
        """Return how large the guest thinks a volume is."""
        name = self.device(volume_id).removeprefix("/dev/")
        return int(self.says(f"cat /sys/block/{name}/size")) * 512 / (1 << 30)

    def forget(self) -> None:
        """Close the terminal."""
        if self._terminal is not None:
            os.close(self._terminal[1])
            self._terminal = None

    def _ask(self, command: str, deadline: float) -> tuple[int, str]:
        terminal = self._open(deadline)
        heard, asked, nonce = b"", 0.0, ""
        while time.monotonic() < deadline:
            text = heard.decode(errors="replace")
            answer = re.search(rf"begin {nonce}\r?\n(.*?)end {nonce} (\d+)", text, re.DOTALL) if nonce else None
            if answer is not None:
                return int(answer[2]), answer[1].replace("\r", "").strip()
            if time.monotonic() - asked > _ASK_AGAIN_S and not (nonce and f"begin {nonce}" in text):
                os.write(terminal, b"\n")
                heard, asked, nonce = b"", time.monotonic(), ""
            ready, _, _ = select.select([terminal], [], [], 0.5)
            if not ready:
                continue
            heard = _ESCAPES.sub(b"", heard + os.read(terminal, 65536))
            if heard.rstrip().endswith(b"login:"):
                heard = b""
                os.write(terminal, b"root\n")
            elif heard.endswith(b"# ") and not nonce:
                # What is typed comes back as it was typed, and so without these words in one piece. Never typed twice:
                # what comes back of the second would be amid what the first answers.
                nonce, asked = uuids.uuid4().hex[:12], time.monotonic()
                os.write(terminal, f'echo "be""gin {nonce}"; ({command}) 2>&1; echo "e""nd {nonce} $?"\n'.encode())
        raise StackError(f"guest {self.uuid} does not answer to {command!r}: {heard[-500:]!r}")

    def _open(self, deadline: float) -> int:
        """Return the terminal of where the guest runs now."""
        while time.monotonic() < deadline:
            for host in self._hosts.having(self.uuid, running=True):
                path = f"{host}:{self._hosts.virsh(host, 'ttyconsole', self.uuid).strip()}"
                if self._terminal is not None and self._terminal[0] == path:
                    return self._terminal[1]
                self.forget()
                terminal = os.open(path.partition(":")[2], os.O_RDWR | os.O_NOCTTY)
                tty.setraw(terminal, termios.TCSANOW)
                self._terminal = (path, terminal)
                return terminal
            time.sleep(0.2)
        raise StackError(f"guest {self.uuid} runs nowhere")
