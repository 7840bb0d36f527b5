"""``volume_attachment``, as an operator sees it: connectors, what a volume is attached by, and making that anew."""

import json
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.cmd.manage_volumes import masked
from nova_lite.embedded.cloud import Cloud
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.testing import cloud as clouds
from tests.functional.commands.conftest import Ran
from tests.functional.commands.volume_site import VolumeSite

NOBODY = str(uuids.UUID(int=7))


@pytest.fixture
def site(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> Iterator[VolumeSite]:
    made = VolumeSite(cloud, capsys)
    yield made
    for database in made.opened:
        database.close()
    made.close()


@pytest.fixture
def server(site: VolumeSite) -> Iterator[str]:
    """A server that is stopped."""
    uuid = site.boot()
    assert site.user.act(uuid, "os-stop").status == 202
    site.user.wait(uuid, "SHUTOFF")
    yield uuid
    site.delete(uuid)
    site.rest()
    site.is_clean()
    assert site.service.every_attachment() == []


@pytest.fixture
def device(site: VolumeSite, server: str) -> BlockDevice:
    return site.attached(server)


def run(site: VolumeSite, *words: object, config: str | None = None) -> Ran:
    return site.run_any("volume_attachment", *map(str, words), config=config)


def host_of(site: VolumeSite, server: str) -> str:
    return str(site.user.server(server)["OS-EXT-SRV-ATTR:host"])


def connector(site: VolumeSite, server: str, tmp_path: Path) -> Path:
    """Return the file that an operator made on the server's host."""
    config = site.cloud.settings.config_file(host_of(site, server))
    ran = run(site, "get_connector", "--json", config=str(config))
    assert (ran.code, ran.err) == (0, "")
    path = tmp_path / "connector.json"
    path.write_text(ran.out)
    return path


def actions(site: VolumeSite, server: str) -> dict[str, Any]:
    listed = site.user.ask("GET", f"/servers/{server}/os-instance-actions").json["instanceActions"]
    return {action["action"]: action["message"] for action in listed}


# -- get_connector


def test_a_connector_is_its_hosts(site: VolumeSite, server: str, tmp_path: Path) -> None:
    path = connector(site, server, tmp_path)
    assert json.loads(path.read_text())["host"] == host_of(site, server)
    ran = run(site, "get_connector", config=str(site.cloud.settings.config_file(host_of(site, server))))
    assert ran.code == 0
    assert "| Property " in ran.out
    assert f" {host_of(site, server)} " in ran.out


# -- show


def test_a_volume_is_shown_with_its_attachment(site: VolumeSite, server: str, device: BlockDevice) -> None:
    ran = run(site, "show", server, device.volume_id, "--json")
    assert (ran.code, ran.err) == (0, "")
    shown = json.loads(ran.out)
    assert (shown["instance_uuid"], shown["host"]) == (server, host_of(site, server))
    assert (shown["attachment_id"], shown["attachment_status"]) == (device.attachment_id, "attached")
    assert (shown["device_name"], shown["phase"]) == (device.device_name, "attached")
    assert shown["connection_info"]["driver_volume_type"] == "local"
    table = run(site, "show", server, device.volume_id).out
    assert f" {device.attachment_id} " in table


def test_connection_info_is_shown_alone_as_it_is(site: VolumeSite, server: str, device: BlockDevice) -> None:
    words = ("show", server, device.volume_id, "--connection_info")
    found = json.loads(run(site, *words, "--json").out)
    assert found == site.service.attachment(device.attachment_id).connection_info
    assert f" {found['device_path']} " in run(site, *words).out


def test_secrets_are_hidden() -> None:
    connection = {
        "driver_volume_type": "iscsi",
        "target_portal": "p",
        "auth_password": "x",
        "keyring": "[client]",
        "data": {"secret_uuid": "u", "auth_method": "CHAP", "discovery_auth_password": None},
        "hosts": ["a"],
    }
    assert masked(connection) == {
        **connection,
        "auth_password": "****",
        "keyring": "****",
        "data": {"secret_uuid": "****", "auth_method": "CHAP", "discovery_auth_password": None},
    }


def test_what_is_not_there_is_not_shown(site: VolumeSite, server: str) -> None:
    ran = run(site, "show", NOBODY, NOBODY)
    assert (ran.code, ran.out) == (2, "")
    assert "could not be found" in ran.err
    ran = run(site, "show", server, NOBODY)
    assert (ran.code, ran.err) == (3, f"nova-lite-manage: Volume {NOBODY} is not attached to server {server}.\n")


# -- refresh


def test_an_attachment_is_made_anew(site: VolumeSite, server: str, device: BlockDevice, tmp_path: Path) -> None:
    ran = run(site, "refresh", server, device.volume_id, connector(site, server, tmp_path))
    assert (ran.code, ran.err) == (0, "")
    new = site.device(server, str(device.volume_id))
    assert new.attachment_id != device.attachment_id
    assert (new.uuid, new.device_name, new.phase, new.work) == (device.uuid, device.device_name, Phase.ATTACHED, None)
    assert [one.id for one in site.service.every_attachment()] == [new.attachment_id]
    site.reaches(str(device.volume_id), "in-use")
    driver = clouds.fake_driver(site.cloud, host_of(site, server))
    assert [one.attachment_id for one in driver.plugged(server)] == [new.attachment_id]
    assert device.attachment_id not in driver.reached
    assert actions(site, server)["refresh_volume_attachment"] is None
    assert site.user.server(server)["locked"] is False
    site.is_clean()
    assert site.user.act(server, "os-start").status == 202
    site.user.wait(server, "ACTIVE")


def test_a_lock_stays(site: VolumeSite, server: str, device: BlockDevice, tmp_path: Path) -> None:
    assert site.user.act(server, "lock", {"locked_reason": "mine"}).status == 202
    path = connector(site, server, tmp_path)
    assert run(site, "refresh", server, device.volume_id, path).code == 0
    shown = site.user.server(server)
    assert (shown["locked"], shown["locked_reason"]) == (True, "mine")


@pytest.mark.parametrize("call", ["detach_volume", "attach_volume"])
def test_what_fails_leaves_the_volume_and_may_be_run_again(
    site: VolumeSite, server: str, device: BlockDevice, tmp_path: Path, call: str
) -> None:
    driver = clouds.fake_driver(site.cloud, host_of(site, server))
    driver.fail(call, errors.GuestFailed("The disk is stuck."))
    path = connector(site, server, tmp_path)
    ran = run(site, "refresh", server, device.volume_id, path)
    assert (ran.code, ran.err) == (1, "nova-lite-manage: The disk is stuck.\n")
    assert site.device(server, str(device.volume_id)).phase is Phase.ATTACHED
    assert len(site.service.every_attachment()) == 1
    assert site.user.server(server)["locked"] is False
    assert run(site, "refresh", server, device.volume_id, path).code == 0
    assert site.plugged(server) == [device.volume_id]
    site.is_clean()


@pytest.mark.parametrize("phase", [Phase.DETACHING, Phase.ATTACHING])
def test_a_command_that_died_may_be_run_again(
    site: VolumeSite, server: str, device: BlockDevice, tmp_path: Path, phase: Phase
) -> None:
    path = connector(site, server, tmp_path)
    site.leave(server, device, phase)
    if phase is Phase.ATTACHING:
        site.service.connect(device.attachment_id, {"host": host_of(site, server)})
    site.state(server, locked=True, locked_reason="An attachment of a volume is being made anew.")
    assert run(site, "refresh", server, device.volume_id, path).code == 0
    assert site.user.server(server)["locked"] is False
    site.is_clean()


def test_a_server_that_runs_is_refused(site: VolumeSite, server: str, device: BlockDevice, tmp_path: Path) -> None:
    path = connector(site, server, tmp_path)
    assert site.user.act(server, "os-start").status == 202
    site.user.wait(server, "ACTIVE")
    ran = run(site, "refresh", server, device.volume_id, path)
    assert (ran.code, ran.err) == (5, f"nova-lite-manage: Server {server} is active: it must be stopped.\n")
    assert site.devices(server) == (device,)
    assert "refresh_volume_attachment" not in actions(site, server)


def test_wrong_files_servers_volumes_and_hosts_are_refused(
    site: VolumeSite, server: str, device: BlockDevice, tmp_path: Path
) -> None:
    path, volume = connector(site, server, tmp_path), str(device.volume_id)
    assert run(site, "refresh", server, volume, tmp_path / "nowhere").code == 2
    for text in ("{", "[]", '{"ip": "127.0.0.1"}', '{"host": 7}'):
        (tmp_path / "bad").write_text(text)
        assert run(site, "refresh", server, volume, tmp_path / "bad").code == 3
    assert run(site, "refresh", server, volume, tmp_path).code == 3
    assert run(site, "refresh", NOBODY, volume, path).code == 4
    assert run(site, "refresh", server, NOBODY, path).code == 6
    (tmp_path / "other").write_text(json.dumps({"host": "elsewhere"}))
    ran = run(site, "refresh", server, volume, tmp_path / "other")
    assert ran.code == 7
    assert "The connector is of host elsewhere" in ran.err
    assert site.devices(server) == (device,)
    assert [one.id for one in site.service.every_attachment()] == [device.attachment_id]


@pytest.mark.parametrize("words", [[], ["show"], ["show", "no", "uuid"], ["refresh", NOBODY, NOBODY], ["attach"]])
def test_a_wrong_command_line_is_told(site: VolumeSite, words: list[str]) -> None:
    ran = run(site, *words)
    assert ran.code in (2, 127)
    assert ran.err
