"""Checks on what stands in the path itself."""

import re
import uuid as uuids

import falcon

from nova_lite import errors
from nova_lite.placement.services.queries import is_uuid

_NAME = re.compile(r"[A-Z0-9_]{1,255}", re.ASCII)


def provider_uuid(uuid: str) -> str:
    """Return the UUID of a provider from a path; raises 404 for what is none."""
    if not is_uuid(uuid):
        raise errors.NotFound(f"No resource provider with uuid {uuid[:64]!r} found.")
    return uuid.lower()


def consumer_uuid(uuid: str) -> str:
    """Return the UUID of a consumer that is about to be written; raises 400 for what is none."""
    if not is_uuid(uuid):
        raise errors.Invalid(f"consumer_uuid: {uuid[:64]!r} is not a UUID")
    return uuid.lower()


def known_name(kind: str, name: str) -> str:
    """Return a class or trait name from a path; raises 404 for what no name can be."""
    if not _NAME.fullmatch(name):
        raise errors.NotFound(f"No such {kind}: {name[:64]!r}.")
    return name


def spelt_uuid(text: str) -> str:
    """Return a UUID as we keep it, whichever spelling a schema let through."""
    return str(uuids.UUID(text))


def custom_name(kind: str, name: str) -> str:
    """Return a name that may be created; raises 400 for any other."""
    if not _NAME.fullmatch(name) or not name.startswith("CUSTOM_") or name == "CUSTOM_":
        raise errors.Invalid(f"name: {name[:64]!r} is no custom {kind}: CUSTOM_ and then A-Z, 0-9 and _ are allowed")
    return name


def mounted_at(req: falcon.Request) -> str:
    """Return the path this application is mounted at, for links."""
    return str(req.root_path).rstrip("/")
