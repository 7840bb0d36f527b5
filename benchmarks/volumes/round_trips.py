"""A volume's way to a server and back, as a client asks for it and as the cell's database says that it is done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.moves.deeds import Doing, Look
from benchmarks.scheduling.boots import request


@dataclass(frozen=True, slots=True)
class Volumes:
    """How many volumes a server has for good, and how many come to it or go."""

    attached: int
    moving: int

    @property
    def has_failed(self) -> bool:
        return False

    @property
    def are_there(self) -> bool:
        return (self.attached, self.moving) == (1, 0)

    @property
    def are_gone(self) -> bool:
        return (self.attached, self.moving) == (0, 0)


def read_ours(rows: Sequence[Any]) -> Volumes:
    """Return what a row of ours means: a server's volumes with how far they are, as JSON."""
    stored = rows[0][1]
    devices = json.loads(stored) if isinstance(stored, str | bytes) else stored or []
    attached = sum(device["phase"] == "attached" for device in devices or [])
    return Volumes(attached, len(devices or []) - attached)


def read_real(rows: Sequence[Any]) -> Volumes:
    """Return what rows of the real one mean: one for each volume, with how its host reaches it in the end, and how many
    events of the server's actions are under way.
    """
    volumes = [connection for _, volume_id, connection, _ in rows if volume_id is not None]
    under_way = max(int(count) for *_, count in rows)
    attached = 0 if under_way else sum(connection is not None for connection in volumes)
    return Volumes(attached, len(volumes) - attached)


LOOKS: Mapping[str, Look] = {
    "ours": Look("SELECT uuid, volumes FROM {database}.instances WHERE uuid IN :ids", read_ours),
    # The real one notes how a host reaches the volume before the attachment is complete, and last that the event has
    # ended: who asks for the next thing before that may be refused. It removes the row last of all.
    "real": Look(
        "SELECT i.uuid, b.volume_id, b.connection_info, (SELECT COUNT(*) FROM {database}.instance_actions a "
        "JOIN {database}.instance_actions_events e ON e.action_id = a.id "
        "WHERE a.instance_uuid = i.uuid AND e.finish_time IS NULL) FROM {database}.instances i "
        "LEFT JOIN {database}.block_device_mapping b ON b.instance_uuid = i.uuid AND b.deleted = 0 "
        "AND b.destination_type = 'volume' WHERE i.uuid IN :ids",
        read_real,
    ),
}


def round_trip(doing: Doing, server_id: str, volume_id: str) -> str:
    """Attach a volume, and when that is done detach it; return how that ended."""
    path = f"/servers/{server_id}/os-volume_attachments"
    attach = request("POST", path, {"volumeAttachment": {"volumeId": volume_id}})
    outcome = doing.ask(attach, server_id, lambda seen: seen.are_there)
    if outcome != "active":
        return outcome
    return doing.ask(request("DELETE", f"{path}/{volume_id}"), server_id, lambda seen: seen.are_gone)
