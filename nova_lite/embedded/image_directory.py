"""A directory of image files, each with a JSON sidecar that says what it is.

To add an image, put a file there; ``FILE.json`` beside it is written at the first look and may be edited: name,
min_disk, min_ram, properties. An image made over HTTP is ``ID.queued``, its description alone, until its file comes.
What is served over HTTP: ``image_api.py``.
"""

import dataclasses
import hashlib
import shutil
import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from nova_lite import errors
from nova_lite.model.plain import known

#: Files whose names end so are images; anything else in the directory is left alone.
SUFFIXES = frozenset({".qcow2", ".raw", ".img", ".iso"})
_QCOW2_MAGIC = b"QFI\xfb"
#: Ids are made of this and the file's name, so that a lost sidecar changes no id.
_NAMESPACE = uuid.UUID("5b6f2f0a-6c0d-4f0e-9f0a-3d6c1d4e7a11")
_CHUNK = 1 << 20
#: The end of a file's name by its format; files of other formats are ``.img``.
_SUFFIX = {"qcow2": ".qcow2", "raw": ".raw", "iso": ".iso"}
#: What a sidecar says that its file does not.
_KEPT = ("name", "created_at", "min_disk", "min_ram", "visibility", "properties", "is_protected", "tags")
QUEUED, SAVING, ACTIVE = "queued", "saving", "active"


@known
@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image of the directory: its sidecar's content. Sizes in bytes, ``min_disk`` in GiB, ``min_ram`` in MiB.

    ``checksum`` (MD5) and ``sha512`` are those of the file when it had ``size`` and ``modified_ns``. A queued image has
    no file yet, and perhaps no formats.
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
    status: str = ACTIVE
    is_protected: bool = False
    tags: tuple[str, ...] = ()


class ImageDirectory:
    """Looks at the directory anew at each question, so that files may come and go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        #: Taken again by who holds it: what is changed is read under it.
        self._lock = threading.RLock()
        #: Images whose files are coming.
        self._saving: set[str] = set()

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

    def create(self, image_id: str | None, attributes: Mapping[str, Any]) -> StoredImage:
        """Describe an image whose file is still to come; raises Conflict when there is one with that id."""
        now = _now()
        image = StoredImage(
            id=image_id or str(uuid.uuid4()),
            **{"name": "", "disk_format": "", "container_format": "", "visibility": "shared", **attributes},
            size=0,
            modified_ns=0,
            checksum="",
            sha512="",
            created_at=now,
            updated_at=now,
            status=QUEUED,
        )
        if any(known.id == image.id for known, _ in self._scan()):
            raise errors.Conflict(f"Image ID {image.id} already exists!")
        with self._lock:
            self._path.mkdir(parents=True, exist_ok=True)
            _write_record(self._path / f"{image.id}.{QUEUED}", image)
        return image

    def upload(self, image_id: str, pieces: Iterable[bytes]) -> None:
        """Give a queued image its file.

        Raises NotFound, Invalid when its formats were never told, Conflict when it has a file or one is coming. A
        failure leaves it queued.
        """
        image, record = self.image(image_id)
        if image.status != QUEUED:
            raise errors.Conflict(f"Image status transition from {image.status} to saving is not allowed")
        if not (image.disk_format and image.container_format):
            raise errors.Invalid("Properties disk_format, container_format must be set prior to saving data.")
        with self._lock:
            if image_id in self._saving:
                raise errors.Conflict("Image status transition from saving to saving is not allowed")
            self._saving.add(image_id)
        target = self._path / f"{image_id}{_SUFFIX.get(image.disk_format, '.img')}"
        part = target.with_name(target.name + ".part")
        try:
            sums = _Sums()
            with part.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
                    sums.add(piece)
            with self._lock:
                # Read anew: it may have been changed while its file came.
                queued = _read_record(record)
                if queued is None:
                    raise errors.NotFound(f"Image {image_id} was deleted while its file came.")
                # The description first: a file without one would be described by its content alone.
                _write_record(_sidecar(target), _filled(queued, part, sums))
                part.replace(target)
                record.unlink()
        finally:
            part.unlink(missing_ok=True)
            self._saving.discard(image_id)

    def change(self, image_id: str, attributes: Mapping[str, Any]) -> StoredImage:
        """Change what is said of an image; raises NotFound."""
        with self._lock:
            image, path = self.image(image_id)
            changed = dataclasses.replace(image, **attributes, updated_at=_now())
            if changed.status == SAVING:
                changed = dataclasses.replace(changed, status=QUEUED)
            _write_record(path if path.suffix == f".{QUEUED}" else _sidecar(path), changed)
        return changed

    def delete(self, image_id: str) -> None:
        """Remove an image and its file; raises NotFound, Forbidden for one that is protected."""
        image, path = self.image(image_id)
        if image.is_protected:
            raise errors.Forbidden(f"Image {image_id} is protected and cannot be deleted.")
        with self._lock:
            # Its file first: a sidecar alone is no image.
            path.unlink(missing_ok=True)
            _sidecar(path).unlink(missing_ok=True)
            (self._path / f"{image_id}.{QUEUED}").unlink(missing_ok=True)

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
                paths = sorted(path for path in self._path.iterdir() if path.is_file())
                found = {path: _described(path) for path in paths if path.suffix in SUFFIXES}
                complete = {image.id for image in found.values()}
                for path in (path for path in paths if path.suffix == f".{QUEUED}" and path.stem not in complete):
                    queued = _read_record(path)
                    if queued is not None:
                        is_saving = queued.id in self._saving
                        found[path] = dataclasses.replace(queued, status=SAVING) if is_saving else queued
                return [(image, path) for path, image in found.items()]
            except FileNotFoundError:
                return []
            except OSError as exc:
                raise errors.Unavailable(
                    f"The image directory cannot be read: {exc.strerror}", path=str(exc.filename)
                ) from exc


def _described(path: Path) -> StoredImage:
    """Return what the sidecar says, after making or renewing it where the file is not the one it describes."""
    known = _read_record(_sidecar(path))
    status = path.stat()
    if known is not None and (known.size, known.modified_ns) == (status.st_size, status.st_mtime_ns):
        return known
    sums = _Sums()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sums.add(chunk)
    now = _now()
    fresh = StoredImage(
        id=_id_of(path),
        name=path.stem,
        disk_format=_disk_format(path),
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        checksum=sums.md5,
        sha512=sums.sha512,
        created_at=now,
        updated_at=now,
        virtual_size=_virtual_size(path),
    )
    if known is not None:
        fresh = dataclasses.replace(fresh, **{name: getattr(known, name) for name in _KEPT})
    _write_record(_sidecar(path), fresh)
    return fresh


def _filled(image: StoredImage, file: Path, sums: "_Sums") -> StoredImage:
    """Return ``image`` as it is with its file, which has these ``sums``."""
    status = file.stat()
    return dataclasses.replace(
        image,
        status=ACTIVE,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        checksum=sums.md5,
        sha512=sums.sha512,
        virtual_size=_virtual_size(file),
        updated_at=_now(),
    )


def _id_of(path: Path) -> str:
    """Return the id of the image in a file: its name, where that is one, else one made of its name."""
    try:
        return str(uuid.UUID(path.stem))
    except ValueError:
        return str(uuid.uuid5(_NAMESPACE, path.name))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write_record(path: Path, image: StoredImage) -> None:
    half_written = path.with_name(path.name + ".tmp")
    half_written.write_bytes(msgspec.json.format(msgspec.json.encode(image), indent=2))
    half_written.replace(path)


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read_record(path: Path) -> StoredImage | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredImage)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as exc:
        raise errors.Unavailable(f"{path} cannot be understood: {exc}") from exc


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


class _Sums:
    """The checksums of what was added, in hexadecimal digits."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha512 = hashlib.sha512()

    def add(self, piece: bytes) -> None:
        """Go on with more content."""
        self._md5.update(piece)
        self._sha512.update(piece)

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()

    @property
    def sha512(self) -> str:
        return self._sha512.hexdigest()


def _same_file(source: Path, target: Path) -> bool:
    """Return whether ``target`` is a copy of ``source``; a copy keeps its original's time."""
    if not target.exists():
        return False
    one, other = source.stat(), target.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
