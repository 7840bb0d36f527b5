"""The base images of a host: downloaded once, verified, inspected, shared by all guests and never written to.

A cached image is two files: the image, and beside it a note of what it is. The note is written last, so an image
without one is no image. Several processes may share the directory; file locks keep them apart.
"""

import fcntl
import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from nova_lite import errors
from nova_lite.compute import image_format
from nova_lite.concurrency import KeyedLocks
from nova_lite.model.guest import BaseImage
from nova_lite.model.image import Image
from nova_lite.model.plain import known

_LOG = logging.getLogger(__name__)

#: How long one caller waits while another process downloads the image it wants.
_LOCK_TIMEOUT_S = 600.0
_LOCK_POLL_S = 0.1

#: Left free on the cache's file system whatever happens.
_RESERVE_BYTES = 256 * 1024**2

#: The names of hashes that are worth checking; anything else an image service might say falls back to MD5.
_HASHES = frozenset({"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"})

_PLAIN_ID = re.compile("[0-9A-Za-z][0-9A-Za-z_-]{0,63}")


class ImageClient(Protocol):
    """Where images come from."""

    def show(self, image_id: str) -> Image:
        """Return what is known of an image; raises NotFound, Unavailable."""
        ...

    def download(self, image_id: str) -> Iterator[bytes]:
        """Yield the image's bytes; raises NotFound, Unavailable."""
        ...


@known
@dataclass(frozen=True, slots=True)
class _Note:
    """What the cache wrote down of an image once it had proved good. ``size`` is that of the file."""

    image_id: str
    disk_format: str
    virtual_size: int
    size: int


class ImageCache:
    """The base images in one directory."""

    def __init__(self, directory: Path, client: ImageClient, *, max_bytes: int = 1024**4) -> None:
        self._directory = directory
        self._client = client
        self._max_bytes = max_bytes
        self._locks = KeyedLocks()

    def fetch(self, image_id: str) -> BaseImage:
        """Return the image as a verified local file, downloading it when it is not here yet.

        Raises: GuestFailed, when the image can never be used; Unavailable, when another attempt may succeed.
        """
        path = self._directory / _file_name(image_id)
        known = _cached(image_id, path)
        if known is not None:
            return known
        try:
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            with self._locks.hold(path.name), _file_locked(path.with_suffix(".lock")):
                return _cached(image_id, path) or self._bring(image_id, path)
        except OSError as error:
            raise errors.Unavailable(
                f"This host cannot store image {image_id}: {error.strerror}", directory=str(self._directory)
            ) from error

    def _bring(self, image_id: str, path: Path) -> BaseImage:
        """Download, verify, inspect and keep the image; a failure leaves nothing."""
        began = time.monotonic()
        part = path.with_suffix(".part")
        try:
            image = self._client.show(image_id)
            _check_usable(image, self._max_bytes, _room(self._directory))
            self._download(image, part)
            found = image_format.inspect(part, image.disk_format)
            part.chmod(0o444)
            part.replace(path)
            _write_note(path, _Note(image_id, found.disk_format, found.virtual_size, path.stat().st_size))
        except errors.NotFound as error:
            raise errors.GuestFailed(f"Image {image_id} does not exist any more") from error
        finally:
            part.unlink(missing_ok=True)
        _LOG.info("Image %s is here after %.1f s", image_id, time.monotonic() - began)
        return BaseImage(image_id, str(path), found.disk_format, found.virtual_size)

    def _download(self, image: Image, part: Path) -> None:
        digest, expected = _hash_of(image)
        received = 0
        with part.open("wb") as file:
            for piece in self._client.download(image.id):
                received += len(piece)
                if received > image.size:
                    raise errors.Unavailable(f"Image {image.id} is longer than the {image.size} bytes it should have")
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if received != image.size:
            raise errors.Unavailable(f"Image {image.id} ended after {received} of {image.size} bytes")
        if expected is None:
            _LOG.warning("The image service tells no checksum of image %s; it is used unverified", image.id)
        elif digest.hexdigest() != expected.lower():
            raise errors.Unavailable(f"Image {image.id} arrived damaged: its {digest.name} checksum is wrong")


def _file_name(image_id: str) -> str:
    """Return a name that stays in its directory whatever the id; two ids never share one."""
    if _PLAIN_ID.fullmatch(image_id):
        return image_id
    return f"sha256-{hashlib.sha256(image_id.encode()).hexdigest()}"


def _note_path(path: Path) -> Path:
    return path.parent / f"{path.name}.json"


def _cached(image_id: str, path: Path) -> BaseImage | None:
    try:
        note = msgspec.json.decode(_note_path(path).read_bytes(), type=_Note)
        size = path.stat().st_size
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        _LOG.warning("The cached image %s cannot be read and is fetched again: %s", image_id, error)
        return None
    if note.image_id != image_id or note.size != size:
        _LOG.warning("The cached image %s is not what it was and is fetched again", image_id)
        return None
    return BaseImage(image_id, str(path), note.disk_format, note.virtual_size)


def _write_note(path: Path, note: _Note) -> None:
    target = _note_path(path)
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        file.write(msgspec.json.encode(note))
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _check_usable(image: Image, max_bytes: int, room: int) -> None:
    if image.status != "active":
        raise errors.GuestFailed(f"Image {image.id} is {image.status}, not active")
    if image.disk_format not in image_format.ACCEPTED:
        raise errors.GuestFailed(
            f"Image {image.id} is declared as {image.disk_format}; only raw and qcow2 are accepted"
        )
    if image.size > max_bytes:
        raise errors.GuestFailed(f"Image {image.id} has {image.size} bytes; at most {max_bytes} are accepted")
    if image.size > room:
        raise errors.Unavailable(f"This host has no room for image {image.id} of {image.size} bytes")


def _room(directory: Path) -> int:
    stats = os.statvfs(directory)
    return stats.f_bavail * stats.f_frsize - _RESERVE_BYTES


def _hash_of(image: Image) -> "tuple[hashlib._Hash, str | None]":
    """Return a hasher and the digest it must come to: the image's strong hash where it has one, else its MD5."""
    if image.hash_algo is not None and image.hash_value and image.hash_algo.lower() in _HASHES:
        return hashlib.new(image.hash_algo.lower()), image.hash_value
    return hashlib.new("md5", usedforsecurity=False), image.checksum


@contextmanager
def _file_locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes. It is asked for again and again: a blocking call would stop green threads."""
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise errors.Timeout(f"Another process has held {path.name} for too long") from error
                time.sleep(_LOCK_POLL_S)
        yield
