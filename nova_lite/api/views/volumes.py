"""How volumes look to clients of this API, who know names that the block storage service has long given up."""

from nova_lite.model.volume import Volume


def one(volume: Volume) -> dict[str, object]:
    """Return a volume; of several servers that have it the first is told."""
    return {
        "id": volume.id,
        "status": volume.status,
        "size": volume.size_gib,
        "availabilityZone": volume.availability_zone,
        "createdAt": volume.created_at,
        "attachments": [_use(volume)],
        "displayName": volume.name or None,
        "displayDescription": volume.description,
        "volumeType": volume.volume_type,
        "snapshotId": volume.snapshot_id,
        "metadata": volume.metadata,
    }


def _use(volume: Volume) -> dict[str, object]:
    if not volume.attachments:
        return {}
    use = volume.attachments[0]
    shown: dict[str, object] = {"id": volume.id, "volumeId": volume.id, "serverId": use.instance_uuid}
    return {**shown, "device": use.device} if use.device else shown
