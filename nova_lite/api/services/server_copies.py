"""The servers of one request: alike but for their UUIDs, names and host names."""

import re
import uuid as uuids
from dataclasses import replace

from nova_lite.model.instance import Instance

_NOT_IN_HOSTNAME = re.compile(r"[^a-z0-9-]+")


def copies(template: Instance, count: int, *, of: int) -> tuple[Instance, ...]:
    """Return ``count`` servers like ``template``, each with its UUID; its number, too, where ``of`` is several."""
    made = []
    for index in range(count):
        uuid = str(uuids.uuid4())
        name = f"{template.display_name}-{index + 1}" if of > 1 else template.display_name
        hostname = template.hostname or _hostname(name, uuid)
        made.append(replace(template, uuid=uuid, display_name=name, hostname=hostname, launch_index=index))
    return tuple(made)


def _hostname(name: str, uuid: str) -> str:
    """Return a host name made of a server's name, at most 63 characters long."""
    spaced = re.sub(r"[ _.]", "-", name.lower())
    cleaned = _NOT_IN_HOSTNAME.sub("", spaced).strip("-")
    return cleaned[:63].rstrip("-") or f"server-{uuid}"
