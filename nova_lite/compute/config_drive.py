"""The config drive: a small read-only disk that tells the guest who it is.

What files it has is pure; writing them onto an ISO image takes one external tool. Guests look for a file system
labelled ``config-2``.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import orjson

from nova_lite import errors
from nova_lite.compute import external_tools

_LABEL = "config-2"

#: A guest takes the newest version it knows, or ``latest``; all have the same content here.
_VERSIONS = ("2018-08-27", "latest")

#: Room for the largest user data the API accepts, many times over.
_MAX_BYTES = 64 * 1024**2

_TOOLS = ("genisoimage", "xorrisofs", "mkisofs")


def files(metadata: Mapping[str, object], user_data: bytes | None) -> dict[str, bytes]:
    """Return the drive's files: path relative to its root → content.

    Raises: Invalid, when ``metadata`` is no JSON.
    """
    try:
        shared = {
            "meta_data.json": orjson.dumps(dict(metadata)),
            "network_data.json": orjson.dumps({"links": [], "networks": [], "services": []}),
            "vendor_data.json": b"{}",
            "vendor_data2.json": b"{}",
        }
    except TypeError as error:
        raise errors.Invalid(f"The config drive's metadata cannot be written as JSON: {error}") from error
    if user_data is not None:
        shared["user_data"] = user_data
    return {f"openstack/{version}/{name}": content for version in _VERSIONS for name, content in shared.items()}


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
