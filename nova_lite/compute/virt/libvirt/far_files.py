"""A program of its own: lists a directory of another host, or copies a file of it here, through that host's libvirt.

``far_files.py URI DIRECTORY [NAME TARGET]`` prints what lies in the directory as JSON, name → bytes it has and bytes it
takes up, and copies the file NAME to the new file TARGET, with its holes. It is a process, for libvirt's client waits
for ever for a host that is silent: here an alarm ends that. It needs nothing but libvirt's bindings.

Exit codes: 3 when directory or file is not there, 4 when the file came damaged; any other failure may pass.
"""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import libvirt

NOT_THERE, DAMAGED = 3, 4

#: The process ends when the other host has been silent for so many seconds.
_SILENCE_S = 60

_POOL = "<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def main(uri: str, directory: str, name: str | None = None, target: str | None = None) -> None:
    """List the directory, and copy one file of it."""
    libvirt.registerErrorHandler(lambda context, error: None, None)
    signal.alarm(_SILENCE_S)
    connection = libvirt.open(uri)
    pool = _pool(connection, directory)
    try:
        files = {volume.name(): _sizes(volume) for volume in pool.listAllVolumes(0)}
        if name is not None and target is not None:
            if name not in files:
                sys.exit(NOT_THERE)
            _copy(connection, pool.storageVolLookupByName(name), target)
            if Path(target).stat().st_size != files[name][0]:
                sys.exit(DAMAGED)
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            pool.destroy()
    sys.stdout.write(json.dumps(files))


def _pool(connection: Any, directory: str) -> Any:
    """Return a pool of the directory's files, as they are now; one that a killed process left is taken over."""
    name = f"nova-lite-{Path(directory).name}"
    quoted = "".join(_ENTITIES.get(character, character) for character in directory)
    try:
        return connection.storagePoolCreateXML(_POOL.format(name=name, path=quoted), 0)
    except libvirt.libvirtError as error:
        failure = error
    try:
        pool = connection.storagePoolLookupByTargetPath(directory)
    except libvirt.libvirtError as error:
        is_missing = error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL
        sys.stderr.write(f"{failure}\n")
        sys.exit(NOT_THERE if is_missing and failure.get_error_code() == libvirt.VIR_ERR_SYSTEM_ERROR else 1)
    pool.refresh(0)
    return pool


def _sizes(volume: Any) -> tuple[int, int]:
    """Return how many bytes a file has, and how many it takes up."""
    return volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2], volume.info()[2]


def _copy(connection: Any, volume: Any, target: str) -> None:
    parent = os.getppid()
    stream = connection.newStream(0)
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:

        def alive() -> None:
            signal.alarm(_SILENCE_S)
            if os.getppid() != parent:
                sys.exit("nobody waits for this file any more")

        def piece(_stream: object, data: bytes, _opaque: object) -> int:
            alive()
            return file.write(data)

        def hole(_stream: object, length: int, _opaque: object) -> None:
            alive()
            file.seek(length, os.SEEK_CUR)

        volume.download(stream, 0, 0, libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM)
        stream.sparseRecvAll(piece, hole, None)
        stream.finish()
        file.truncate(file.tell())
        file.flush()
        signal.alarm(0)
        os.fsync(file.fileno())
    signal.alarm(_SILENCE_S)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except libvirt.libvirtError as problem:
        sys.exit(str(problem))
