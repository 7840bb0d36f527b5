"""What guests are told of themselves in the layout of EC2: a tree of short texts."""

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

import orjson

from nova_lite.model.block_device import DEVICE_PREFIX, local_names
from nova_lite.model.instance import Instance

LATEST = "latest"
VERSIONS = (
    *("1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10"),
    *("2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04"),
)
_NAMES, _SIZE, _DEVICES, _PLACE, _ACTION = "2007-01-19", "2007-08-29", "2007-12-15", "2008-02-01", "2008-09-01"

#: A branch is told by the names of what is on it, a leaf by its text, a list by one line for each.
Tree = Mapping[str, object]


class Told(Protocol):
    """What this layout takes of ``guest_documents.Told``."""

    @property
    def instance(self) -> Instance: ...
    @property
    def address(self) -> str: ...
    @property
    def hostname(self) -> str: ...
    @property
    def user_data(self) -> bytes | None: ...


def ec2_id(kind: str, uuid: str) -> str:
    """Return the short name (``i-0a1b2c3d``) of what has a UUID: the same in every cell, and nobody need keep it."""
    digits = uuid.replace("-", "")[:8].lower()
    return f"{kind}-{digits}" if len(digits) == 8 and not set(digits) - set("0123456789abcdef") else f"{kind}-00000000"


def meta_data(told: Told, version: str) -> dict[str, object]:
    """Return the ``meta-data`` of a version as a tree."""
    instance, hostname = told.instance, told.hostname
    tree: dict[str, object] = {
        "ami-id": ec2_id("ami", instance.image_id),
        "ami-launch-index": instance.launch_index,
        # What guests have always read there: an image has no manifest.
        "ami-manifest-path": "FIXME",
        "instance-id": ec2_id("i", instance.uuid),
        "hostname": hostname,
        "local-ipv4": told.address,
        "reservation-id": instance.reservation_id,
        "security-groups": [],
    }
    if instance.key_name:
        tree["public-keys"] = {"0": {"openssh-key": instance.key_data or ""}}
    if version >= _NAMES:
        tree |= {"local-hostname": hostname, "public-hostname": hostname, "public-ipv4": ""}
    if version >= _SIZE:
        tree["instance-type"] = instance.flavor.name
    if version >= _DEVICES:
        tree["block-device-mapping"] = _block_devices(instance)
        for kind, prefix in (("kernel", "aki"), ("ramdisk", "ari")):
            if image_id := instance.image_properties.get(f"{kind}_id"):
                tree[f"{kind}-id"] = ec2_id(prefix, image_id)
    if version >= _PLACE:
        tree["placement"] = {"availability-zone": instance.availability_zone or ""}
    if version >= _ACTION:
        tree["instance-action"] = "none"
    return tree


def drive_files(told: Told, skipped: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of what a config drive has in this layout."""
    for shown, version in [*((one, one) for one in VERSIONS), (LATEST, VERSIONS[-1])]:
        if shown in skipped:
            continue
        yield f"ec2/{shown}/meta-data.json", orjson.dumps(_named(meta_data(told, version), told.instance))
        user_data = told.user_data
        if user_data is not None:
            yield f"ec2/{shown}/user-data", user_data


def _named(tree: dict[str, object], instance: Instance) -> dict[str, object]:
    """Return a tree as drives have it: its key has the name by which the service lists it."""
    if instance.key_name:
        tree["public-keys"] = {"0": {"_name": f"0={instance.key_name}", "openssh-key": instance.key_data or ""}}
    return tree


def found_at(told: Told, parts: list[str]) -> bytes | None:
    """Return what is at a path, version first; None when that is nothing."""
    if not parts:
        return "\n".join((*VERSIONS, LATEST)).encode()
    version = VERSIONS[-1] if parts[0] == LATEST else parts[0]
    if version not in VERSIONS:
        return None
    user_data = told.user_data
    found: object = {"meta-data": meta_data(told, version), **({} if user_data is None else {"user-data": user_data})}
    for part in parts[1:]:
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    if parts[1:] == ["meta-data", "public-keys"]:
        # A listing of its own kind: it tells whose key each is.
        return f"0={told.instance.key_name}".encode()
    return _shown(found)


def _shown(found: object) -> bytes:
    if isinstance(found, bytes):
        return found
    if isinstance(found, Mapping):
        return "\n".join(f"{name}/" if isinstance(found[name], Mapping) else name for name in sorted(found)).encode()
    if isinstance(found, list):
        return "\n".join(found).encode()
    return str(found).encode()


def _block_devices(instance: Instance) -> dict[str, str]:
    root, flavor = instance.root_device_name, instance.flavor
    bus = next((bus for bus, prefix in DEVICE_PREFIX.items() if root.startswith(f"/dev/{prefix}")), "virtio")
    volumes = sorted(device.device_name for device in instance.volumes)
    found = {"ami": root.removeprefix("/dev/"), "root": root}
    found |= {f"ebs{number}": name for number, name in enumerate(volumes)}
    local = local_names(
        bus,
        boots_from_volume=instance.boots_from_volume,
        ephemeral_gib=flavor.ephemeral_gib,
        swap_mib=flavor.swap_mib,
        has_config_drive=False,
        beside=volumes,
    )
    if flavor.swap_mib and local:
        found["swap"] = local.pop()
    if flavor.ephemeral_gib and local:
        found["ephemeral0"] = local.pop()
    return found
