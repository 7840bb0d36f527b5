"""What is wrong with volumes is told; what is in flight, unknown or another cloud's is not."""

from dataclasses import replace
from typing import Any

import pytest

from nova_lite.conductor.spanning.auditing import checks
from nova_lite.conductor.spanning.auditing.findings import Finding
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.sightings import Seen
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.volume import Attachment, Volume, VolumeUse
from tests.unit.conductor.spanning.auditing.test_checks import kinds, move, seen, server

DEVICE = BlockDevice("d1", "v1", "/dev/vdb", "a1")
ATTACHED = Attachment("a1", "v1", "attached", "vm")


def having(*attachments: Attachment, device: BlockDevice | None = DEVICE, **values: Any) -> Seen:
    """Return a cloud with a server that has a volume, and what the block storage service says of it."""
    found = seen(server(volumes=() if device is None else (device,), **values))
    found.attachments = {attachment.id: attachment for attachment in attachments}
    return found


def only(found: Seen) -> Finding:
    (finding,) = checks.findings(found)
    return finding


def test_a_volume_that_both_know_is_fine() -> None:
    assert kinds(having(ATTACHED)) == set()
    assert kinds(seen()) == set()


def test_what_was_not_looked_at_is_not_judged() -> None:
    found = having()
    found.attachments = None
    assert kinds(found) == set()


def test_attachments_that_a_server_does_not_know_are_told() -> None:
    assert kinds(having(ATTACHED, device=None)) == {("attachment-orphaned", "a1")}
    assert kinds(having(ATTACHED, replace(ATTACHED, id="a2"))) == {("attachment-orphaned", "a2")}


def test_attachments_of_work_moves_and_strangers_are_not_judged() -> None:
    busy = having(ATTACHED, device=None)
    busy.busy.add("vm")
    moved = having(ATTACHED, replace(ATTACHED, id="a2"), vm_state=VmState.RESIZED)
    moved.moves["mv"] = move()
    foreign = having(replace(ATTACHED, instance_uuid="stranger"), device=None)
    nobodys = having(replace(ATTACHED, instance_uuid=None), device=None)
    for found in (busy, moved, foreign, nobodys):
        assert not any(kind.startswith("attachment") for kind, _ in kinds(found))


def test_what_a_server_had_on_another_host_is_its_own() -> None:
    moved = replace(DEVICE, old_attachment_id="a0")
    assert kinds(having(ATTACHED, replace(ATTACHED, id="a0"), device=moved)) == set()


def test_both_attachments_of_a_volume_that_is_swapped_are_its_own() -> None:
    """What is told is that nobody is at work on it; while somebody is, nothing."""
    there = Attachment("a3", "v3", "reserved", "vm")
    for attachment_id in ("a3", None):  # reserved, and nobody could note it
        swapped = replace(DEVICE, phase=Phase.SWAPPING, next_volume_id="v3", next_attachment_id=attachment_id)
        found = having(ATTACHED, there, device=swapped)
        assert kinds(found) == {("volume-without-work", "vm")}
        found.busy.add("vm")
        assert kinds(found) == set()


def test_attachments_of_a_deleted_server_are_told_when_every_cell_answered() -> None:
    found = having(ATTACHED)
    del found.servers["vm"]
    assert ("attachment-orphaned", "a1") not in kinds(found)
    found.dead["vm"].add("c1")
    assert ("attachment-orphaned", "a1") in kinds(found)
    found.silent["c2"] = "It is dead."
    assert ("attachment-orphaned", "a1") not in kinds(found)


@pytest.mark.parametrize("phase", [Phase.RESERVING, Phase.ATTACHING, Phase.DETACHING])
def test_volumes_on_their_way_with_nobody_at_work_are_told(phase: Phase) -> None:
    found = having(ATTACHED, device=replace(DEVICE, phase=phase))
    assert kinds(found) == {("volume-without-work", "vm")}
    found.attachments = None
    assert kinds(found) == {("volume-without-work", "vm")}
    found.busy.add("vm")
    assert kinds(found) == set()


def test_a_volume_whose_reservation_nobody_noted_is_told_as_that_alone() -> None:
    device = replace(DEVICE, attachment_id=None, phase=Phase.RESERVING)
    assert kinds(having(ATTACHED, device=device)) == {("volume-without-work", "vm")}


def test_a_volume_without_an_attachment_is_told_and_one_to_boot_from_is_not_detached() -> None:
    assert only(having()).is_repairable
    assert kinds(having()) == {("attachment-missing", "vm")}
    assert not only(having(device=replace(DEVICE, boot_index=0))).is_repairable


@pytest.mark.parametrize("values", [{"volume_id": "v2"}, {"instance_uuid": "stranger"}])
def test_an_attachment_of_something_else_is_told(values: dict[str, Any]) -> None:
    found = having(replace(ATTACHED, **values))
    assert kinds(found) == {("attachment-wrong", "vm")}
    assert not only(found).is_repairable


def test_two_servers_by_one_attachment_are_told() -> None:
    other = server("other", volumes=(replace(DEVICE, uuid="d2"),))
    found = seen(server(volumes=(DEVICE,)), other)
    found.attachments = {"a1": ATTACHED}
    assert kinds(found) == {("attachment-wrong", "vm"), ("attachment-wrong", "other")}


def test_an_attachment_that_was_not_completed_is_told() -> None:
    attaching, reserved = replace(ATTACHED, status="attaching"), replace(ATTACHED, status="reserved")
    assert only(having(attaching)).is_repairable
    assert kinds(having(attaching)) == {("attachment-unfinished", "vm")}
    assert not only(having(reserved)).is_repairable


def test_volumes_of_servers_on_no_host_and_in_error_may_be_reserved() -> None:
    reserved = replace(ATTACHED, status="reserved")
    shelved = having(reserved, host=None, node=None, vm_state=VmState.SHELVED_OFFLOADED)
    shelved.hosts.clear()
    assert kinds(shelved) == set()
    assert kinds(having(reserved, vm_state=VmState.ERROR)) == set()


def test_a_volume_that_stays_detaching_is_told_when_all_who_have_it_are_at_rest() -> None:
    found = having(ATTACHED)
    found.detaching = (Volume("v1", 1, "detaching", attachments=(VolumeUse("a1", "vm"),)),)
    assert kinds(found) == {("volume-stuck", "v1")}
    shared = replace(found.detaching[0], attachments=(VolumeUse("a1", "vm"), VolumeUse("a2", "stranger")))
    found.detaching = (shared,)
    assert kinds(found) == set()
    busy = having(ATTACHED, task_state=TaskState.REBOOTING)
    busy.detaching = (replace(shared, attachments=(VolumeUse("a1", "vm"),)),)
    assert not any(kind == "volume-stuck" for kind, _ in kinds(busy))
