"""The config drive: which files it has, and that a real ISO holds them."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from nova_lite import config, errors
from nova_lite.clients.vendordata import Teller
from nova_lite.compute import config_drive, external_tools
from tests.guests import INSTANCE, config_files

FILES = config_files(b"words")


def test_the_configuration_says_which_versions_are_left_out_and_whose_names_they_are() -> None:
    drives = config_drive.ConfigDrives(Teller(config.load(files=[])))
    files = drives.files(replace(INSTANCE, has_config_drive=True))
    assert [path for path in files if path.startswith("ec2/")] == [
        "ec2/2009-04-04/meta-data.json",
        "ec2/latest/meta-data.json",
    ]
    found = orjson.loads(files["openstack/latest/meta_data.json"])
    assert found["hostname"] == "vm-one.novalocal"
    again = drives.files(replace(INSTANCE, has_config_drive=True))["openstack/latest/meta_data.json"]
    assert orjson.loads(again)["random_seed"] != found["random_seed"]
    assert drives.files(INSTANCE) == {}


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
    config_drive.write_iso(path, FILES, tool)
    assert path.stat().st_mode & 0o777 == 0o600
    assert config_drive.format_of(path) == config_drive.ISO

    def isoinfo(*options: str) -> bytes:
        return subprocess.run(
            ["isoinfo", "-i", str(path), *options], check=True, capture_output=True, timeout=480
        ).stdout

    assert b"Volume id: config-2" in isoinfo("-d")
    for names in ("-R", "-J"):
        assert isoinfo(names, "-x", "/openstack/latest/user_data") == b"words"
        for name in FILES:
            assert isoinfo(names, "-x", f"/{name}") == FILES[name]


def test_a_vfat_drive_holds_the_same_under_the_same_label(tmp_path: Path) -> None:
    if shutil.which("mkfs.vfat") is None or shutil.which("mtype") is None:
        pytest.skip("dosfstools or mtools is not installed")
    path = tmp_path / "disk.config"
    config_drive.write(path, FILES, config_drive.VFAT)
    assert (path.stat().st_mode & 0o777, path.stat().st_size) == (0o600, 64 * 1024**2)
    assert path.stat().st_blocks * 512 < 4 * 1024**2
    assert config_drive.format_of(path) == config_drive.VFAT

    def said(program: str, *arguments: str) -> bytes:
        argv = [program, "-i", str(path), *arguments]
        return subprocess.run(argv, check=True, capture_output=True, timeout=480).stdout

    assert b"config-2" in said("mlabel", "-s")
    for name, content in FILES.items():
        assert said("mtype", f"::/{name}") == content
    listed = said("mdir", "-/", "-b").decode().splitlines()
    assert sorted(each.removeprefix("::/") for each in listed if not each.endswith("/")) == sorted(FILES)


def test_a_vfat_drive_has_room_for_half_of_itself(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="bigger than 32 MiB"):
        config_drive.write(tmp_path / "drive", {"a": bytes(33 * 1024**2)}, config_drive.VFAT)


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(errors.Misconfigured, match="dosfstools"):
        config_drive.require_tools(config_drive.VFAT)
    with pytest.raises(errors.Misconfigured, match="genisoimage"):
        config_drive.require_tools(config_drive.ISO)


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a/../../b", "a//b", "", ".", "a/\0"])
def test_no_file_leaves_the_drive(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.Invalid, match="cannot have a file"):
        config_drive.write_iso(tmp_path / "iso", {name: b""}, "/bin/true")


def test_a_huge_drive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="bigger"):
        config_drive.write_iso(tmp_path / "iso", {"a": bytes(65 * 1024**2)}, "/bin/true")


@pytest.mark.parametrize("drive_format", [config_drive.ISO, config_drive.VFAT])
def test_what_is_on_the_drive_is_nowhere_but_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drive_format: str
) -> None:
    """An agent that is killed meanwhile leaves nothing where nobody removes it."""
    path = tmp_path / "server" / "disk.config"
    path.parent.mkdir()
    staged: list[Path] = []

    def run(argv: list[str]) -> None:
        if "-o" in argv:
            Path(argv[argv.index("-o") + 1]).touch(mode=0o644)
        staged.extend(found.parent for found in path.parent.rglob("words"))

    monkeypatch.setattr(external_tools, "run", run)
    monkeypatch.setattr(config_drive, "find_tool", lambda: "genisoimage")
    monkeypatch.setattr(external_tools, "require", lambda program, package: program)
    config_drive.write(path, {"words": b"secret"}, drive_format)
    assert staged
    assert {found.parent.parent for found in staged} == {path.parent}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("drive_format", [config_drive.ISO, config_drive.VFAT])
def test_no_other_account_may_read_a_drive_that_is_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drive_format: str
) -> None:
    """Tools make files that anybody may read, and the directory is one that anybody may pass."""
    path = tmp_path / "disk.config"
    tmp_path.chmod(0o711)
    open_to_others: list[Path] = []

    def run(argv: list[str]) -> None:
        if "-o" in argv:
            Path(argv[argv.index("-o") + 1]).touch(mode=0o666)
        open_to_others.extend(_readable_by_others(tmp_path))

    monkeypatch.setattr(external_tools, "run", run)
    monkeypatch.setattr(config_drive, "find_tool", lambda: "genisoimage")
    monkeypatch.setattr(external_tools, "require", lambda program, package: program)
    config_drive.write(path, {"words": b"secret"}, drive_format)
    assert open_to_others == []
    assert path.stat().st_mode & 0o777 == 0o600


def _readable_by_others(directory: Path) -> list[Path]:
    found = []
    for each in directory.iterdir():
        if each.is_dir() and each.stat().st_mode & 0o011:
            found += _readable_by_others(each)
        elif each.is_file() and each.stat().st_mode & 0o044:
            found.append(each)
    return found


@pytest.mark.parametrize("drive_format", [config_drive.ISO, config_drive.VFAT])
def test_what_a_killed_agent_staged_goes_when_the_drive_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drive_format: str
) -> None:
    monkeypatch.setattr(config_drive, "find_tool", lambda: "genisoimage")
    monkeypatch.setattr(external_tools, "require", lambda program, package: program)
    path = tmp_path / "disk.config"
    left: list[Path] = []

    def run(argv: list[str]) -> None:
        left.extend(tmp_path.rglob("words"))
        if "-o" in argv:
            Path(argv[argv.index("-o") + 1]).touch()

    monkeypatch.setattr(external_tools, "run", run)
    config_drive.write(path, {"words": b"secret"}, drive_format)
    left[0].parent.mkdir(parents=True)
    left[0].write_bytes(b"secret")
    config_drive.write(path, {"words": b"secret"}, drive_format)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_tool_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="false failed"):
        config_drive.write_iso(tmp_path / "iso", {"a": b""}, "/bin/false")
