"""Consoles of imitated guests: each really listens, begins as its protocol does, then says again what it is told."""

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nova_lite.model.console import Ports

if TYPE_CHECKING:
    from nova_lite.compute.virt.fake_records import Record
    from nova_lite.compute.virt.faults import FaultScript


@dataclass(frozen=True, slots=True)
class Opening:
    """How a conversation begins: what the console says first, and then after each so many bytes it has heard."""

    greeting: bytes
    answers: tuple[tuple[int, bytes], ...] = ()


_SCREEN_NAME = b"an imitated guest"
#: A screen of one point, 32 bits of true colour, and its name (RFC 6143, 7.3.2).
_SCREEN = struct.pack(">HH4B3H3B3xL", 1, 1, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0, len(_SCREEN_NAME)) + _SCREEN_NAME
OPENINGS = {
    # The version is heard; security types: none; it is chosen: well; the screen may be shared: here it is.
    "vnc": Opening(b"RFB 003.008\n", ((12, b"\x01\x01"), (1, bytes(4)), (1, _SCREEN))),
    "serial": Opening(b"\r\nlogin: "),
    "spice": Opening(b"REDQ"),
}
_CHUNK = 4096


class FakeConsoles:
    """The part of the driver with consoles; they listen from when they are first asked for until the guest is off."""

    faults: "FaultScript"
    _echoes: dict[str, dict[str, "Echo"]]
    _lock: threading.Lock

    def _alive(self, uuid: str) -> "Record":
        raise NotImplementedError

    def console_ports(self, uuid: str, protocol: str) -> Ports | None:
        """Have the console listen, if it does not yet."""
        self.faults.play("console_ports")
        self._alive(uuid)
        with self._lock:
            of_guest = self._echoes.setdefault(uuid, {})
            if protocol not in of_guest:
                of_guest[protocol] = Echo(OPENINGS[protocol])
            return Ports(of_guest[protocol].port)

    def _end_consoles(self, uuid: str | None = None) -> None:
        """Close the consoles of a guest, or all."""
        with self._lock:
            uuids = list(self._echoes) if uuid is None else [uuid]
            ending = [echo for each in uuids for echo in self._echoes.pop(each, {}).values()]
        for echo in ending:
            echo.stop()


class Echo:
    """A server on a free port of this machine, until ``stop``."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._guard = threading.Lock()
        self._callers: set[socket.socket] = set()
        self._is_over = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._listen, name="console", daemon=True).start()

    def stop(self) -> None:
        """Listen no more, and leave whoever is there."""
        with self._guard:
            self._is_over = True
            for one in (self._listening, *self._callers):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        with self._listening, contextlib.suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                with self._guard:
                    if self._is_over:
                        caller.close()
                        return
                    self._callers.add(caller)
                threading.Thread(target=self._serve, args=(caller,), name="console", daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError):
            caller.sendall(self._opening.greeting)
            for length, answer in self._opening.answers:
                if len(caller.recv(length, socket.MSG_WAITALL)) == length:
                    caller.sendall(answer)
            while heard := caller.recv(_CHUNK):
                caller.sendall(heard)
        with self._guard:
            self._callers.discard(caller)
