"""The embedded block storage service over HTTP: as much of Cinder's API, version 3, as clients of volumes need.

What it speaks it speaks as Cinder 29 does: states, codes, names, microversions 3.0 to 3.71. Tokens are the embedded
identity service's. Not for anything but a loopback.
"""

import falcon

from nova_lite import errors
from nova_lite.embedded import volume_nouns as nouns
from nova_lite.embedded import volume_resources as volumes
from nova_lite.embedded.compute_calls import Compute, NoCompute
from nova_lite.embedded.volume_actions import VolumeActions
from nova_lite.embedded.volume_attachments import VolumeAttachments
from nova_lite.embedded.volume_migrations import VolumeMigrations
from nova_lite.embedded.volume_requests import (
    MAXIMUM,
    MINIMUM,
    App,
    Document,
    Doorkeeper,
    caller_of,
    send,
    serialize,
    tell,
)
from nova_lite.embedded.volume_store import ZONE, VolumeStore


def build(store: VolumeStore, *, admin: str, compute: Compute | None = None) -> App:
    """Return the WSGI application that serves ``store``.

    ``admin`` is the user who may do everything, ``compute`` who has the guests that volumes are below.
    """
    app = falcon.App(middleware=[Doorkeeper(admin)])
    app.req_options.strip_url_path_trailing_slash = True
    app.add_error_handler(errors.NovaLiteError, tell)
    app.set_error_serializer(serialize)
    attachments = VolumeAttachments(store)
    migrations = VolumeMigrations(store, compute or NoCompute())
    app.add_route("/", _Versions(300))
    app.add_route("/v3", _Versions(200))
    app.add_route("/v3/volumes", volumes.Volumes(store))
    app.add_route("/v3/volumes/detail", volumes.Volumes(store), suffix="detail")
    app.add_route("/v3/volumes/{volume_id}", volumes.Volume(store))
    app.add_route("/v3/volumes/{volume_id}/action", VolumeActions(store, attachments, migrations))
    app.add_route("/v3/volumes/{volume_id}/metadata", volumes.Metadata(store))
    app.add_route("/v3/volumes/{volume_id}/metadata/{key}", volumes.Metadatum(store))
    app.add_route("/v3/attachments", nouns.Attachments(attachments))
    app.add_route("/v3/attachments/detail", nouns.Attachments(attachments), suffix="detail")
    app.add_route("/v3/attachments/{attachment_id}", nouns.Attachment(attachments))
    app.add_route("/v3/attachments/{attachment_id}/action", nouns.Attachment(attachments), suffix="action")
    app.add_route("/v3/snapshots", nouns.Snapshots(store))
    app.add_route("/v3/snapshots/detail", nouns.Snapshots(store), suffix="detail")
    app.add_route("/v3/snapshots/{snapshot_id}", nouns.Snapshot(store))
    app.add_route("/v3/snapshots/{snapshot_id}/action", nouns.Snapshot(store), suffix="action")
    app.add_route("/v3/types", nouns.Types(store))
    app.add_route("/v3/types/{type_id}", nouns.Type(store))
    app.add_route("/v3/types/{type_id}/extra_specs", nouns.ExtraSpecs(store))
    app.add_route("/v3/types/{type_id}/extra_specs/{key}", nouns.ExtraSpecs(store), suffix="one")
    app.add_route("/v3/os-availability-zone", _Fixed({"availabilityZoneInfo": [_ZONE]}))
    app.add_route("/v3/extensions", _Fixed({"extensions": []}))
    app.add_route("/v3/limits", _Limits(store))
    return app


_ZONE = {"zoneName": ZONE, "zoneState": {"available": True}}


class _Versions:
    def __init__(self, status: int) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        shown = {
            "id": "v3.0",
            "status": "CURRENT",
            "version": str(MAXIMUM),
            "min_version": str(MINIMUM),
            "updated": "2023-08-31T00:00:00Z",
            "links": [{"rel": "self", "href": f"{req.prefix}/v3/"}],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
        }
        send(resp, {"versions": [shown]}, self._status)


class _Fixed:
    def __init__(self, document: Document) -> None:
        self._document = document

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send(resp, self._document)


class _Limits:
    def __init__(self, store: VolumeStore) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        used = self._store.usage(caller_of(req).project_id)
        send(resp, {"limits": {"rate": [], "absolute": used}})
