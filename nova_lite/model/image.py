"""An image as the image service describes it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Image:
    """What we need to know of an image; ``size`` in bytes, ``min_disk_gib`` in GiB, ``min_ram_mib`` in MiB.

    ``owner`` is a project, None where the image service knows none.
    ``created_at`` and ``updated_at`` are UTC as the image service writes it, ``2026-01-31T12:00:00Z``.
    ``hash_algo``/``hash_value`` describe the file's content; ``checksum`` is its MD5, on older services the only one.
    """

    id: str
    name: str
    status: str
    disk_format: str
    size: int
    min_disk_gib: int = 0
    min_ram_mib: int = 0
    checksum: str | None = None
    hash_algo: str | None = None
    hash_value: str | None = None
    virtual_size: int | None = None
    owner: str | None = None
    created_at: str | None = field(default=None, compare=False)
    updated_at: str | None = field(default=None, compare=False)
    properties: dict[str, str] = field(default_factory=dict)
