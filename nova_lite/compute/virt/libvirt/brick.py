"""os-brick, which connects volumes to the host: the one place that imports it, and that only when a host needs it.

What needs more rights than the agent has runs in os-brick's own helper process, which is started by ``sudo
privsep-helper`` when it is first needed. An agent that is root has those rights, and needs no helper.
"""

import os
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from nova_lite import errors

#: What kinds of connection are made, and what os-brick calls them.
KINDS: Mapping[str, str] = {
    "fibre_channel": "FIBRE_CHANNEL",
    "iscsi": "ISCSI",
    "local": "LOCAL",
    "nvmeof": "NVMEOF",
}


class Connector(Protocol):
    """Connects a host to volumes. Whatever goes wrong there is raised as it comes."""

    def properties(self) -> Mapping[str, object]:
        """Return what the block storage service must know of the host: its initiators, whether it has many paths."""
        ...

    def connect(self, connection: Mapping[str, object]) -> Mapping[str, object]:
        """Make a device of a volume; the answer has its ``path``. One that is there already is found again."""
        ...

    def disconnect(self, connection: Mapping[str, object], device: Mapping[str, object]) -> None:
        """Write out and remove the device; ``device`` is what was answered, or nothing. None there is no error."""
        ...

    def extend(self, connection: Mapping[str, object]) -> None:
        """Have the device be as large as the volume has become."""
        ...


class Brick:
    """The real one. ``attempts`` is how often a device is looked for; ``locks`` is where os-brick's locks are files."""

    def __init__(
        self, hostname: str, host_ip: str, locks: Path, *, has_multipath: bool, needs_multipath: bool, attempts: int
    ) -> None:
        self._hostname = hostname
        self._host_ip = host_ip
        self._locks = locks
        self._has_multipath = has_multipath
        self._needs_multipath = needs_multipath
        self._attempts = attempts
        self._loaded: Any = None
        self._guard = threading.Lock()

    def properties(self) -> Mapping[str, object]:
        found: Mapping[str, object] = self._library().get_connector_properties(
            "sudo", self._host_ip, self._has_multipath, self._needs_multipath, host=self._hostname
        )
        return found

    def connect(self, connection: Mapping[str, object]) -> Mapping[str, object]:
        found: Mapping[str, object] = self._of(connection).connect_volume(dict(connection))
        return found

    def disconnect(self, connection: Mapping[str, object], device: Mapping[str, object]) -> None:
        self._of(connection).disconnect_volume(dict(connection), dict(device) or None)

    def extend(self, connection: Mapping[str, object]) -> None:
        self._of(connection).extend_volume(dict(connection))

    def _of(self, connection: Mapping[str, object]) -> Any:
        return self._library().InitiatorConnector.factory(
            KINDS[str(connection["driver_volume_type"])],
            "sudo",
            use_multipath=self._has_multipath,
            enforce_multipath=self._needs_multipath,
            device_scan_attempts=self._attempts,
        )

    def _library(self) -> Any:
        with self._guard:
            if self._loaded is None:
                self._loaded = _load(self._locks)
            return self._loaded


def _load(locks: Path) -> Any:
    """Import os-brick and tell it what it must know; raises Misconfigured where it is not installed."""
    try:
        with warnings.catch_warnings():
            # It imports, at third hand, a library that says it is old; nothing of that is used.
            warnings.simplefilter("ignore")
            from os_brick import privileged  # noqa: PLC0415
            from os_brick.initiator import connector  # noqa: PLC0415
            from oslo_config import cfg  # noqa: PLC0415
    except ImportError as exc:
        raise errors.Misconfigured(
            f"[libvirt] volumes_by_host needs os-brick, which cannot be imported ({exc}): pip install os-brick"
        ) from exc
    locks.mkdir(parents=True, exist_ok=True)
    cfg.CONF.set_override("lock_path", str(locks), group="os_brick")
    if os.geteuid() == 0:
        privileged.default.set_client_mode(False)
    return connector
