"""Attachments, snapshots and types of volumes over HTTP."""

from collections.abc import Callable, Mapping

import falcon

from nova_lite import errors
from nova_lite.embedded import volume_bodies, volume_views
from nova_lite.embedded.volume_attachments import VolumeAttachments
from nova_lite.embedded.volume_records import StoredAttachment, StoredSnapshot, StoredType
from nova_lite.embedded.volume_requests import (
    Document,
    caller_of,
    document,
    page,
    raw_body,
    require_admin,
    require_version,
    send,
    version_of,
    wants_all,
)
from nova_lite.embedded.volume_store import SNAPSHOT_STATES, VolumeStore
from nova_lite.web.validation import parse_query

_ATTACHMENT_FILTERS: Mapping[str, Callable[[StoredAttachment, str], bool]] = {
    "volume_id": lambda one, value: one.volume_id == value,
    "instance_id": lambda one, value: one.instance_uuid == value,
    "status": lambda one, value: one.status == value,
    "attach_status": lambda one, value: one.status == value,
}
_SNAPSHOT_FILTERS: Mapping[str, Callable[[StoredSnapshot, str], bool]] = {
    "volume_id": lambda one, value: one.volume_id == value,
    "name": lambda one, value: one.name == value,
    "display_name": lambda one, value: one.name == value,
    "status": lambda one, value: one.status == value,
}
_PAGING = frozenset(("limit", "marker", "offset", "sort", "sort_key", "sort_dir", "all_tenants", "with_count"))
#: States from which a host may say how its part of a snapshot goes, and what it may say.
_FROM_HOST = {"creating": ("creating", "available", "error"), "deleting": ("deleting", "error_deleting")}


class Attachments:
    """``/attachments``."""

    def __init__(self, attachments: VolumeAttachments) -> None:
        self._attachments = attachments

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List attachments without details."""
        self._list(req, resp, detailed=False)

    def on_get_detail(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List attachments in full."""
        self._list(req, resp, detailed=True)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Reserve a volume, and give it to a host where the body names one."""
        require_version(req, 27)
        wanted = document(req, volume_bodies.NEW_ATTACHMENT, "attachment")
        made = self._attachments.create(
            caller_of(req),
            wanted["volume_uuid"],
            wanted.get("instance_uuid"),
            wanted.get("connector") or None,
            wanted.get("mode") if version_of(req) >= (3, 54) else None,
        )
        send(resp, {"attachment": volume_views.attachment(made)})

    def _list(self, req: falcon.Request, resp: falcon.Response, *, detailed: bool) -> None:
        require_version(req, 27)
        unknown = [name for name in parse_query(req) if name not in _ATTACHMENT_FILTERS and name not in _PAGING]
        if unknown:
            raise errors.Invalid(f"Invalid filters {','.join(unknown)[:64]} are found in query options.")
        found = self._attachments.attachments(caller_of(req), of_all=wants_all(req))

        def show(one: StoredAttachment) -> Document:
            return volume_views.attachment(one, detailed=detailed)

        answer = page(req, "attachments", found, show, _ATTACHMENT_FILTERS, "Volume attachment")
        send(resp, {"attachments": answer["attachments"]})


class Attachment:
    """``/attachments/{attachment_id}``."""

    def __init__(self, attachments: VolumeAttachments) -> None:
        self._attachments = attachments

    def on_get(self, req: falcon.Request, resp: falcon.Response, attachment_id: str) -> None:
        """Show an attachment."""
        require_version(req, 27)
        found = self._attachments.attachment(caller_of(req), attachment_id)
        send(resp, {"attachment": volume_views.attachment(found)})

    def on_put(self, req: falcon.Request, resp: falcon.Response, attachment_id: str) -> None:
        """Give a reserved volume to a host."""
        require_version(req, 27)
        connector = document(req, volume_bodies.ATTACHMENT_CHANGE, "attachment")["connector"]
        found = self._attachments.update(caller_of(req), attachment_id, connector)
        send(resp, {"attachment": volume_views.attachment(found)})

    def on_delete(self, req: falcon.Request, resp: falcon.Response, attachment_id: str) -> None:
        """Remove an attachment."""
        require_version(req, 27)
        left = self._attachments.delete(caller_of(req), attachment_id)
        send(resp, {"attachments": [volume_views.attachment(one, detailed=False) for one in left]})

    def on_post_action(self, req: falcon.Request, resp: falcon.Response, attachment_id: str) -> None:
        """Say that the server has the volume."""
        require_version(req, 44)
        if raw_body(req) != {"os-complete": None}:
            raise errors.Invalid("There is no such action. Verify the request body and Content-Type header.")
        self._attachments.complete(caller_of(req), attachment_id)
        resp.status = 204


class Snapshots:
    """``/snapshots``."""

    def __init__(self, store: VolumeStore) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List snapshots without details."""
        self._list(req, resp, detailed=False)

    def on_get_detail(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List snapshots in full."""
        self._list(req, resp, detailed=True)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin to snapshot a volume; one in use if told so, since 3.66 without being told."""
        wanted = document(req, volume_bodies.NEW_SNAPSHOT, "snapshot")
        force = wanted.get("force")
        if version_of(req) >= (3, 66):
            if force is not None and not volume_bodies.is_true(force):
                raise errors.Invalid("Since microversion 3.66 the 'force' flag is invalid for this request.")
            force = True
        made = self._store.create_snapshot(
            caller_of(req),
            wanted["volume_id"],
            is_forced=volume_bodies.is_true(force),
            name=wanted.get("name") or wanted.get("display_name"),
            description=wanted.get("description") or wanted.get("display_description"),
            metadata=wanted.get("metadata") or {},
        )
        send(resp, {"snapshot": volume_views.snapshot(made, version_of(req), is_new=True)}, 202)

    def _list(self, req: falcon.Request, resp: falcon.Response, *, detailed: bool) -> None:
        found = self._store.snapshots(caller_of(req), of_all=wants_all(req))
        version = version_of(req)

        def show(one: StoredSnapshot) -> Document:
            return volume_views.snapshot(one, version, detailed=detailed)

        send(resp, page(req, "snapshots", found, show, _SNAPSHOT_FILTERS, "Snapshot"))


class Snapshot:
    """``/snapshots/{snapshot_id}``."""

    def __init__(self, store: VolumeStore) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response, snapshot_id: str) -> None:
        """Show a snapshot."""
        found = self._store.snapshot(caller_of(req), snapshot_id)
        send(resp, {"snapshot": volume_views.snapshot(found, version_of(req))})

    def on_put(self, req: falcon.Request, resp: falcon.Response, snapshot_id: str) -> None:
        """Change a snapshot's name or description."""
        wanted = document(req, volume_bodies.SNAPSHOT_CHANGE, "snapshot")
        values = {name.removeprefix("display_"): value for name, value in wanted.items() if value is not None}
        found = self._store.change_snapshot(caller_of(req), snapshot_id, **values)
        send(resp, {"snapshot": volume_views.snapshot(found, version_of(req), is_new=True)})

    def on_delete(self, req: falcon.Request, resp: falcon.Response, snapshot_id: str) -> None:
        """Begin to remove a snapshot."""
        self._store.delete_snapshot(caller_of(req), snapshot_id)
        resp.status = 202

    def on_post_action(self, req: falcon.Request, resp: falcon.Response, snapshot_id: str) -> None:
        """Set a snapshot's state, as a host or an administrator says; or remove it whatever its state."""
        body = raw_body(req)
        name = next(iter(body), "") if isinstance(body, dict) else ""
        resp.status = 202
        if name == "os-update_snapshot_status":
            volume_bodies.ACTIONS[name].check(body, version_of(req))
            self._update_status(req, snapshot_id, body[name])
        elif name == "os-reset_status":
            require_admin(req, "volume_extension:snapshot_admin_actions:reset_status")
            status = body[name].get("status") if isinstance(body[name], dict) else None
            if status not in SNAPSHOT_STATES:
                raise errors.Invalid(f"Snapshot status must be one of: {', '.join(SNAPSHOT_STATES)}.")
            self._store.change_snapshot(caller_of(req), snapshot_id, status=status)
        elif name == "os-force_delete":
            require_admin(req, "volume_extension:snapshot_admin_actions:force_delete")
            self._store.delete_snapshot(caller_of(req), snapshot_id, force=True)
        else:
            raise errors.Invalid(f"There is no such action: {name[:64]}.")

    def _update_status(self, req: falcon.Request, snapshot_id: str, info: Document) -> None:
        found = self._store.snapshot(caller_of(req), snapshot_id)
        allowed = _FROM_HOST.get(found.status)
        if allowed is None:
            raise errors.Invalid(f"Snapshot status {found.status} not allowed for update_snapshot_status")
        if info["status"] not in allowed:
            raise errors.Invalid(
                f"Provided snapshot status {info['status'][:32]} not allowed for snapshot with status {found.status}."
            )
        values = {"status": info["status"], "progress": info.get("progress") or found.progress}
        self._store.change_snapshot(caller_of(req), snapshot_id, **values)


class Types:
    """``/types``."""

    def __init__(self, store: VolumeStore) -> None:
        self._types = store.types

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List types."""
        is_admin = caller_of(req).is_admin
        found = [one for one in self._types.all() if one.is_public or is_admin]

        def show(one: StoredType) -> Document:
            return volume_views.volume_type(one, is_admin=is_admin)

        send(resp, page(req, "volume_types", found, show, {}, "Volume type"))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make a type."""
        require_admin(req, "volume_extension:type_create")
        wanted = document(req, volume_bodies.NEW_TYPE, "volume_type")
        is_public = volume_bodies.is_true(wanted.get("os-volume-type-access:is_public", True))
        made = self._types.create(
            wanted["name"], wanted.get("description"), is_public=is_public, extra_specs=wanted.get("extra_specs") or {}
        )
        send(resp, {"volume_type": volume_views.volume_type(made, is_admin=False)})


class Type:
    """``/types/{type_id}``."""

    def __init__(self, store: VolumeStore) -> None:
        self._types = store.types

    def on_get(self, req: falcon.Request, resp: falcon.Response, type_id: str) -> None:
        """Show a type; the one called ``default`` is that of volumes for which none is asked."""
        found = self._types.default() if type_id == "default" else self._types.type(type_id)
        send(resp, {"volume_type": volume_views.volume_type(found, is_admin=caller_of(req).is_admin)})

    def on_put(self, req: falcon.Request, resp: falcon.Response, type_id: str) -> None:
        """Change a type."""
        require_admin(req, "volume_extension:type_update")
        wanted = document(req, volume_bodies.TYPE_CHANGE, "volume_type")
        values = {name: wanted[name] for name in ("name", "description") if wanted.get(name) is not None}
        if "is_public" in wanted:
            values["is_public"] = volume_bodies.is_true(wanted["is_public"])
        send(
            resp,
            {"volume_type": volume_views.volume_type(self._types.change(type_id, **values), is_admin=False)},
        )

    def on_delete(self, req: falcon.Request, resp: falcon.Response, type_id: str) -> None:
        """Remove a type that no volume is of."""
        require_admin(req, "volume_extension:type_delete")
        self._types.delete(type_id)
        resp.status = 202


class ExtraSpecs:
    """``/types/{type_id}/extra_specs``."""

    def __init__(self, store: VolumeStore) -> None:
        self._types = store.types

    def on_get(self, req: falcon.Request, resp: falcon.Response, type_id: str) -> None:
        """Show extra specs."""
        found = self._types.type(type_id)
        shown = volume_views.volume_type(found, is_admin=caller_of(req).is_admin)
        send(resp, {"extra_specs": shown["extra_specs"]})

    def on_post(self, req: falcon.Request, resp: falcon.Response, type_id: str) -> None:
        """Add extra specs."""
        require_admin(req, "volume_extension:types_extra_specs:create")
        more = document(req, volume_bodies.EXTRA_SPECS, "extra_specs")
        self._types.set_specs(type_id, more)
        send(resp, {"extra_specs": more})

    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, type_id: str, key: str) -> None:
        """Remove an extra spec."""
        require_admin(req, "volume_extension:types_extra_specs:delete")
        self._types.set_specs(type_id, {}, key)
        resp.status = 202
