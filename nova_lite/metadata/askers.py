"""Who asks the metadata service: what a proxy says of a guest, and its signature under that. Pure."""

import hashlib
import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from nova_lite import errors

_INSTANCE, _SIGNATURE, _PROJECT = "X-Instance-ID", "X-Instance-ID-Signature", "X-Tenant-ID"


@dataclass(frozen=True, slots=True)
class Asker:
    """A guest as a proxy vouches for it; ``address`` is the one it asks from, empty when that is not told."""

    instance_uuid: str
    project_id: str
    address: str = ""


def signature(secret: str, instance_uuid: str) -> str:
    """Return how a proxy signs a server's UUID: HMAC-SHA256 in hexadecimal digits."""
    return hmac.new(secret.encode(), instance_uuid.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def read(header: Callable[[str], str | None], secret: str) -> Asker:
    """Return who asks, by a request's headers; raises Invalid for one that lacks any, Forbidden for a wrong signature.

    Only the server is signed: that the project is its own is for the caller to see.
    """
    values = {name: header(name) for name in (_INSTANCE, _SIGNATURE, _PROJECT)}
    for name, value in values.items():
        if value is None:
            raise errors.Invalid(f"The header {name} is missing.")
    instance_uuid, signed, project_id = (value or "" for value in values.values())
    # Compared as bytes, in a time that tells nothing; a text that is not ASCII would not be compared at all.
    given = signed.encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(signature(secret, instance_uuid).encode(), given):
        raise errors.Forbidden("The signature of the proxy is not valid.")
    return Asker(instance_uuid, project_id, _address(header("X-Forwarded-For")))


def _address(forwarded: str | None) -> str:
    try:
        return str(ipaddress.ip_address((forwarded or "").split(",")[0].strip()))
    except ValueError:
        return ""
