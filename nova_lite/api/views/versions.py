"""The version documents."""

from collections.abc import Mapping
from typing import Any

import falcon

from nova_lite.api import urls
from nova_lite.api.microversions import MAXIMUM, MINIMUM

#: Version id → what its documents say of it.
_VERSIONS: Mapping[str, Mapping[str, str]] = {
    "v2.0": {
        "path": "v2",
        "status": "DEPRECATED",
        "version": "",
        "min_version": "",
        "updated": "2011-01-21T11:33:21Z",
        "media_type": "application/vnd.openstack.compute+json;version=2",
    },
    "v2.1": {
        "path": "v2.1",
        "status": "CURRENT",
        "version": str(MAXIMUM),
        "min_version": str(MINIMUM),
        "updated": "2013-07-23T11:33:21Z",
        "media_type": "application/vnd.openstack.compute+json;version=2.1",
    },
}


def versions(req: falcon.Request) -> dict[str, Any]:
    """Return the document at the root."""
    return {"versions": [{**_facts(version_id), "links": [_self(req, version_id)]} for version_id in _VERSIONS]}


def version(req: falcon.Request, version_id: str) -> dict[str, Any]:
    """Return the document of one version."""
    documentation = {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/api-ref/compute/"}
    return {
        "version": {
            **_facts(version_id),
            "links": [_self(req, version_id), documentation],
            "media-types": _media_types(version_id),
        }
    }


def choices(req: falcon.Request) -> dict[str, Any]:
    """Return where a path without version could have led."""
    path: str = req.env["nova_lite.path"]
    return {
        "choices": [
            {
                "id": version_id,
                "status": facts["status"],
                "links": [{"rel": "self", "href": f"{urls.root_url(req)}/{facts['path']}{path}"}],
                "media-types": _media_types(version_id),
            }
            for version_id, facts in _VERSIONS.items()
        ]
    }


def _facts(version_id: str) -> dict[str, str]:
    facts = _VERSIONS[version_id]
    return {"id": version_id, **{key: facts[key] for key in ("status", "version", "min_version", "updated")}}


def _self(req: falcon.Request, version_id: str) -> dict[str, str]:
    return {"rel": "self", "href": f"{urls.root_url(req)}/{_VERSIONS[version_id]['path']}/"}


def _media_types(version_id: str) -> list[dict[str, str]]:
    return [{"base": "application/json", "type": _VERSIONS[version_id]["media_type"]}]
