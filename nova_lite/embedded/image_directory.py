"""A directory of image files, each with a JSON sidecar that says what it is.

To add an image, put a file there; ``FILE.json`` beside it is written at the first look and may be edited: name,
min_disk, min_ram, properties. What is served over HTTP: ``image_api.py``.
"""

import dataclasses
import hashlib
import shutil
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from nova_lite import errors
from nova_lite.model.plain import known

#: Files whose names end so are images; anything else in the directory is left alone.
SUFFIXES = frozenset({".qcow2", ".raw", ".img", ".iso"})
_QCOW2_MAGIC = b"QFI\xfb"
#: Ids are made of this and the file's name, so that a lost sidecar changes no id.
_NAMESPACE = uuid.UUID("5b6f2f0a-6c0d-4f0e-9f0a-3d6c1d4e7a11")
_CHUNK = 1 << 20


@known
@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image of the directory: its sidecar's content. Sizes in bytes, ``min_disk`` in GiB, ``min_ram`` in MiB.

    ``checksum`` (MD5) and ``sha512`` are those of the file when it had ``size`` and ``modified_ns``.
    """

    id: str
    name: str
    disk_format: str
    size: int
    modified_ns: int
    checksum: str
    sha512: str
    created_at: str
    updated_at: str
    virtual_size: int | None = None
    min_disk: int = 0
    min_ram: int = 0
    visibility: str = "public"
    container_format: str = "bare"
    properties: dict[str, str] = field(default_factory=dict)


class ImageDirectory:
    """Looks at the directory anew at each question, so that files may come and go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def images(self) -> list[StoredImage]:
        """Return every image, newest first."""
        found = [image for image, _ in self._scan()]
        return sorted(found, key=lambda image: (image.created_at, image.id), reverse=True)

    def image(self, image_id: str) -> tuple[StoredImage, Path]:
        """Return one image and its file; raises NotFound."""
        for image, path in self._scan():
            if image.id == image_id:
                return image, path
        raise errors.NotFound(f"No image found with ID {image_id}")

    def add(self, source: Path, name: str) -> StoredImage:
        """Copy a file into the directory as the image ``name``; a file that is there already is not copied again.

        Raises NotFound, Invalid for a name no file can have, Conflict when another file is the image of that name.
        """
        if not source.is_file():
            raise errors.NotFound(f"There is no image file {source}")
        if not name or "/" in name or name.startswith("."):
            raise errors.Invalid(f"{name!r} is no name for an image")
        target = self._path / f"{name}.{_disk_format(source)}"
        for image, path in self._scan():
            if image.name == name and path != target:
                raise errors.Conflict(
                    f"There is an image called {name} already, {path}; remove it, or name this another."
                )
        with self._lock:
            self._path.mkdir(parents=True, exist_ok=True)
            if not _same_file(source, target):
                half_copied = target.with_name(target.name + ".part")
                shutil.copy2(source, half_copied)
                half_copied.replace(target)
            return _described(target)

    def _scan(self) -> list[tuple[StoredImage, Path]]:
        with self._lock:
            try:
                paths = sorted(path for path in self._path.iterdir() if path.suffix in SUFFIXES and path.is_file())
                return [(_described(path), path) for path in paths]
            except FileNotFoundError:
                return []
            except OSError as exc:
                raise errors.Unavailable(
                    f"The image directory cannot be read: {exc.strerror}", path=str(exc.filename)
                ) from exc


def _described(path: Path) -> StoredImage:
    """Return what the sidecar says, after making or renewing it where the file is not the one it describes."""
    known = _read_sidecar(path)
    status = path.stat()
    if known is not None and (known.size, known.modified_ns) == (status.st_size, status.st_mtime_ns):
        return known
    md5, sha512 = _checksums(path)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    fresh = StoredImage(
        id=str(uuid.uuid5(_NAMESPACE, path.name)),
        name=path.stem,
        disk_format=_disk_format(path),
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        checksum=md5,
        sha512=sha512,
        created_at=now,
        updated_at=now,
        virtual_size=_virtual_size(path),
    )
    if known is not None:
        kept = {
            name: getattr(known, name)
            for name in ("name", "created_at", "min_disk", "min_ram", "visibility", "properties")
        }
        fresh = dataclasses.replace(fresh, **kept)
    half_written = _sidecar(path).with_suffix(".tmp")
    half_written.write_bytes(msgspec.json.format(msgspec.json.encode(fresh), indent=2))
    half_written.replace(_sidecar(path))
    return fresh


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read_sidecar(path: Path) -> StoredImage | None:
    try:
        return msgspec.json.decode(_sidecar(path).read_bytes(), type=StoredImage)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as exc:
        raise errors.Unavailable(f"{_sidecar(path)} cannot be understood: {exc}") from exc


def _disk_format(path: Path) -> str:
    """Return the format by the file's first bytes; of those that have none, an ISO is known by its name."""
    with path.open("rb") as file:
        if file.read(4) == _QCOW2_MAGIC:
            return "qcow2"
    return "iso" if path.suffix == ".iso" else "raw"


def _virtual_size(path: Path) -> int:
    """Return the size of the disk in the file: for qcow2 what its header says at offset 24."""
    with path.open("rb") as file:
        header = file.read(32)
    if header[:4] == _QCOW2_MAGIC and len(header) == 32:
        return int.from_bytes(header[24:32], "big")
    return path.stat().st_size


def _checksums(path: Path) -> tuple[str, str]:
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            md5.update(chunk)
            sha512.update(chunk)
    return md5.hexdigest(), sha512.hexdigest()


def _same_file(source: Path, target: Path) -> bool:
    """Return whether ``target`` is a copy of ``source``; a copy keeps its original's time."""
    if not target.exists():
        return False
    one, other = source.stat(), target.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
