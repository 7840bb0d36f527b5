"""The config drive: a small read-only disk that tells the guest who it is.

It holds what the metadata service tells: ``model/guest_documents.py``. Writing that onto an image takes external tools.
Guests look for a file system labelled ``config-2``: ISO 9660 on a cdrom, or VFAT on a disk.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from nova_lite import errors
from nova_lite.clients.vendordata import Teller
from nova_lite.compute import external_tools
from nova_lite.model.guest_documents import drive_files
from nova_lite.model.instance import Instance

_LABEL = "config-2"

#: What directories are called that drives are made in, one server's one after another.
_STAGING = "config-drive-"

#: Room for the largest user data the API accepts, many times over.
_MAX_BYTES = 64 * 1024**2

_TOOLS = ("genisoimage", "xorrisofs", "mkisofs")

ISO, VFAT = "iso9660", "vfat"
#: Bytes of a VFAT drive, whatever is on it.
_VFAT_BYTES = 64 * 1024**2
#: Where an ISO image says that it is one.
_ISO_MARK, _ISO_MARK_AT = b"CD001", 0x8001


class ConfigDrives:
    """Knows what belongs on the config drives of this host's guests."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def files(self, instance: Instance) -> dict[str, bytes]:
        """Return the files of a server's drive, path relative to its root → content; none where it has no drive.

        Raises GuestFailed for user data that is none, Misconfigured and Unavailable for what the vendor was to say.
        """
        if not instance.has_config_drive:
            return {}
        return drive_files(self._teller.told(instance), skipped=self._teller.skipped_versions)


def require_tools(drive_format: str) -> None:
    """Raise Misconfigured when drives of a format cannot be made here."""
    if drive_format == VFAT:
        _vfat_tools()
    else:
        find_tool()


def write(path: Path, content: Mapping[str, bytes], drive_format: str) -> None:
    """Write ``content`` as a drive of a format at ``path``; raises as ``write_iso`` does, and Misconfigured."""
    if drive_format == VFAT:
        write_vfat(path, content)
    else:
        write_iso(path, content, find_tool())


def format_of(path: Path) -> str:
    """Return which format a drive has that was written here; guests cannot write to it."""
    with path.open("rb") as drive:
        drive.seek(_ISO_MARK_AT)
        return ISO if drive.read(len(_ISO_MARK)) == _ISO_MARK else VFAT


def find_tool() -> str:
    """Return the full path of a program that makes ISO images; raises Misconfigured when there is none."""
    for program in _TOOLS:
        found = shutil.which(program)
        if found is not None:
            return found
    return external_tools.require(_TOOLS[0], _TOOLS[0])


def write_iso(path: Path, content: Mapping[str, bytes], tool: str) -> None:
    """Write ``content`` as an ISO 9660 image at ``path``, with Joliet and Rock Ridge names.

    Raises: Invalid, when a path would leave the drive or the content is too big; Unavailable, when the tool fails.
    """
    with _staged(path, content, _MAX_BYTES) as (files, drive):
        argv = [tool, "-quiet", "-o", str(drive), "-V", _LABEL, "-J", "-r", "-l", "-ldots", "-allow-lowercase"]
        external_tools.run([*argv, "-publisher", "nova_lite", str(files)])


def write_vfat(path: Path, content: Mapping[str, bytes]) -> None:
    """Write ``content`` as a VFAT file system of 64 MiB, most of it empty and thus nothing, at ``path``.

    Raises: as ``write_iso``; Misconfigured without the tools.
    """
    mkfs, mcopy = _vfat_tools()
    # A file takes whole clusters, and its place in directories.
    with _staged(path, content, _VFAT_BYTES // 2) as (files, drive):
        with drive.open("wb") as empty:
            empty.truncate(_VFAT_BYTES)
        external_tools.run([mkfs, "-n", _LABEL, str(drive)])
        external_tools.run([mcopy, "-i", str(drive), "-s", *sorted(map(str, files.iterdir())), "::"])


def _vfat_tools() -> tuple[str, str]:
    return external_tools.require("mkfs.vfat", "dosfstools"), external_tools.require("mcopy", "mtools")


@contextlib.contextmanager
def _staged(path: Path, content: Mapping[str, bytes], most: int) -> Iterator[tuple[Path, Path]]:
    """Have ``content`` as files of a directory, and where to make the drive of them that then goes to ``path``.

    They may hold secrets, so both are where no other account of the host looks. What an agent that was killed left of
    them goes now, or with its server, whose directory ``path`` is in. Raises Invalid for more than ``most`` bytes.
    """
    if sum(map(len, content.values())) > most:
        raise errors.Invalid(f"The config drive would be bigger than {most // 1024**2} MiB")
    for left in path.parent.glob(f"{_STAGING}*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_STAGING, dir=path.parent) as staging:
        files, drive = Path(staging, "files"), Path(staging, "drive")
        files.mkdir()
        for name, data in content.items():
            _stage(files, name, data)
        yield files, drive
        drive.chmod(0o600)
        drive.replace(path)


def _stage(root: Path, name: str, data: bytes) -> None:
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise errors.Invalid(f"The config drive cannot have a file named {name!r}")
    target = root.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
