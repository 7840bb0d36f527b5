"""Servers on the wire: what each field shows, and since when.

The fields come in groups, because what an answer holds depends on who asks (attributes for operators) and on what
was asked (before 2.75 an update answered less than a show).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nova_lite.api.views.fields import Field, View
from nova_lite.api.views.host_id import host_id
from nova_lite.db.repositories.instance_lists import Named
from nova_lite.model import states
from nova_lite.model.block_device import BlockDevice, root_of
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.web.versions import Version

#: Status shown → whether ``progress`` or ``fault`` goes with it.
_PROGRESSING = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"})
_FAULTY = frozenset({"ERROR", "DELETED"})
_WHOLE_UPDATES = Version(2, 75)
_EMBEDDED_FLAVOR = Version(2, 47)
_IMAGE_PROPERTIES = Version(2, 98)
#: Versions from which an answer shows what is not read with a server.
HOST_STATUS = Version(2, 16)
HINTS = Version(2, 100)


@dataclass(frozen=True, slots=True)
class Look:
    """How one request looks at servers: its version, its URLs and what its caller may see."""

    version: Version
    api_url: str
    bookmark_url: str
    sees_extended: bool
    sees_extra_specs: bool
    is_admin: bool

    def links(self, uuid: str) -> list[dict[str, str]]:
        """Return a server's links."""
        return [
            {"rel": "self", "href": f"{self.api_url}/servers/{uuid}"},
            {"rel": "bookmark", "href": f"{self.bookmark_url}/servers/{uuid}"},
        ]

    def bookmark(self, collection: str, item_id: str) -> list[dict[str, str]]:
        """Return the one link that things beside a server get."""
        return [{"rel": "bookmark", "href": f"{self.bookmark_url}/{collection}/{item_id}"}]


@dataclass(frozen=True, slots=True)
class Seen:
    """A server as one request sees it."""

    instance: Instance
    look: Look
    hints: Mapping[str, object]
    group: str | None = None


def _image(seen: Seen) -> object:
    image_id = seen.instance.image_id
    if not image_id or root_of(seen.instance.volumes) is not None:
        return ""
    image: dict[str, object] = {"id": image_id, "links": seen.look.bookmark("images", image_id)}
    if seen.look.version >= _IMAGE_PROPERTIES:
        image["properties"] = seen.instance.image_properties
    return image


_VOLUME: View[BlockDevice] = View(
    Field("id", lambda device: device.volume_id),
    Field("delete_on_termination", lambda device: device.delete_on_termination, since="2.3"),
)


def _volumes(seen: Seen) -> list[dict[str, object]]:
    return [_VOLUME.render(device, seen.look.version) for device in seen.instance.volumes if device.volume_id]


def _flavor(seen: Seen) -> dict[str, object]:
    flavor: Flavor = seen.instance.flavor
    if seen.look.version < _EMBEDDED_FLAVOR:
        return {"id": flavor.flavor_id, "links": seen.look.bookmark("flavors", flavor.flavor_id)}
    embedded: dict[str, object] = {
        "vcpus": flavor.vcpus,
        "ram": flavor.ram_mib,
        "disk": flavor.root_gib,
        "ephemeral": flavor.ephemeral_gib,
        "swap": flavor.swap_mib,
        "original_name": flavor.name,
    }
    if seen.look.sees_extra_specs:
        embedded["extra_specs"] = flavor.extra_specs
    return embedded


_BASE: View[Seen] = View(
    Field("id", lambda seen: seen.instance.uuid),
    Field("name", lambda seen: seen.instance.display_name),
    Field("status", lambda seen: _status(seen.instance)),
    Field("tenant_id", lambda seen: seen.instance.project_id),
    Field("user_id", lambda seen: seen.instance.user_id),
    Field("metadata", lambda seen: seen.instance.metadata),
    Field("hostId", lambda seen: host_id(seen.instance.project_id, seen.instance.host)),
    Field("image", _image),
    Field("flavor", _flavor),
    Field("created", lambda seen: zulu(seen.instance.created_at)),
    Field("updated", lambda seen: zulu(seen.instance.updated_at)),
    Field("addresses", lambda seen: {}),
    Field("accessIPv4", lambda seen: seen.instance.access_ip_v4 or ""),
    Field("accessIPv6", lambda seen: seen.instance.access_ip_v6 or ""),
    Field("links", lambda seen: seen.look.links(seen.instance.uuid)),
    Field("OS-DCF:diskConfig", lambda seen: seen.instance.disk_config),
    Field("locked", lambda seen: seen.instance.is_locked, since="2.9"),
    Field("description", lambda seen: seen.instance.description, since="2.19"),
    Field("tags", lambda seen: list(seen.instance.tags), since="2.26"),
    Field("trusted_image_certificates", lambda seen: None, since="2.63"),
    Field("locked_reason", lambda seen: seen.instance.locked_reason, since="2.73"),
    Field("OS-EXT-SRV-ATTR:hostname", lambda seen: seen.instance.hostname, since="2.90"),
    Field("scheduler_hints", lambda seen: seen.hints, since="2.100"),
)

_MORE: View[Seen] = View(
    Field("OS-EXT-AZ:availability_zone", lambda seen: _zone(seen.instance)),
    Field("config_drive", lambda seen: "True" if seen.instance.has_config_drive else ""),
    Field("key_name", lambda seen: seen.instance.key_name),
    Field("OS-SRV-USG:launched_at", lambda seen: _moment(seen.instance.launched_at)),
    Field("OS-SRV-USG:terminated_at", lambda seen: _moment(seen.instance.terminated_at)),
    Field("OS-EXT-STS:task_state", lambda seen: seen.instance.task_state),
    Field("OS-EXT-STS:vm_state", lambda seen: seen.instance.vm_state),
    Field("OS-EXT-STS:power_state", lambda seen: int(seen.instance.power_state)),
    Field("os-extended-volumes:volumes_attached", _volumes),
    Field("pinned_availability_zone", lambda seen: seen.instance.requested_zone, since="2.96"),
)

_FOR_OPERATORS: View[Seen] = View(
    Field("OS-EXT-SRV-ATTR:host", lambda seen: seen.instance.host),
    Field("OS-EXT-SRV-ATTR:instance_name", lambda seen: f"instance-{seen.instance.uuid}"),
    Field("OS-EXT-SRV-ATTR:hypervisor_hostname", lambda seen: seen.instance.node_name),
    Field("OS-EXT-SRV-ATTR:hostname", lambda seen: seen.instance.hostname, since="2.3"),
    Field("OS-EXT-SRV-ATTR:kernel_id", lambda seen: seen.instance.image_properties.get("kernel_id", ""), since="2.3"),
    Field("OS-EXT-SRV-ATTR:launch_index", lambda seen: seen.instance.launch_index, since="2.3"),
    Field("OS-EXT-SRV-ATTR:ramdisk_id", lambda seen: seen.instance.image_properties.get("ramdisk_id", ""), since="2.3"),
    Field("OS-EXT-SRV-ATTR:reservation_id", lambda seen: seen.instance.reservation_id, since="2.3"),
    Field("OS-EXT-SRV-ATTR:root_device_name", lambda seen: seen.instance.root_device_name, since="2.3"),
    Field("OS-EXT-SRV-ATTR:user_data", lambda seen: seen.instance.user_data, since="2.3"),
)

_REBUILT: View[Seen] = View(
    Field("key_name", lambda seen: seen.instance.key_name, since="2.54"),
    Field("user_data", lambda seen: seen.instance.user_data, since="2.57"),
)

_GROUPS: View[Seen] = View(Field("server_groups", lambda seen: [seen.group] if seen.group else [], since="2.71"))


def detail(seen: Seen, host_status: str | None) -> dict[str, Any]:
    """Return a server as ``/servers/detail`` shows it."""
    version = seen.look.version
    document = _BASE.render(seen, version) | _MORE.render(seen, version)
    if seen.look.sees_extended:
        document |= _FOR_OPERATORS.render(seen, version)
    if host_status is not None:
        document["host_status"] = host_status
    return _with_story(seen, document)


def show(seen: Seen, host_status: str | None) -> dict[str, Any]:
    """Return a server as ``/servers/{id}`` shows it."""
    return detail(seen, host_status) | _GROUPS.render(seen, seen.look.version)


def updated(seen: Seen, host_status: str | None) -> dict[str, Any]:
    """Return a server as an update answers it."""
    if seen.look.version >= _WHOLE_UPDATES:
        return show(seen, host_status)
    version = seen.look.version
    return _with_story(seen, _BASE.render(seen, version) | _GROUPS.render(seen, version))


def rebuilt(seen: Seen, host_status: str | None) -> dict[str, Any]:
    """Return a server as its rebuild answers it."""
    document = updated(seen, host_status) | _REBUILT.render(seen, seen.look.version)
    # It is told once, under its own name.
    document.pop("OS-EXT-SRV-ATTR:user_data", None)
    return document


def basic(instance: Instance | Named, look: Look) -> dict[str, Any]:
    """Return a server as ``/servers`` shows it."""
    return {"id": instance.uuid, "name": instance.display_name, "links": look.links(instance.uuid)}


def unreachable(uuid: str, project_id: str, created_at: datetime, look: Look, *, is_detailed: bool) -> dict[str, Any]:
    """Return what is left to show of a server whose cell does not answer."""
    document: dict[str, Any] = {"id": uuid, "status": "UNKNOWN", "links": look.links(uuid)}
    if is_detailed:
        document |= {"tenant_id": project_id, "created": zulu(created_at)}
    return document


def remains(instance: Instance, look: Look) -> dict[str, Any]:
    """Return what is left to show of one server, asked for by its id, whose cell does not answer."""
    seen = Seen(instance, look, {})
    document = unreachable(instance.uuid, instance.project_id, instance.created_at, look, is_detailed=True)
    document |= {
        "user_id": instance.user_id,
        "image": _image(seen),
        "flavor": _flavor(seen),
        "OS-EXT-AZ:availability_zone": instance.requested_zone or "UNKNOWN",
        "OS-EXT-STS:power_state": int(PowerState.NOSTATE),
    }
    return document | _GROUPS.render(seen, look.version)


def created(instance: Instance, look: Look, security_groups: object) -> dict[str, Any]:
    """Return what the client learns of a server just accepted."""
    return {
        "id": instance.uuid,
        "links": look.links(instance.uuid),
        "OS-DCF:diskConfig": instance.disk_config,
        "security_groups": security_groups,
    }


def zulu(moment: datetime) -> str:
    """Return a naive UTC time as the API writes most of them."""
    return f"{moment.isoformat(timespec='seconds')}Z"


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds")


def _status(instance: Instance) -> str:
    return states.status(instance.vm_state, instance.task_state)


def _zone(instance: Instance) -> str:
    if instance.host is None:
        return instance.requested_zone or ""
    return instance.availability_zone or ""


def _with_story(seen: Seen, document: dict[str, Any]) -> dict[str, Any]:
    """Add how far the server is, or why it failed, where its status calls for it."""
    instance = seen.instance
    if document["status"] in _PROGRESSING:
        document["progress"] = 0
    fault = instance.fault
    if document["status"] in _FAULTY and fault is not None:
        shown: dict[str, object] = {
            "code": fault.code,
            "created": zulu(fault.created_at),
            "message": fault.message,
        }
        if fault.details and (seen.look.is_admin or fault.code != 500):
            shown["details"] = fault.details
        document["fault"] = shown
    if instance.vm_state is VmState.DELETED:
        document.pop("progress", None)
    return document
