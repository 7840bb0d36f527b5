"""Volumes, their attachments and snapshots, as the block storage service describes them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class VolumeUse:
    """Who has a volume: one line of its ``attachments``. ``instance_uuid`` is None where no server has it."""

    attachment_id: str
    instance_uuid: str | None
    device: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume; ``size_gib`` in GiB.

    ``has_shared_targets`` is None where the service does not say (before 3.48): then they must be taken to be shared.
    ``service_uuid`` names the back end's service, for locks; ``cluster`` its cluster, told to administrators alone.
    ``created_at`` is written as the service does.
    """

    id: str
    size_gib: int
    status: str
    name: str = ""
    is_bootable: bool = False
    is_multiattach: bool = False
    is_encrypted: bool = False
    availability_zone: str | None = None
    volume_type: str | None = None
    project_id: str | None = None
    snapshot_id: str | None = None
    migration_status: str | None = None
    has_shared_targets: bool | None = None
    service_uuid: str | None = None
    cluster: str | None = None
    attachments: tuple[VolumeUse, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    image_metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    created_at: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """One claim on a volume: reserved for a server, or given to a host by its connector.

    ``connection_info`` says how that host reaches the volume; it holds secrets and is never stored or logged.
    """

    id: str
    volume_id: str
    status: str
    instance_uuid: str | None = None
    mode: str | None = None
    connection_info: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class VolumeSnapshot:
    """One snapshot of a volume; ``size_gib`` in GiB."""

    id: str
    volume_id: str
    size_gib: int
    status: str
    name: str = ""
    progress: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    created_at: str | None = None


@dataclass(frozen=True, slots=True)
class NewVolume:
    """What a volume is to be: blank, or made from one of ``image_id``, ``snapshot_id`` and ``source_volume_id``."""

    size_gib: int
    name: str = ""
    description: str = ""
    image_id: str | None = None
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    volume_type: str | None = None
    availability_zone: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
