"""An audited cloud with volumes, and hands to bring them to servers and to break what is kept of them."""

import uuid as uuids
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import config
from nova_lite.cells import volumes as cell_volumes
from nova_lite.cells.operations import Requester
from nova_lite.clients.volumes import Volumes
from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow
from nova_lite.db.repositories import instances
from nova_lite.embedded.cloud import Cloud
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.volume import NewVolume
from nova_lite.model.workflow import OPEN
from nova_lite.testing import cloud as clouds
from tests.functional.commands.audit_site import AuditSite

TIMEOUT_S = 480.0


class VolumeSite(AuditSite):
    """A cloud with volumes."""

    def __init__(self, cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(cloud, capsys)
        self.conf = config.load(files=[str(cloud.settings.config_file("nova-lite"))])
        self.volumes = Volumes(self.conf)

    @property
    def service(self) -> Any:
        """Return the block storage service, as the service of ``[cinder]`` asks it."""
        return self.volumes.as_service()

    def volume(self) -> str:
        """Return a new volume of 1 GiB."""
        made = self.service.create(NewVolume(1, name="v"))
        self.reaches(made.id, "available")
        return str(made.id)

    def boot_from_volume(self) -> str:
        """Return the UUID of a new server that runs, from a volume that goes with it."""
        root = {"boot_index": 0, "source_type": "image", "destination_type": "volume", "uuid": self.image}
        mappings = [{**root, "volume_size": 1, "delete_on_termination": True}]
        asked = {"name": "bfv", "flavorRef": "1", "networks": "none", "block_device_mapping_v2": mappings}
        answer = self.user.ask("POST", "/servers", {"server": asked})
        assert answer.status == 202, answer.json
        uuid = str(answer.json["server"]["id"])
        self.user.wait(uuid, "ACTIVE")
        self.rest()
        return uuid

    def reaches(self, volume_id: str, status: str) -> None:
        """Wait until a volume is in a status."""
        clouds.eventually(lambda: self.service.show(volume_id).status == status, f"volume {volume_id} is {status}")

    def attached(self, server: str) -> BlockDevice:
        """Return a new volume of a server, as its cell has it."""
        volume = self.volume()
        wanted = BlockDevice(str(uuids.uuid4()), volume, "")
        requester = Requester("admin", "admin", f"req-{uuids.uuid4()}")
        database = self.writing(server)
        with database.writer() as session:
            device = cell_volumes.begin_attach(session, server, wanted, requester, timeout_s=TIMEOUT_S)
        attachment = self.service.reserve(volume, server)
        with database.writer() as session:
            assert cell_volumes.note_reserved(session, server, device, attachment.id, requester)
        self.reaches(volume, "in-use")
        self.rest()
        return self.device(server, volume)

    def writing(self, server: str) -> Any:
        database = clouds.database(self.cloud, self.cell_of(server)[0])
        self.opened.append(database)
        return database

    def devices(self, server: str) -> tuple[BlockDevice, ...]:
        """Return what a server has of volumes, by its row."""
        with self.reading(self.cell_of(server)[0]) as session:
            return instances.get(session, server).volumes

    def device(self, server: str, volume: str) -> BlockDevice:
        found = block_device.of_volume(self.devices(server), volume)
        assert found is not None
        return found

    def plugged(self, server: str) -> list[str]:
        """Return the volumes that a server's guest has."""
        host = self.user.server(server)["OS-EXT-SRV-ATTR:host"]
        return clouds.fake_driver(self.cloud, host).volumes_of(server)

    def rewrite(self, server: str, *devices: BlockDevice) -> None:
        """Have a server's row say this of its volumes, as no program would."""
        self.change(server, **instances.with_volumes(devices))

    def leave(self, server: str, device: BlockDevice, phase: Phase) -> BlockDevice:
        """Have a volume be on its way, with nobody at work."""
        left = replace(device, phase=phase, work=str(uuids.uuid4()))
        self.rewrite(server, left)
        return left

    def detach_all(self, server: str) -> None:
        """Detach whatever a server has of volumes."""
        for device in self.devices(server):
            requester = Requester("admin", "admin", f"req-{uuids.uuid4()}")
            with self.writing(server).writer() as session:
                cell_volumes.begin_detach(session, server, str(device.volume_id), requester, timeout_s=TIMEOUT_S)
        self.rest()

    def open_works(self, server: str) -> int:
        where = (CellWorkflowRow.subject == server, CellWorkflowRow.status.in_(OPEN))
        with self.reading(self.cell_of(server)[0]) as session:
            return int(session.scalar(sa.select(sa.func.count()).select_from(CellWorkflowRow).where(*where)))

    def state(self, server: str, **values: object) -> None:
        """Set columns of a server's row in its cell."""
        self.write(self.cell_of(server)[0], sa.update(InstanceRow).filter_by(uuid=server).values(**values))
