"""Volumes over HTTP: listed, made, shown, changed, removed, and their metadata. Actions: ``volume_actions.py``."""

from collections.abc import Callable, Mapping

import falcon

from nova_lite import errors
from nova_lite.embedded import volume_bodies, volume_views
from nova_lite.embedded.volume_records import StoredAttachment, StoredType, StoredVolume
from nova_lite.embedded.volume_requests import Document, caller_of, document, page, send, version_of, wants_all
from nova_lite.embedded.volume_store import VolumeStore
from nova_lite.model.volume import NewVolume

_NO_MULTIATTACH = (
    "multiattach parameter has been removed. The default behavior is to use multiattach enabled volume types. "
    "Contact your administrator to create a multiattach enabled volume type and use it to create multiattach volumes."
)
#: A query's parameters that choose among volumes.
_FILTERS: Mapping[str, Callable[[StoredVolume, str], bool]] = {
    "name": lambda volume, value: volume.name == value,
    "display_name": lambda volume, value: volume.name == value,
    "name~": lambda volume, value: value in (volume.name or ""),
    "status": lambda volume, value: volume.status == value,
    "status~": lambda volume, value: value in volume.status,
    "id": lambda volume, value: volume.id == value,
    "bootable": lambda volume, value: volume.is_bootable == (value.lower() == "true"),
    "multiattach": lambda volume, value: volume.is_multiattach == (value.lower() == "true"),
    "availability_zone": lambda volume, value: volume.availability_zone == value,
    "project_id": lambda volume, value: volume.project_id == value,
    "user_id": lambda volume, value: volume.user_id == value,
}


class _Shown:
    """How volumes are shown to who asks."""

    def __init__(self, store: VolumeStore) -> None:
        self._store = store

    def _volume(self, req: falcon.Request, volume: StoredVolume) -> Document:
        records = self._store.records
        return volume_views.volume(
            volume,
            records.get(StoredType, volume.type_id),
            records.of_volume(StoredAttachment, volume.id)[::-1],
            version_of(req),
            req.prefix,
            is_admin=caller_of(req).is_admin,
        )


class Volumes(_Shown):
    """``/volumes``."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List volumes without details."""
        self._list(req, resp, lambda volume: volume_views.volume_summary(volume, req.prefix))

    def on_get_detail(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List volumes in full."""
        self._list(req, resp, lambda volume: self._volume(req, volume))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin to make a volume."""
        wanted = document(req, volume_bodies.VOLUME, "volume")
        if wanted.get("multiattach") not in (None, False):
            raise errors.Invalid(_NO_MULTIATTACH)
        image_id = wanted.get("imageRef") or wanted.get("image_id")
        sources = [one for one in (image_id, wanted.get("snapshot_id"), wanted.get("source_volid")) if one]
        if len(sources) > 1:
            raise errors.Invalid(
                "Invalid input received: May specify only one of backup, imageRef, snapshot, source volume"
            )
        size = int(wanted["size"]) if wanted.get("size") is not None else None
        if size == 0:
            raise errors.Invalid("size: 0 is less than the minimum of 1")
        new = NewVolume(
            size_gib=size or 0,
            name=wanted.get("name") or wanted.get("display_name") or "",
            description=wanted.get("description") or wanted.get("display_description") or "",
            image_id=image_id or None,
            snapshot_id=wanted.get("snapshot_id") or None,
            source_volume_id=wanted.get("source_volid") or None,
            volume_type=wanted.get("volume_type") or None,
            availability_zone=wanted.get("availability_zone") or None,
            metadata=wanted.get("metadata") or {},
        )
        made = self._store.create(caller_of(req), new, size)
        shown = self._volume(req, made)
        del shown["os-vol-tenant-attr:tenant_id"]
        send(resp, {"volume": shown}, 202)

    def _list(self, req: falcon.Request, resp: falcon.Response, show: Callable[[StoredVolume], Document]) -> None:
        found = self._store.volumes(caller_of(req), of_all=wants_all(req))
        send(resp, page(req, "volumes", found, show, _FILTERS, "Volume"))


class Volume(_Shown):
    """``/volumes/{volume_id}``."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        """Show a volume."""
        send(resp, {"volume": self._volume(req, self._store.volume(caller_of(req), volume_id))})

    def on_put(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        """Change a volume's name, description or metadata."""
        wanted = document(req, volume_bodies.VOLUME_CHANGE, "volume")
        values: dict[str, object] = {
            name.removeprefix("display_"): value for name, value in wanted.items() if name != "metadata"
        }
        if wanted.get("metadata") is not None:
            values["metadata"] = wanted["metadata"]
        send(resp, {"volume": self._volume(req, self._store.change(caller_of(req), volume_id, **values))})

    def on_delete(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        """Begin to remove a volume."""
        cascade = volume_bodies.is_true(req.get_param("cascade"))
        force = volume_bodies.is_true(req.get_param("force"))
        self._store.delete(caller_of(req), volume_id, cascade=cascade, force=force and caller_of(req).is_admin)
        resp.status = 202


class Metadata:
    """``/volumes/{volume_id}/metadata``."""

    def __init__(self, store: VolumeStore) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        """Show all metadata."""
        send(resp, {"metadata": self._store.volume(caller_of(req), volume_id).metadata})

    def on_post(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        """Add metadata."""
        more = document(req, volume_bodies.METADATA, "metadata")
        self._set(req, resp, volume_id, {**self._store.volume(caller_of(req), volume_id).metadata, **more})

    def on_put(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        """Put other metadata in the place of all."""
        self._set(req, resp, volume_id, document(req, volume_bodies.METADATA, "metadata"))

    def _set(self, req: falcon.Request, resp: falcon.Response, volume_id: str, metadata: Document) -> None:
        send(resp, {"metadata": self._store.change(caller_of(req), volume_id, metadata=metadata).metadata})


class Metadatum:
    """``/volumes/{volume_id}/metadata/{key}``."""

    def __init__(self, store: VolumeStore) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response, volume_id: str, key: str) -> None:
        """Show one value."""
        send(resp, {"meta": {key: self._known(req, volume_id, key)[key]}})

    def on_put(self, req: falcon.Request, resp: falcon.Response, volume_id: str, key: str) -> None:
        """Set one value."""
        meta = document(req, volume_bodies.ONE_METADATUM, "meta")
        if key not in meta:
            raise errors.Invalid("Request body and URI mismatch")
        known = self._store.volume(caller_of(req), volume_id).metadata
        self._store.change(caller_of(req), volume_id, metadata={**known, **meta})
        send(resp, {"meta": meta})

    def on_delete(self, req: falcon.Request, resp: falcon.Response, volume_id: str, key: str) -> None:
        """Remove one value."""
        known = self._known(req, volume_id, key)
        self._store.change(caller_of(req), volume_id, metadata={k: v for k, v in known.items() if k != key})
        resp.status = 200

    def _known(self, req: falcon.Request, volume_id: str, key: str) -> dict[str, str]:
        known = self._store.volume(caller_of(req), volume_id).metadata
        if key not in known:
            raise errors.NotFound(f"Volume {volume_id} has no metadata with key {key[:64]}.")
        return known
