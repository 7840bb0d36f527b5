"""The fake's guests: what is remembered of each, and the files they are kept in."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from nova_lite import errors
from nova_lite.model.guest import PowerState
from nova_lite.model.plain import known


@known
@dataclass(frozen=True, slots=True)
class Plugged:
    """A volume of a guest; ``attachment_id`` is that of the connection it was plugged in by, if it says one.

    ``path`` is where that says that the volume lies.
    """

    volume_id: str
    device_name: str
    attachment_id: str = ""
    is_shareable: bool = False
    path: str = ""


@known
@dataclass(frozen=True, slots=True)
class Record:
    """One guest, as held in memory and in its file. ``boots`` is how often it was started.

    ``is_saved`` says that its memory is on the disk: what starts it next lets it run on. ``is_rescued`` says that it
    has another disk to boot from. ``sent_to`` is the directory of the host that it has left for, of one that
    stands still and will be there, or is already.
    """

    uuid: str
    name: str
    epoch: int
    power_state: PowerState
    boots: int
    is_saved: bool = False
    is_rescued: bool = False
    sent_to: str | None = None
    volumes: tuple[Plugged, ...] = ()


def path_of(state_dir: Path, uuid: str) -> Path:
    """Return the file of a guest."""
    return state_dir / f"{uuid}.json"


def write(path: Path, record: Record) -> None:
    """Write a guest's file, whole or not at all."""
    half_written = path.with_suffix(".tmp")
    try:
        half_written.write_bytes(msgspec.json.encode(record))
        half_written.replace(path)
    except OSError as error:
        raise errors.Unavailable(f"Cannot record instance {record.uuid}: {error.strerror}", path=str(path)) from error
