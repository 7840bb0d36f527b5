"""What the embedded block storage service keeps: volumes, snapshots, attachments and types, in one SQLite file.

A record is one row with its content as JSON; which states it may go through says ``volume_store.py``.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nova_lite.model.plain import known

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, id TEXT NOT NULL, volume_id TEXT, number INTEGER NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS records_of_volume ON records (kind, volume_id);
"""


@known
@dataclass(frozen=True, slots=True)
class StoredVolume:
    """One volume. ``previous_status`` is where it goes back to after it was filled anew.

    ``job_image_id`` is the image it is being filled from, ``job_size_gib`` what it is being extended to, ``job_pool``
    and ``job_type_id`` where it is taken to and as what: what a restart goes on with. ``pool`` is where its file is,
    which is called by ``file_id`` where that is another one's.
    """

    id: str
    project_id: str
    user_id: str
    size_gib: int
    status: str
    type_id: str
    created_at: str
    updated_at: str | None = None
    attach_status: str = "detached"
    name: str | None = None
    description: str | None = None
    availability_zone: str = "nova"
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    is_multiattach: bool = False
    is_bootable: bool = False
    is_readonly: bool | None = None
    migration_status: str | None = None
    previous_status: str | None = None
    job_image_id: str | None = None
    job_size_gib: int | None = None
    job_pool: str | None = None
    job_type_id: str | None = None
    pool: str = "files"
    file_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    image_metadata: dict[str, str] = field(default_factory=dict)


@known
@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """One snapshot of a volume."""

    id: str
    volume_id: str
    project_id: str
    user_id: str
    size_gib: int
    status: str
    created_at: str
    updated_at: str | None = None
    name: str | None = None
    description: str | None = None
    progress: str = "0%"
    metadata: dict[str, str] = field(default_factory=dict)


@known
@dataclass(frozen=True, slots=True)
class StoredAttachment:
    """One attachment; ``connector`` is the host's it was given to."""

    id: str
    volume_id: str
    project_id: str
    status: str
    instance_uuid: str | None = None
    mode: str | None = None
    host: str | None = None
    mountpoint: str | None = None
    attached_at: str | None = None
    connector: dict[str, Any] = field(default_factory=dict)
    connection_info: dict[str, Any] = field(default_factory=dict)


@known
@dataclass(frozen=True, slots=True)
class StoredType:
    """One volume type."""

    id: str
    name: str
    description: str | None = None
    is_public: bool = True
    extra_specs: dict[str, str] = field(default_factory=dict)


Record = StoredVolume | StoredSnapshot | StoredAttachment | StoredType
_R = TypeVar("_R", StoredVolume, StoredSnapshot, StoredAttachment, StoredType)
_KINDS = {StoredVolume: "volume", StoredSnapshot: "snapshot", StoredAttachment: "attachment", StoredType: "type"}


class Records:
    """The file. ``changing`` is one transaction; reads outside of it see what is committed."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        # Used under the lock alone, by any thread.
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)
        self._depth = 0

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Have all changes within made together or, when an error is raised, not at all; one caller at a time."""
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._connection.execute("BEGIN IMMEDIATE")
                yield
            except BaseException:
                if self._depth == 1:
                    self._connection.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    def get(self, kind: type[_R], record_id: str) -> _R | None:
        """Return one record, or None."""
        rows = self._select(kind, "AND id = ?", (record_id,))
        return rows[0] if rows else None

    def all(self, kind: type[_R]) -> list[_R]:
        """Return every record of a kind, oldest first."""
        return self._select(kind, "", ())

    def of_volume(self, kind: type[_R], volume_id: str) -> list[_R]:
        """Return the snapshots or attachments of a volume, oldest first."""
        return self._select(kind, "AND volume_id = ?", (volume_id,))

    def put(self, record: _R) -> _R:
        """Write a record, new or changed; return it."""
        kind = _KINDS[type(record)]
        volume_id = getattr(record, "volume_id", None)
        with self._lock:
            self._connection.execute(
                "INSERT INTO records (kind, id, volume_id, number, content) "
                "VALUES (?, ?, ?, (SELECT coalesce(max(number), 0) + 1 FROM records), ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET content = excluded.content, volume_id = excluded.volume_id",
                (kind, record.id, volume_id, msgspec.json.encode(record)),
            )
        return record

    def remove(self, kind: type[_R], record_id: str) -> None:
        """Remove a record; none is no error."""
        with self._lock:
            self._connection.execute("DELETE FROM records WHERE kind = ? AND id = ?", (_KINDS[kind], record_id))

    def _select(self, kind: type[_R], where: str, values: tuple[str, ...]) -> list[_R]:
        query = f"SELECT content FROM records WHERE kind = ? {where} ORDER BY number"
        with self._lock:
            rows = self._connection.execute(query, (_KINDS[kind], *values)).fetchall()
        return [msgspec.json.decode(content, type=kind) for (content,) in rows]
