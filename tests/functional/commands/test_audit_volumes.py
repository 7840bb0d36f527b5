"""``audit`` of volumes: what servers and the block storage service do not agree on is found, and repaired or told."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from nova_lite.embedded.cloud import Cloud
from nova_lite.model.block_device import BlockDevice, Phase
from tests.functional.commands.audit_site import DONE, WOULD
from tests.functional.commands.volume_site import VolumeSite


@pytest.fixture
def site(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> Iterator[VolumeSite]:
    made = VolumeSite(cloud, capsys)
    yield made
    for database in made.opened:
        database.close()
    made.close()


@pytest.fixture
def server(site: VolumeSite) -> Iterator[str]:
    uuid = site.boot()
    yield uuid
    site.delete(uuid)
    site.rest()
    site.is_clean()
    assert site.service.every_attachment() == []


@pytest.fixture
def device(site: VolumeSite, server: str) -> BlockDevice:
    return site.attached(server)


def repairs(site: VolumeSite, kind: str, subject: str) -> None:
    """Check that exactly this is found, as something to repair; repair it, and wait until that is done."""
    assert site.kinds(code=3) == {(kind, subject): WOULD}
    assert site.kinds("--repair", code=4) == {(kind, subject): DONE}
    site.rest()
    site.is_clean()


def test_a_server_with_a_volume_is_well(site: VolumeSite, server: str, device: BlockDevice) -> None:
    site.is_clean()
    assert site.plugged(server) == [device.volume_id]


def test_an_attachment_that_a_server_does_not_know_is_detached_as_by_a_user(
    site: VolumeSite, server: str, device: BlockDevice
) -> None:
    site.rewrite(server)
    repairs(site, "attachment-orphaned", str(device.attachment_id))
    assert site.plugged(server) == []
    site.reaches(str(device.volume_id), "available")


def test_a_second_attachment_of_a_volume_is_removed_and_the_guest_keeps_the_disk(
    site: VolumeSite, server: str, device: BlockDevice
) -> None:
    second = site.service.reserve(device.volume_id, server)
    repairs(site, "attachment-orphaned", second.id)
    assert site.plugged(server) == [device.volume_id]
    site.reaches(str(device.volume_id), "in-use")


def test_an_attachment_of_a_deleted_server_is_removed(site: VolumeSite) -> None:
    gone, volume = site.boot(), site.volume()
    site.delete(gone)
    left = site.service.reserve(volume, gone)
    repairs(site, "attachment-orphaned", left.id)
    site.reaches(volume, "available")


def test_attachments_of_servers_that_are_not_ours_are_left_alone(site: VolumeSite) -> None:
    foreign = site.service.reserve(site.volume(), "5d0b1c8e-7a1e-4a67-8a64-1d8fbd1b2f60")
    site.is_clean()
    site.service.detach(foreign.id)


def test_a_volume_whose_attachment_is_gone_leaves_the_guest(site: VolumeSite, server: str, device: BlockDevice) -> None:
    site.service.detach(device.attachment_id)
    repairs(site, "attachment-missing", server)
    assert (site.plugged(server), site.devices(server)) == ([], ())


def test_a_boot_disk_whose_attachment_is_gone_is_only_told(site: VolumeSite) -> None:
    server = site.boot_from_volume()
    (device,) = site.devices(server)
    site.service.detach(device.attachment_id)
    assert "volume_attachment refresh" in site.tells("attachment-missing", server)
    assert site.plugged(server) == [device.volume_id]
    site.delete(server)
    site.rest()
    site.is_clean()
    assert site.service.every_attachment() == []


@pytest.mark.parametrize("phase", [Phase.ATTACHING, Phase.DETACHING, Phase.RESERVING])
def test_a_volume_on_its_way_with_nobody_at_work_goes_on(
    site: VolumeSite, server: str, device: BlockDevice, phase: Phase
) -> None:
    site.leave(server, device, phase)
    repairs(site, "volume-without-work", server)
    if phase is Phase.ATTACHING:
        assert site.device(server, str(device.volume_id)) == device
        assert site.plugged(server) == [device.volume_id]
    else:
        assert (site.plugged(server), site.devices(server)) == ([], ())
        site.reaches(str(device.volume_id), "available")


@pytest.mark.parametrize("phase", [Phase.SWAPPING, Phase.SWAPPING_BACK])
def test_a_volume_that_was_to_go_elsewhere_with_nobody_at_work_stays(
    site: VolumeSite, server: str, device: BlockDevice, phase: Phase
) -> None:
    """Block storage does not wait for it any more."""
    other = site.volume()
    reserved = site.service.reserve(other, server)
    swapped = replace(device, phase=phase, next_volume_id=other, next_attachment_id=reserved.id)
    site.rewrite(server, swapped)
    repairs(site, "volume-without-work", server)
    assert site.device(server, str(device.volume_id)) == device
    assert site.plugged(server) == [device.volume_id]
    site.reaches(other, "available")


def test_a_volume_that_stays_attaching_is_completed(site: VolumeSite, server: str, device: BlockDevice) -> None:
    site.service.connect(device.attachment_id, {"host": site.user.server(server)["OS-EXT-SRV-ATTR:host"]})
    site.reaches(str(device.volume_id), "attaching")
    repairs(site, "attachment-unfinished", server)
    site.reaches(str(device.volume_id), "in-use")


def test_a_volume_that_stays_detaching_is_in_use_again(site: VolumeSite, server: str, device: BlockDevice) -> None:
    site.service.begin_detaching(device.volume_id)
    repairs(site, "volume-stuck", str(device.volume_id))
    site.reaches(str(device.volume_id), "in-use")


def test_an_attachment_of_another_volume_is_only_told(site: VolumeSite, server: str, device: BlockDevice) -> None:
    site.rewrite(server, replace(device, volume_id="2f6a9a40-6a0e-4d58-8d0a-0b5e0f6f1a11"))
    assert "detach the volume" in site.tells("attachment-wrong", server)
    site.rewrite(server, device)


def test_a_service_that_does_not_answer_is_unknown_not_empty(
    site: VolumeSite, server: str, device: BlockDevice
) -> None:
    dead = site.configured("dead-volumes", lambda text: text.replace("[cinder]", "[cinder]\n" + _NOWHERE))
    ran = site.run_any("audit", "--grace", "0", "--repair", "-f", "json", config=dead)
    assert (ran.code, json.loads(ran.out)) == (1, [])
    assert ran.err.startswith("nova-lite-manage: Volumes were not judged: The block storage service does not ")
    none = site.configured("no-volumes", lambda text: text.replace("[cinder]", "[nobody]"))
    ran = site.run_any("audit", "--grace", "0", "-f", "json", config=none)
    assert (ran.code, json.loads(ran.out)) == (1, [])
    assert ran.err == "nova-lite-manage: Volumes were not judged: [cinder] is not configured here.\n"


def test_without_volumes_nothing_is_missed_where_no_service_is_configured(site: VolumeSite, server: str) -> None:
    none = site.configured("no-volumes", lambda text: text.replace("[cinder]", "[nobody]"))
    ran = site.run_any("audit", "--grace", "0", "-f", "json", config=none)
    assert (ran.code, json.loads(ran.out), ran.err) == (0, [], "")


#: Where nobody listens.
_NOWHERE = "endpoint_override = http://127.0.0.1:9/v3"
