"""Embedded clouds as wholes: several at once, restarts, and what they say when they cannot start."""

import dataclasses
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nova_lite import errors
from nova_lite.cmd import manage
from nova_lite.embedded import hypervisors, state
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.http import HOST, PortTaken
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.embedded.settings import CloudSettings
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser


def image_of(cloud: Cloud) -> str:
    return ImageDirectory(cloud.settings.image_dir).images()[0].id


def small(tmp_path: Path, **changes: object) -> CloudSettings:
    settings = CloudSettings(state_dir=tmp_path / "cloud", driver="fake", cells=1, hosts=1, port_base=0)
    return dataclasses.replace(settings, **changes)  # type: ignore[arg-type]


def test_a_restart_keeps_servers_and_guests(tmp_path: Path) -> None:
    with clouds.running(tmp_path) as cloud:
        user = ComputeUser(cloud.compute_url)
        image = image_of(cloud)
        running, stopped = user.boot("running", image), user.boot("stopped", image)
        host = user.wait(running, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
        user.wait(stopped, "ACTIVE")
        user.act(stopped, "os-stop")
        user.wait(stopped, "SHUTOFF")
        nodes = {file.parent.name: file.read_text() for file in tmp_path.glob("hosts/*/compute_id")}
        user.close()
    with clouds.running(tmp_path) as cloud:
        user = ComputeUser(cloud.compute_url)
        assert image_of(cloud) == image
        assert user.wait(running, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == host
        assert running in [guest.uuid for guest in clouds.fake_driver(cloud, host).guests()]
        assert nodes == {file.parent.name: file.read_text() for file in tmp_path.glob("hosts/*/compute_id")}
        user.act(stopped, "os-start")
        user.wait(stopped, "ACTIVE")
        for server_id in (running, stopped):
            user.ask("DELETE", f"/servers/{server_id}")
            user.wait_gone(server_id)
        user.close()


def test_two_clouds_do_not_meet(tmp_path: Path) -> None:
    with (
        clouds.running(tmp_path / "one", cells=1, hosts=1) as one,
        clouds.running(tmp_path / "two", cells=1, hosts=1) as two,
    ):
        users = ComputeUser(one.compute_url), ComputeUser(two.compute_url)
        ids = [user.boot("only here", image_of(cloud)) for user, cloud in zip(users, (one, two), strict=True)]
        for user, server_id, cloud in zip(users, ids, (one, two), strict=True):
            user.wait(server_id, "ACTIVE")
            assert [guest.uuid for guest in clouds.fake_driver(cloud, "cell1-host1").guests()] == [server_id]
        assert users[0].ask("GET", f"/servers/{ids[1]}").status == 404
        for user in users:
            user.close()


def test_a_cloud_may_grow(tmp_path: Path) -> None:
    with clouds.running(tmp_path, cells=1, hosts=1):
        pass
    with clouds.running(tmp_path, cells=2, hosts=2) as cloud:
        assert len(cloud.agents) == 4
    with pytest.raises(errors.Misconfigured, match="not shrink"):
        Cloud(small(tmp_path, state_dir=tmp_path)).start()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        yield int(holder.getsockname()[1])


def test_a_taken_port_is_named(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(PortTaken, match=f"Port {taken_port} .*--port-base"):
        Cloud(small(tmp_path, port_base=taken_port)).start()
    with clouds.running(tmp_path / "cloud", cells=1, hosts=1):
        pass  # what had begun was given back


def test_a_state_directory_serves_one_process(tmp_path: Path) -> None:
    with clouds.running(tmp_path / "cloud", cells=1, hosts=1), pytest.raises(state.InUse, match=f"pid {os.getpid()}"):
        Cloud(small(tmp_path)).start()


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        pytest.param({"format": state.FORMAT + 1}, state.TooNew, "newer release", id="newer"),
        pytest.param({"format": state.FORMAT}, errors.Misconfigured, "cannot be understood", id="incomplete"),
        pytest.param([], errors.Misconfigured, "cannot be understood", id="something else"),
    ],
)
def test_a_foreign_state_directory_is_refused(
    tmp_path: Path, content: object, kind: type[Exception], message: str
) -> None:
    settings = small(tmp_path)
    settings.state_dir.mkdir()
    settings.identity_file.write_text(json.dumps(content))
    with pytest.raises(kind, match=message):
        Cloud(settings).start()
    assert json.loads(settings.identity_file.read_text()) == content


def test_a_moved_state_directory_is_refused(tmp_path: Path) -> None:
    with clouds.running(tmp_path / "here", cells=1, hosts=1):
        pass
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(errors.Misconfigured, match="was moved"):
        Cloud(small(tmp_path, state_dir=tmp_path / "there")).start()


def test_libvirt_asked_for_and_missing_says_so(tmp_path: Path) -> None:
    nowhere = f"qemu+unix:///system?socket={tmp_path}/no"
    with pytest.raises(hypervisors.NoLibvirt, match="--driver fake"):
        Cloud(small(tmp_path, driver="libvirt", libvirt_uri=nowhere)).start()


def test_auto_says_when_it_imitates_and_stays_with_it(tmp_path: Path) -> None:
    nowhere = f"qemu+unix:///system?socket={tmp_path}/no"
    settings = small(tmp_path, driver="auto", libvirt_uri=nowhere)
    for reason in ("libvirt does not work here", "as before"):
        cloud = Cloud(settings)
        cloud.start()
        try:
            assert cloud.driver == "fake"
            assert reason in cloud.driver_reason
        finally:
            cloud.stop()
    with pytest.raises(errors.Misconfigured, match="made with --driver fake"):
        Cloud(dataclasses.replace(settings, driver="libvirt")).start()


def test_cells_know_nothing_above_them(tmp_path: Path) -> None:
    with clouds.running(tmp_path, cells=1, hosts=1):
        for name in ("cell1-conductor", "cell1-host1"):
            said = (tmp_path / "etc" / f"{name}.conf").read_text()
            assert "api_database" not in said
            assert "-api\n" not in said
        assert "connection" not in (tmp_path / "etc" / "cell1-host1.conf").read_text().replace("connection_uri", "")


def test_operators_commands_work_on_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with clouds.running(tmp_path) as cloud:
        config = str(cloud.settings.config_file("nova-lite"))
        assert manage.main(["--config-file", config, "cell_v2", "list_hosts", "-f", "json"]) == 0
        hosts = {row["Hostname"]: row["Cell Name"] for row in msgspec.json.decode(capsys.readouterr().out)}
        assert hosts == {host: host.partition("-")[0] for host in cloud.agents}
        assert manage.main(["--config-file", config, "api_db", "version"]) == 0
