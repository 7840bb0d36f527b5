"""Our API asked of servers in any state, in this process: nothing is told to anybody beyond it."""

import uuid as uuids
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from unittest import mock

import msgspec
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.api.services.live_migrations import LiveMigrationService
from nova_lite.cells import moves
from nova_lite.clients.volume_calls import Calls
from nova_lite.clients.volumes import VolumesAs
from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow
from nova_lite.db.repositories import instances, mappings, workflows
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.console import Console
from nova_lite.model.diagnostics import Diagnostics
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.volume import Attachment, Volume, VolumeSnapshot, VolumeUse
from nova_lite.model.workflow import Status, Workflow
from nova_lite.rpc.bus import Bus
from tests.functional.compute_api.cloud import CELL1, NoVolumes
from tests.integration.answers import cloud
from tests.integration.answers.ours import Ours
from tests.integration.conflicts import asked, kept
from tests.integration.conflicts.asked import Asked, Situation

#: What hosts answer, by what is asked.
_ANSWERS: dict[str, Any] = {
    "console_output": "text",
    "diagnostics": msgspec.to_builtins(Diagnostics("libvirt", "kvm", "linux", memory_max_kib=1, memory_used_kib=1)),
    "console": msgspec.to_builtins(Console("novnc", "192.0.2.1", 5900, "http://console.example")),
}


class KnownVolumes(NoVolumes):
    """A block storage service with the volumes of both clouds."""

    def as_user(self, token: str) -> VolumesAs:
        return _Known()

    def as_service(self) -> VolumesAs:
        return _Known()


class _Known(VolumesAs):
    def __init__(self) -> None:
        super().__init__(cast(Calls, None), (3, 71))

    def show(self, volume_id: str) -> Volume:
        if volume_id not in kept.VOLUMES:
            raise errors.NotFound(f"Volume {volume_id} could not be found.")
        status, users = kept.VOLUMES[volume_id]
        uses = tuple(VolumeUse(kept.ATTACHMENTS[volume_id], user, "/dev/vdb", None) for user in users)
        return Volume(volume_id, 1, status, is_bootable=True, availability_zone="nova", attachments=uses)

    def reserve(self, volume_id: str, instance_uuid: str) -> Attachment:
        return Attachment(str(uuids.uuid4()), volume_id, "reserved", instance_uuid)

    def attachments_of(self, instance_uuid: str) -> list[Attachment]:
        return [each for each in self.every_attachment() if each.instance_uuid == instance_uuid]

    def attachments_to(self, volume_id: str) -> list[Attachment]:
        return [each for each in self.every_attachment() if each.volume_id == volume_id]

    def every_attachment(self) -> list[Attachment]:
        return [
            Attachment(kept.ATTACHMENTS[volume_id], volume_id, "attached", user)
            for volume_id, (_, users) in kept.VOLUMES.items()
            for user in users
        ]

    def begin_detaching(self, volume_id: str) -> None:
        pass

    def roll_detaching(self, volume_id: str) -> None:
        pass

    def detach(self, attachment_id: str) -> None:
        pass

    def create_snapshot(
        self, volume_id: str, name: str, description: str = "", *, metadata: Mapping[str, str] | None = None
    ) -> VolumeSnapshot:
        return VolumeSnapshot(str(uuids.uuid4()), volume_id, 1, "creating")


class Asking:
    """Our API with those servers, below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._ours = Ours(folder, KnownVolumes)
        self._cloud = self._ours.cloud
        cell = self._cloud.cells.get(CELL1)
        data = BlockDevice(asked.DATA_DEVICE, asked.DATA, "/dev/vdb", asked.DATA_ATTACHMENT)
        with cell.db.writer() as session:
            instances.change(session, asked.IMAGE, volumes=msgspec.to_builtins((data,)))
            workflows.add(session, CellWorkflowRow, _move(), timeout_s=1.0)
        waiting = {"vm_state": VmState.BUILDING, "task_state": TaskState.SCHEDULING, "metadata": {"a": "b"}}
        facts = {"user_id": cloud.MEMBER, "project_id": cloud.PROJECT, "display_name": "waiting"}
        self._cloud.add_server(None, uuid=asked.WAITING, **facts, **waiting)
        files = [Path(str(db.engine.url.database)) for db in (self._cloud.api_db, cell.db)]
        self._files = kept.Files([*files, *(set(self._cloud.cell_files.values()) - set(files))])
        self._now: str | None = None

    def close(self) -> None:
        """Close the databases."""
        self._ours.close()

    def answer(self, each: Asked) -> tuple[int, str]:
        """Return the status of an answer, and what an error says."""
        situation, request, caller, version = each
        if self._now != situation.name:
            self._restore(situation)
            self._now = situation.name
        path = f"/servers/{situation.server}{request.path}".format(migration=self._ours.names["migration"])
        with (
            mock.patch.object(Bus, "call", _call),
            mock.patch.object(Bus, "nudge", _silence),
            mock.patch.object(LiveMigrationService, "_await_checks", _silence),
        ):
            answer = self._cloud.client(caller, f"2.{version}").request(
                request.method, path, **({} if request.body is None else {"json": request.body})
            )
        if request.method != "GET" and not 400 <= answer.status_code < 500:
            self._now = None
        return answer.status_code, kept.message(answer.json if answer.content else None)

    def _restore(self, situation: Situation) -> None:
        self._files.restore()
        changes = dict(situation.changes)
        if not changes.pop("launched", True):
            changes["launched_at"] = None
        if "host" in changes:
            changes |= {"node": None, "node_name": None}
        if changes:
            with self._cloud.cells.get(CELL1).db.writer() as session:
                session.execute(sa.update(InstanceRow).where(InstanceRow.uuid == situation.server).values(**changes))
        if situation.changes.get("vm_state") == VmState.SOFT_DELETED:
            with self._cloud.api_db.writer() as session:
                mappings.queue_for_delete(session, situation.server)
        for caller, path, body in situation.before:
            answer = self._cloud.client(caller).post(f"/servers/{situation.server}{path}", body)
            assert answer.status_code < 300, answer.text


def _move() -> Workflow:
    """Return the work that brought a server where its resize may be confirmed."""
    return Workflow(
        uuid=moves.workflow_uuid(cloud.MIGRATIONS[1], moves.MOVE),
        kind=moves.MOVE,
        subject=asked.IMAGE,
        project_id=cloud.PROJECT,
        user_id=cloud.MEMBER,
        request_id=cloud.FAILED,
        inputs={"before": {}},
        deadline=0.0,
        status=Status.DONE,
    )


def _call(_bus: Bus, _topic: str, name: str, **_facts: object) -> Any:
    return _ANSWERS.get(name)


def _silence(_self: object, *_args: object, **_facts: object) -> None:
    pass
