"""What is done to volumes over HTTP beside making and removing them: ``POST /volumes/{volume_id}/action``."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import falcon

from nova_lite import errors
from nova_lite.embedded import volume_bodies
from nova_lite.embedded.volume_attachments import VolumeAttachments
from nova_lite.embedded.volume_migrations import VolumeMigrations
from nova_lite.embedded.volume_requests import (
    Document,
    caller_of,
    raw_body,
    require_admin,
    require_version,
    send,
    version_of,
)
from nova_lite.embedded.volume_store import VolumeStore

_Action: TypeAlias = Callable[[falcon.Request, falcon.Response, str, Document], None]
_ADMIN = "volume_extension:volume_admin_actions"


class VolumeActions:
    """A table: the action's name → what does it."""

    def __init__(self, store: VolumeStore, attachments: VolumeAttachments, migrations: VolumeMigrations) -> None:
        self._store = store
        self._migrations = migrations
        self._attachments = attachments
        self._actions: Mapping[str, _Action] = {
            "os-extend": self._extend,
            "os-set_bootable": self._set_bootable,
            "os-update_readonly_flag": self._update_readonly_flag,
            "os-begin_detaching": self._begin_detaching,
            "os-roll_detaching": self._roll_detaching,
            "os-reset_status": self._reset_status,
            "os-force_delete": self._force_delete,
            "os-retype": self._retype,
            "os-reimage": self._reimage,
            "os-migrate_volume": self._migrate,
            "os-migrate_volume_completion": self._migrate_completion,
            "os-extend_volume_completion": self._extend_completion,
            "os-show_image_metadata": self._show_image_metadata,
            "os-set_image_metadata": self._set_image_metadata,
            "os-unset_image_metadata": self._unset_image_metadata,
        }

    def on_post(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        """Do what the body names."""
        body = raw_body(req)
        if not isinstance(body, dict) or not body:
            raise errors.Invalid("Malformed request body")
        name = next(iter(body))
        action = self._actions.get(name)
        if action is None:
            raise errors.Invalid(
                f"There is no such action: {name[:64]}. Verify the request body and Content-Type header and try again."
            )
        schema = volume_bodies.ACTIONS.get(name)
        if schema is not None:
            schema.check(body, version_of(req))
        resp.status = 202
        action(req, resp, volume_id, body[name])

    def _extend(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        may_be_used = version_of(req) >= (3, 42)
        self._store.extend(caller_of(req), volume_id, int(info["new_size"]), may_be_used=may_be_used)

    def _set_bootable(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        self._store.change(caller_of(req), volume_id, is_bootable=volume_bodies.is_true(info["bootable"]))
        resp.status = 200

    def _update_readonly_flag(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        volume = self._store.volume(caller_of(req), volume_id)
        if volume.status != "available":
            raise errors.Invalid("Invalid volume: Volume status must be available to update readonly flag.")
        self._store.change(caller_of(req), volume_id, is_readonly=volume_bodies.is_true(info["readonly"]))

    def _begin_detaching(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: object) -> None:
        self._attachments.begin_detaching(caller_of(req), volume_id)

    def _roll_detaching(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: object) -> None:
        self._attachments.roll_detaching(caller_of(req), volume_id)

    def _reset_status(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        require_admin(req, f"{_ADMIN}:reset_status")
        self._store.reset(caller_of(req), volume_id, {name: value for name, value in info.items() if value is not None})

    def _force_delete(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: object) -> None:
        require_admin(req, f"{_ADMIN}:force_delete")
        self._store.delete(caller_of(req), volume_id, force=True)

    def _retype(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        type_name, policy = str(info["new_type"] or ""), info.get("migration_policy")
        self._migrations.retype(caller_of(req), volume_id, type_name, policy)

    def _reimage(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        require_version(req, 68)
        is_reserved = volume_bodies.is_true(info.get("reimage_reserved"))
        self._store.reimage(caller_of(req), volume_id, info["image_id"], may_be_reserved=is_reserved)

    def _migrate(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        require_admin(req, f"{_ADMIN}:migrate_volume")
        self._migrations.migrate(caller_of(req), volume_id, info["host"])

    def _migrate_completion(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        """Tell under which id the data is."""
        require_admin(req, f"{_ADMIN}:migrate_volume_completion")
        has_failed = volume_bodies.is_true(info.get("error"))
        kept = self._migrations.complete(caller_of(req), volume_id, info["new_volume"], has_failed=has_failed)
        send(resp, {"save_volume_id": kept})

    def _extend_completion(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        """Refuse: an extension here never waits for the host."""
        require_version(req, 71)
        require_admin(req, f"{_ADMIN}:extend_volume_completion")
        self._store.volume(caller_of(req), volume_id)
        raise errors.Invalid("Invalid volume: Volume is not being extended.")

    def _show_image_metadata(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: object) -> None:
        send(resp, {"metadata": self._store.volume(caller_of(req), volume_id).image_metadata})

    def _set_image_metadata(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        known = self._store.volume(caller_of(req), volume_id).image_metadata
        changed = self._store.change(caller_of(req), volume_id, image_metadata={**known, **info["metadata"]})
        send(resp, {"metadata": changed.image_metadata})

    def _unset_image_metadata(self, req: falcon.Request, resp: falcon.Response, volume_id: str, info: Document) -> None:
        known = dict(self._store.volume(caller_of(req), volume_id).image_metadata)
        if known.pop(info["key"], None) is None:
            raise errors.NotFound("Metadata item was not found")
        self._store.change(caller_of(req), volume_id, image_metadata=known)
        resp.status = 200
