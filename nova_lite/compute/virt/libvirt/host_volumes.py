"""Volumes that the host connects, as devices that guests get: noted before they are connected, until they are not.

A note is a file of this host's own, and has no secrets. An agent that died finds its notes again, and so a device that
was made for a guest that never got it. A device is given up when no guest of the host has it, or comes to have it.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import stat
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from oslo_utils import strutils

from nova_lite import errors
from nova_lite.compute.virt.libvirt.brick import Brick, Connector
from nova_lite.compute.virt.libvirt.volume_xml import Local
from nova_lite.model.guest import VolumeDisk

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

#: What a connection may say anew each time though it leads to the same device.
_PASSING = ("access_mode", "attachment_id", "cacheable", "discard", "encrypted", "enforce_multipath", "qos_specs")
#: Where a connection may say who its device is, and where the kernel says it.
_TOLD = ("wwn", "scsi_wwn", "volume_nguid", "vol_uuid")
_FOUND = ("wwid", "device/wwid", "nguid", "uuid", "dm/uuid")


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of one connection. ``device`` is what the connector answered; nothing while it has not."""

    connection: Mapping[str, Any]
    device: Mapping[str, Any] = field(default_factory=dict)
    #: What names the device has beside its path: of the same volume at least one must be there the next time.
    names: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Return where the device is; nothing while that is not known."""
        return str(self.device.get("path") or "")


def device_number(path: str) -> int | None:
    """Return the number of the block device that a path leads to."""
    try:
        found = os.stat(path) if os.path.isabs(path) else None  # noqa: PTH116, PTH117 - a number is all that is asked
    except OSError:
        return None
    return found.st_rdev if found is not None and stat.S_ISBLK(found.st_mode) else None


class HostVolumes:
    """The devices of a host. ``kinds`` are the kinds of connection that it makes itself."""

    def __init__(
        self,
        kinds: Collection[str],
        notes: Path,
        connector: Connector,
        *,
        sysfs: Path = Path("/sys"),
        number_of: Callable[[str], int | None] = device_number,
    ) -> None:
        self.kinds = tuple(kinds)
        self._notes = notes
        self._connector = connector
        self._sysfs = sysfs
        self._number_of = number_of
        self._coming: Counter[str] = Counter()
        # One lock for a kind is more than one for each server that many volumes are reached by: a session of such a
        # server may end with any of its volumes, and which those are is not told by every driver.
        self._locks = {kind: threading.RLock() for kind in self.kinds}

    @classmethod
    def none(cls) -> Self:
        """Return those of a host that connects nothing itself."""
        nowhere = Path(os.devnull)
        return cls((), nowhere, Brick("", "", nowhere, has_multipath=False, needs_multipath=False, attempts=1))

    def takes(self, connection: Mapping[str, Any]) -> bool:
        """Return whether the host connects this, and not QEMU."""
        return connection.get("driver_volume_type") in self.kinds

    def properties(self) -> Mapping[str, object]:
        """Return what the block storage service must know of this host; nothing where it connects nothing itself."""
        return self._told(self._connector.properties, "say what it can connect") if self.kinds else {}

    @contextlib.contextmanager
    def coming(self, volume: VolumeDisk) -> Iterator[Local]:
        """Connect a volume, and keep it connected meanwhile: a guest that has it then keeps it.

        Raises HostFailed when it cannot be connected, or is not what the connection says it is.
        """
        key, kind = _key(volume.connection), str(volume.connection["driver_volume_type"])
        with self._locks[kind]:
            self._coming[key] += 1
        try:
            with self._locks[kind]:
                found = self._connect(key, volume)
            yield found
        finally:
            with self._locks[kind]:
                self._coming[key] -= 1

    def release(self, connection: Mapping[str, Any], is_used: Callable[[str], bool]) -> None:
        """Give a device up, but not one that a guest has or comes to have; raises HostFailed when it stays."""
        if self.takes(connection):
            self._release(_key(connection), is_used)

    def release_device(self, path: str, is_used: Callable[[str], bool]) -> None:
        """Do that for a device by its path; one that nobody noted is not ours."""
        for key, note in self._all().items():
            if note.path == path:
                self._release(key, is_used)

    def sweep(self, is_used: Callable[[str], bool]) -> None:
        """Give up, when an agent starts, what the one before it connected for nobody; what cannot be stays noted."""
        for key in self._all():
            try:
                self._release(key, is_used)
            except errors.HostFailed as exc:
                _LOG.warning("A volume that no guest has is still connected to this host: %s", exc)

    def extend(self, path: str) -> None:
        """Have a device be as large as its volume."""
        for note in self._all().values():
            if note.path == path:
                self._told(lambda: self._connector.extend(note.connection), "see how large a volume is")  # noqa: B023

    def reconnect(self, path: str) -> None:
        """Connect what a guest has and the host has no more, for it was started anew; raises HostFailed."""
        for key, note in self._all().items():
            if note.path == path and not Path(path).exists():
                with self._locks[str(note.connection["driver_volume_type"])]:
                    if self._connect(key, VolumeDisk("", "", dict(note.connection))).path != path:
                        raise errors.HostFailed(f"The device {path} of a volume is another now.")

    def _connect(self, key: str, volume: VolumeDisk) -> Local:
        note = self._all().get(key) or Note(_without_secrets(volume.connection))
        self._write(key, note)
        device = self._told(lambda: self._connector.connect(volume.connection), "connect a volume")
        path = str(device.get("path") or "")
        try:
            names = self._check(key, note, path)
        except errors.NovaLiteError:
            if not note.path:  # nobody has it
                self._told(lambda: self._connector.disconnect(note.connection, device), "give up a volume")
                self._forget(key)
            raise
        kept = {name: value for name, value in device.items() if isinstance(value, str | int | bool | None)}
        self._write(key, Note(note.connection, {**kept, "path": path}, names))
        return Local(path, is_device=True)

    def _check(self, key: str, note: Note, path: str) -> tuple[str, ...]:
        """Return the names of a device; raises HostFailed unless it is what it must be, and no other volume's."""
        number = self._number_of(path)
        if number is None:
            raise errors.HostFailed("What the host connected a volume as is no block device.", path=path)
        for other, its in self._all().items():
            if other != key and its.path and self._number_of(its.path) == number:
                raise errors.HostFailed("What the host connected a volume as is another volume's device.", path=path)
        place = self._sysfs / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
        names = tuple(dict.fromkeys(name for each in _FOUND if (name := _read(place / each))))
        told = {_plain(str(value)) for name in _TOLD if (value := note.connection.get(name))}
        if told and not told & set(names):
            raise errors.HostFailed("The device is not that of the volume.", told=sorted(told), found=names)
        if note.names and not set(note.names) & set(names):
            raise errors.HostFailed("The device is not the one that the volume had.", had=note.names, found=names)
        return names

    def _release(self, key: str, is_used: Callable[[str], bool]) -> None:
        note = self._all().get(key)
        if note is None:
            return
        with self._locks.setdefault(str(note.connection["driver_volume_type"]), threading.RLock()):
            if self._coming[key] or (note.path and is_used(note.path)):
                return
            self._told(lambda: self._connector.disconnect(note.connection, note.device), "give up a volume")
            self._forget(key)

    def _told(self, act: Callable[[], T], what: str) -> T:
        """Do something with the host; raises HostFailed in place of whatever comes of it."""
        try:
            return act()
        except errors.NovaLiteError:
            raise
        except Exception as exc:
            cause = strutils.mask_password(f"{type(exc).__name__}: {exc}")
            _LOG.warning("The host cannot %s: %s", what, cause)
            raise errors.HostFailed(f"The host cannot {what}.", cause=cause[:500]) from exc

    # -- notes --------------------------------------------------------------------------------------------------------

    def _all(self) -> dict[str, Note]:
        found = {}
        for path in sorted(self._notes.glob("*.json")) if self._notes.is_dir() else ():
            try:
                known = json.loads(path.read_text())
            except FileNotFoundError:
                continue
            found[path.stem] = Note(known["connection"], known["device"], tuple(known["names"]))
        return found

    def _write(self, key: str, note: Note) -> None:
        self._notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._notes / f"{key}.new"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(note), file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._notes / f"{key}.json")

    def _forget(self, key: str) -> None:
        (self._notes / f"{key}.json").unlink(missing_ok=True)


def _without_secrets(connection: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in connection.items() if "auth_" not in name}


def _key(connection: Mapping[str, Any]) -> str:
    """Return what a connection is known by: all that says where its device is."""
    lasting = {name: value for name, value in _without_secrets(connection).items() if name not in _PASSING}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _read(path: Path) -> str:
    try:
        return _plain(path.read_text(errors="replace"))
    except OSError:
        return ""


def _plain(name: str) -> str:
    """Return a device's name without what only some add: of what sort it is, in letters or one digit, and dashes."""
    text = name.strip().lower()
    for sort in ("mpath-", "naa.", "eui.", "t10.", "uuid.", "nguid.", "0x"):
        text = text.removeprefix(sort)
    text = text.replace("-", "")
    return text[1:] if re.fullmatch("3[0-9a-f]{16}(?:[0-9a-f]{16})?", text) else text
