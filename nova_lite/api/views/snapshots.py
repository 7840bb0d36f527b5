"""How snapshots of volumes look to clients of this API."""

from nova_lite.model.volume import VolumeSnapshot


def one(snapshot: VolumeSnapshot) -> dict[str, object]:
    """Return a snapshot."""
    return {
        "id": snapshot.id,
        "volumeId": snapshot.volume_id,
        "status": snapshot.status,
        "size": snapshot.size_gib,
        "createdAt": snapshot.created_at,
        "displayName": snapshot.name or None,
        "displayDescription": snapshot.description,
    }
