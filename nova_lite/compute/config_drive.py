"""The config drive: a small read-only disk that tells the guest who it is.

It holds what the metadata service tells: ``model/guest_documents.py``. Writing that onto an ISO image takes one
external tool. Guests look for a file system labelled ``config-2``.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nova_lite import errors
from nova_lite.clients.vendordata import Teller
from nova_lite.compute import external_tools
from nova_lite.model.guest_documents import drive_files
from nova_lite.model.instance import Instance

_LABEL = "config-2"

#: Room for the largest user data the API accepts, many times over.
_MAX_BYTES = 64 * 1024**2

_TOOLS = ("genisoimage", "xorrisofs", "mkisofs")


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
    if sum(map(len, content.values())) > _MAX_BYTES:
        raise errors.Invalid(f"The config drive would be bigger than {_MAX_BYTES // 1024**2} MiB")
    with tempfile.TemporaryDirectory(prefix="config-drive-") as staging:
        root = Path(staging)
        for name, data in content.items():
            _stage(root, name, data)
        argv = [tool, "-quiet", "-o", str(path), "-V", _LABEL, "-J", "-r", "-l", "-ldots", "-allow-lowercase"]
        external_tools.run([*argv, "-publisher", "nova_lite", staging])
    path.chmod(0o600)


def _stage(root: Path, name: str, data: bytes) -> None:
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise errors.Invalid(f"The config drive cannot have a file named {name!r}")
    target = root.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
