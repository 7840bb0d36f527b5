"""Volumes in an embedded cloud for tests: someone who makes them, and whether all agree about who has which."""

import contextlib
from collections.abc import Iterator
from typing import Any

import requests
import sqlalchemy as sa

from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.db.cell_tables import InstanceRow
from nova_lite.db.repositories import instances
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.volume_records import Records, StoredAttachment, StoredVolume
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.instance import Instance
from nova_lite.testing.cloud import database, eventually

_SHARED_TYPE = "shared"
_ATTACHED = "attached"


class VolumeUser:
    """Someone who talks to the block storage service at ``url``, without the version."""

    def __init__(self, url: str, user: str = "admin") -> None:
        self._url = f"{url}/v3"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update({"X-Auth-Token": user, "OpenStack-API-Version": "volume 3.71"})

    def __enter__(self) -> "VolumeUser":
        return self

    def __exit__(self, *exc: object) -> None:
        self._session.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return what the answer holds; fails unless it is a good one."""
        answer = self._session.request(method, f"{self._url}{path}", json=body, timeout=480)
        assert answer.ok, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def volume(self, *, is_shared: bool = False, size_gib: int = 1, image: str | None = None) -> str:
        """Have a volume, of an image if one is given, and return its id when it is available."""
        wanted: dict[str, object] = {"size": size_gib, "name": "data", "imageRef": image}
        if is_shared:
            wanted["volume_type"] = self._shared_type()
        made = str(self.ask("POST", "/volumes", {"volume": wanted})["volume"]["id"])
        self.wait(made, "available")
        return made

    def status(self, volume_id: str) -> str:
        """Return a volume's status, ``GONE`` when there is none."""
        answer = self._session.get(f"{self._url}/volumes/{volume_id}", timeout=480)
        return "GONE" if answer.status_code == 404 else str(answer.json()["volume"]["status"])

    def size_gib(self, volume_id: str) -> int:
        """Return a volume's size once it has one that lasts."""
        found = self.ask("GET", f"/volumes/{volume_id}")["volume"]
        return int(found["size"]) if found["status"] in {"available", "in-use"} else 0

    def wait(self, volume_id: str, status: str) -> None:
        """Return once a volume is in ``status``."""
        eventually(lambda: self.status(volume_id) == status, f"volume {volume_id} in {status}")

    def _shared_type(self) -> str:
        known = {found["name"] for found in self.ask("GET", "/types")["volume_types"]}
        if _SHARED_TYPE not in known:
            specs = {"multiattach": "<is> True"}
            self.ask("POST", "/types", {"volume_type": {"name": _SHARED_TYPE, "extra_specs": specs}})
        return _SHARED_TYPE


def disagreements(cloud: Cloud) -> list[str]:
    """Return where rows, block storage and hosts disagree about who has which volume; the cloud must be at rest.

    Of servers that are moving the hosts are not asked: two of them may reach a volume then.
    """
    servers = _servers(cloud)
    with contextlib.closing(Records(cloud.settings.volume_dir / "volumes.sqlite")) as records:
        volumes = {found.id: found for found in records.all(StoredVolume)}
        attachments = {found.id: found for found in records.all(StoredAttachment)}
    found = [*_of_rows(servers, attachments), *_of_volumes(volumes, attachments)]
    return found + _of_hosts(cloud, servers, attachments)


def _servers(cloud: Cloud) -> dict[str, Instance]:
    found: dict[str, Instance] = {}
    for name in ("cell0", *cloud.settings.cell_names):
        with contextlib.closing(database(cloud, name)) as db, db.reader() as session:
            uuids = list(session.scalars(sa.select(InstanceRow.uuid).filter_by(deleted=False)))
            found |= {uuid: instances.get(session, uuid) for uuid in uuids}
    return found


def _of_rows(servers: dict[str, Instance], attachments: dict[str, StoredAttachment]) -> Iterator[str]:
    known = {claim for instance in servers.values() for claim in block_device.claims(instance.volumes)}
    for uuid, instance in servers.items():
        for device in instance.volumes:
            attachment = attachments.get(device.attachment_id or "")
            its = f"server {uuid}: its volume {device.volume_id}"
            if device.phase is not Phase.ATTACHED or device.work is not None:
                yield f"{its} is left {device.phase}, by workflow {device.work}"
            if attachment is None:
                yield f"{its} has no attachment {device.attachment_id}"
            elif (attachment.instance_uuid, attachment.volume_id) != (uuid, device.volume_id):
                yield f"{its} has the attachment {attachment.id} of another one"
    for attachment in attachments.values():
        if attachment.instance_uuid is not None and attachment.id not in known:
            yield f"attachment {attachment.id} of volume {attachment.volume_id}: no server knows it"


def _of_volumes(volumes: dict[str, StoredVolume], attachments: dict[str, StoredAttachment]) -> Iterator[str]:
    for volume in volumes.values():
        states = {found.status for found in attachments.values() if found.volume_id == volume.id}
        wanted = "available" if not states else "in-use" if _ATTACHED in states else "reserved"
        if volume.status != wanted:
            yield f"volume {volume.id} is {volume.status}, its attachments are {sorted(states)}"


def _of_hosts(cloud: Cloud, servers: dict[str, Instance], attachments: dict[str, StoredAttachment]) -> list[str]:
    found = []
    for host, agent in cloud.agents.items():
        driver = agent.driver
        assert isinstance(driver, FakeDriver)
        moving = set(driver.asides())
        for attachment in driver.reached - attachments.keys():
            found.append(f"host {host} reaches attachment {attachment}, which is gone")
        for guest in driver.guests():
            instance = servers.get(guest.uuid)
            if instance is None or instance.host != host or guest.uuid in moving:
                continue
            has = sorted((one.volume_id, one.device_name, one.attachment_id) for one in driver.plugged(guest.uuid))
            if has != (wanted := sorted(_wanted(device) for device in instance.volumes)):
                found.append(f"server {guest.uuid}: its guest has {has}, not {wanted}")
            for _, _, attachment in has:
                if attachment not in driver.reached:
                    found.append(f"server {guest.uuid}: its host does not reach {attachment}")
    return found


def _wanted(device: BlockDevice) -> tuple[str, str, str]:
    return str(device.volume_id), device.device_name, str(device.attachment_id)
