"""What guests are told of themselves, as the config drive and the metadata service say it: values, no I/O.

Here is OpenStack's layout, and where a path leads in both; ``ec2_documents.py`` has the older one.
"""

import base64
import binascii
import posixpath
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import orjson

from nova_lite import errors
from nova_lite.model import ec2_documents
from nova_lite.model.instance import Instance

LATEST = "latest"
_FOLSOM, _GRIZZLY, _HAVANA, _LIBERTY = "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15"
_TAGS, _VENDOR2, _VICTORIA = "2016-06-30", "2016-10-06", "2020-10-14"
#: Every version of the layout. In those that are not named above nothing changed that there is here.
VERSIONS = (
    *(_FOLSOM, _GRIZZLY, _HAVANA, _LIBERTY, _TAGS, _VENDOR2),
    *("2017-02-22", "2018-08-27", _VICTORIA, "2025-04-04"),
)

META_DATA, USER_DATA, PASSWORD = "meta_data.json", "user_data", "password"
NETWORK_DATA, VENDOR_DATA, VENDOR_DATA2 = "network_data.json", "vendor_data.json", "vendor_data2.json"
#: Document → the first version that has it, in the order in which they are listed.
_SINCE = {
    META_DATA: _FOLSOM,
    USER_DATA: _FOLSOM,
    PASSWORD: _GRIZZLY,
    VENDOR_DATA: _HAVANA,
    NETWORK_DATA: _LIBERTY,
    VENDOR_DATA2: _VENDOR2,
}
_CONTENT = "content"
TEXT, JSON = "text/plain", "application/json"


@dataclass(frozen=True, slots=True)
class Vendordata:
    """What the operator tells guests; each is read or asked for when it is called.

    ``static`` is None where ``vendor_data.json`` is not to be there, ``named`` is what ``vendor_data2.json`` says.
    """

    static: Callable[[], object] | None
    named: Callable[[], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Told:
    """What is told to one guest.

    ``seed`` are random bytes, others each time. ``domain`` is put behind its host name, ``address`` is the one it asks
    from, if it asks. ``password`` is what it posted, sealed.
    """

    instance: Instance
    vendordata: Vendordata
    seed: bytes
    domain: str = ""
    address: str = ""
    password: str | None = None

    @property
    def hostname(self) -> str:
        """The guest's name with its domain."""
        return f"{self.instance.hostname}.{self.domain}" if self.domain else self.instance.hostname

    @property
    def user_data(self) -> bytes | None:
        """The user data as it was before it was encoded; raises GuestFailed."""
        return None if self.instance.user_data is None else decoded(self.instance.user_data, "user_data")


@dataclass(frozen=True, slots=True)
class Document:
    """What is found at a path; a listing is a document, too."""

    body: bytes
    media_type: str = TEXT


def decoded(text: str, what: str) -> bytes:
    """Return the bytes that base64 stands for; raises GuestFailed, naming ``what``."""
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError) as exc:
        raise errors.GuestFailed(f"{what} is not base64.") from exc


def names(told: Told, version: str) -> list[str]:
    """Return the documents that a version of OpenStack's layout has for a guest."""
    without = {USER_DATA} if told.instance.user_data is None else set()
    return [name for name, since in _SINCE.items() if version >= since and name not in without]


def document(told: Told, version: str, name: str) -> bytes | None:
    """Return one document of a version (``latest`` is none here); None when it has none of that name.

    Raises GuestFailed for user data that cannot be read, and what the vendordata raises.
    """
    if name not in names(told, version):
        return None
    if name == USER_DATA:
        return told.user_data
    if name == PASSWORD:
        return (told.password or "").encode()
    if name == META_DATA:
        return orjson.dumps(meta_data(told, version))
    if name == NETWORK_DATA:
        return orjson.dumps({"links": [], "networks": [], "services": []})
    if name == VENDOR_DATA2:
        return orjson.dumps(dict(told.vendordata.named()))
    return None if told.vendordata.static is None else orjson.dumps(told.vendordata.static())


def meta_data(told: Told, version: str) -> dict[str, object]:
    """Return what ``meta_data.json`` of a version says."""
    instance = told.instance
    found: dict[str, object] = {
        "uuid": instance.uuid,
        "name": instance.display_name,
        "hostname": told.hostname,
        "launch_index": instance.launch_index,
        "availability_zone": instance.availability_zone,
    }
    if instance.metadata:
        found["meta"] = instance.metadata
    if instance.personality:
        found["files"] = [
            {"path": file.path, "content_path": f"/{_CONTENT}/{number:04}"}
            for number, file in enumerate(instance.personality)
        ]
    if instance.key_name is not None:
        kind = "x509" if (instance.key_data or "").startswith("-----BEGIN CERTIFICATE") else "ssh"
        found["public_keys"] = {instance.key_name: instance.key_data}
        found["keys"] = [{"name": instance.key_name, "type": kind, "data": instance.key_data}]
    if version >= _GRIZZLY:
        found["random_seed"] = base64.b64encode(told.seed).decode()
    if version >= _LIBERTY:
        found["project_id"] = instance.project_id
    if version >= _TAGS:
        found["devices"] = _devices(instance)
    if version >= _VICTORIA:
        # No server has processors of its own here.
        found["dedicated_cpus"] = []
    return found


def contents(instance: Instance) -> dict[str, bytes]:
    """Return the files put into a server: the number each is called by → its bytes. Their paths lead nowhere here."""
    return {
        f"{number:04}": decoded(file.contents, "A file's content") for number, file in enumerate(instance.personality)
    }


def drive_files(told: Told, *, skipped: Collection[str] = ()) -> dict[str, bytes]:
    """Return what a config drive holds: path relative to its root → content; no password, for it cannot be posted.

    ``skipped`` are versions of the EC2 layout that are left out. Raises as ``document``.
    """
    files = dict(ec2_documents.drive_files(told, skipped))
    static = told.vendordata.static
    # Asked once for all versions: others may be at the end of it.
    once = {VENDOR_DATA: None if static is None else document(told, VERSIONS[-1], VENDOR_DATA)}
    once |= {name: document(told, VERSIONS[-1], name) for name in (VENDOR_DATA2, USER_DATA, NETWORK_DATA)}
    for shown, version in [*((one, one) for one in VERSIONS), (LATEST, VERSIONS[-1])]:
        for name in names(told, version):
            found = once[name] if name in once else document(told, version, name)
            if found is not None and name != PASSWORD:
                files[f"openstack/{shown}/{name}"] = found
    return {**files, **{f"openstack/{_CONTENT}/{name}": body for name, body in contents(told.instance).items()}}


def parts_of(path: str) -> list[str]:
    """Return where a path of a URL leads in the tree: ``openstack`` or ``ec2`` first, that where neither is named."""
    parts = [part for part in posixpath.normpath(f"/{path}").split("/") if part]
    return parts if parts and parts[0] in ("openstack", "ec2") else ["ec2", *parts]


def is_password(parts: list[str]) -> bool:
    """Return whether a path is that of the password, which guests may write."""
    return len(parts) == 3 and parts[0] == "openstack" and parts[2] == PASSWORD and _has(parts[1], PASSWORD)


def found_at(told: Told, parts: list[str]) -> Document | None:
    """Return what the metadata service has at a path, None when that is nothing; raises as ``document``."""
    if parts[0] == "ec2":
        text = ec2_documents.found_at(told, parts[1:])
        return None if text is None else Document(text)
    if len(parts) == 1:
        return Document("\n".join((*VERSIONS, LATEST)).encode())
    if parts[1] == _CONTENT:
        body = contents(told.instance).get(parts[2]) if len(parts) == 3 else None
        return None if body is None else Document(body)
    version = VERSIONS[-1] if parts[1] == LATEST else parts[1]
    if version not in VERSIONS or len(parts) > 3:
        return None
    if len(parts) == 2:
        return Document("\n".join(names(told, version)).encode())
    body = document(told, version, parts[2])
    return None if body is None else Document(body, JSON if parts[2].endswith(".json") else TEXT)


def _has(version: str, name: str) -> bool:
    return version == LATEST or (version in VERSIONS and version >= _SINCE[name])


def _devices(instance: Instance) -> list[dict[str, object]]:
    """Return the disks that have tags. On which bus and where there guests find them is not known before they run."""
    return [
        {
            "type": "disk",
            "bus": "none",
            "address": "none",
            "serial": device.volume_id,
            "path": device.device_name,
            "tags": [device.tag],
        }
        for device in instance.volumes
        if device.tag
    ]
