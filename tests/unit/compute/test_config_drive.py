"""The config drive: which files it has, and that a real ISO holds them."""

import shutil
import subprocess
from pathlib import Path

import orjson
import pytest

from nova_lite import errors
from nova_lite.compute import config_drive

METADATA: dict[str, object] = {"uuid": "u", "name": "vm é", "meta": {"k": "v"}}


def test_every_version_has_the_same_files() -> None:
    files = config_drive.files(METADATA, b"\x00\xffuser data")
    names = {"meta_data.json", "network_data.json", "vendor_data.json", "vendor_data2.json", "user_data"}
    assert files.keys() == {f"openstack/{version}/{name}" for version in ("latest", "2018-08-27") for name in names}
    assert orjson.loads(files["openstack/latest/meta_data.json"]) == METADATA
    assert files["openstack/latest/user_data"] == b"\x00\xffuser data"
    assert orjson.loads(files["openstack/latest/network_data.json"]) == {"links": [], "networks": [], "services": []}


def test_no_user_data_is_no_file() -> None:
    assert "openstack/latest/user_data" not in config_drive.files(METADATA, None)
    assert config_drive.files(METADATA, b"")["openstack/latest/user_data"] == b""


def test_metadata_must_be_json() -> None:
    with pytest.raises(errors.Invalid, match="JSON"):
        config_drive.files({"set": {1, 2}}, None)


@pytest.fixture
def tool() -> str:
    try:
        return config_drive.find_tool()
    except errors.Misconfigured as error:
        pytest.skip(error.message)


def test_the_iso_holds_the_files_under_their_label(tmp_path: Path, tool: str) -> None:
    if shutil.which("isoinfo") is None:
        pytest.skip("isoinfo is not installed")
    path = tmp_path / "disk.config"
    config_drive.write_iso(path, config_drive.files(METADATA, b"words"), tool)
    assert path.stat().st_mode & 0o777 == 0o600

    def isoinfo(*options: str) -> bytes:
        return subprocess.run(
            ["isoinfo", "-i", str(path), *options], check=True, capture_output=True, timeout=480
        ).stdout

    assert b"Volume id: config-2" in isoinfo("-d")
    for names in ("-R", "-J"):
        assert isoinfo(names, "-x", "/openstack/latest/user_data") == b"words"
        assert orjson.loads(isoinfo(names, "-x", "/openstack/2018-08-27/meta_data.json")) == METADATA


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a/../../b", "a//b", "", ".", "a/\0"])
def test_no_file_leaves_the_drive(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.Invalid, match="cannot have a file"):
        config_drive.write_iso(tmp_path / "iso", {name: b""}, "/bin/true")


def test_a_huge_drive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="bigger"):
        config_drive.write_iso(tmp_path / "iso", {"a": bytes(65 * 1024**2)}, "/bin/true")


def test_a_failing_tool_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="false failed"):
        config_drive.write_iso(tmp_path / "iso", {"a": b""}, "/bin/false")
