"""Files put into servers, up to 2.56: as a server is made and rebuilt, within limits, wherever they want to be."""

import base64
import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest

from nova_lite import config
from nova_lite.clients.vendordata import Teller
from nova_lite.compute import config_drive
from nova_lite.compute.config_drive import ConfigDrives
from nova_lite.db.api_tables import BuildRequestRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.instance import InjectedFile
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Cloud
from tests.guests import INSTANCE

_NODE = "99999999-9999-4999-8999-999999999999"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def file(path: str = "/etc/motd", contents: str = "aGk=") -> dict[str, str]:
    return {"path": path, "contents": contents}


def create(cloud: Cloud, files: Any, version: str = "2.56") -> Any:
    server = {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none", "personality": files}
    return cloud.client(version=version).post("/servers", {"server": server})


def asked_for(cloud: Cloud) -> list[Any]:
    """Return the files of each server that waits to be built."""
    return [row.instance["personality"] for row in cloud.rows(cloud.api_db, BuildRequestRow)]


def on_a_drive(files: list[Any]) -> dict[str, bytes]:
    """Return what the drive of a server has that is made with the files."""
    injected = tuple(InjectedFile(**each) for each in files)
    instance = dataclasses.replace(INSTANCE, has_config_drive=True, personality=injected)
    return ConfigDrives(Teller(config.load(files=[]))).files(instance)


def test_what_a_server_is_made_with_ends_on_its_drive(cloud: Cloud) -> None:
    assert create(cloud, [file(), file("/root/key", encoded(b"\0\xff"))]).status_code == 202
    [kept] = asked_for(cloud)
    assert kept == [file(), file("/root/key", encoded(b"\0\xff"))]
    drive = on_a_drive(kept)
    assert (drive["openstack/content/0000"], drive["openstack/content/0001"]) == (b"hi", b"\0\xff")
    assert b'"path":"/root/key","content_path":"/content/0001"' in drive["openstack/latest/meta_data.json"]


def changes_of(begun: Any) -> Any:
    """Return what a workflow of a rebuild changes of its server."""
    return begun.inputs["rebuild"]["columns"]


def test_rebuilding_keeps_them_or_takes_others(cloud: Cloud) -> None:
    server = cloud.add_server(
        CELL1, host="h1", node=_NODE, image_id=IMAGE_ID, personality=(InjectedFile("/etc/motd", "aGk="),)
    )
    client = cloud.client(version="2.56")

    def rebuild(**more: Any) -> Any:
        return client.post(f"/servers/{server.uuid}/action", {"rebuild": {"imageRef": IMAGE_ID, **more}})

    assert rebuild(personality=[file(contents="a")]).status_code == 400
    assert rebuild(personality=[file()] * 6).status_code == 403
    assert rebuild(personality=[file("/new", "bmV3")]).status_code == 202
    with cloud.cells.get(CELL1).db.reader() as session:
        [begun] = workflows.about(session, CellWorkflowRow, server.uuid)
    assert changes_of(begun) == {"personality": [file("/new", "bmV3")]}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([file()] * 6, "Personality file limit exceeded"),
        ([file("x" * 256)], "Personality file path exceeds maximum 255"),
        ([file("é" * 128)], "Personality file path exceeds maximum 255"),
        ([file(contents=encoded(b"x" * 10241))], "Personality file content exceeds maximum 10240"),
        ([file("x" * 256, encoded(b"x" * 10241))], "Personality file path exceeds maximum 255"),
    ],
    ids=["too many", "a long path", "a path of many bytes", "too much in it", "the path is told first"],
)
def test_what_is_too_much_is_over_quota(cloud: Cloud, files: Any, words: str) -> None:
    answer = create(cloud, files)
    assert answer.status_code == 403
    assert words in answer.text
    assert asked_for(cloud) == []


def test_what_is_just_within_the_limits(cloud: Cloud) -> None:
    files = [file("x" * 255, encoded(b"x" * 10240))] * 5
    assert create(cloud, files).status_code == 202
    assert asked_for(cloud) == [files]


def test_limits_are_quotas(cloud: Cloud) -> None:
    old = cloud.client("admin:admins", version="2.56")
    limits = {"injected_files": 1, "injected_file_content_bytes": 2, "injected_file_path_bytes": 3}
    assert old.put("/os-quota-sets/demo", {"quota_set": limits}).status_code == 200
    assert create(cloud, [file("/ab", encoded(b"hi"))]).status_code == 202
    for files in ([file("/a", "")] * 2, [file("/abc", "")], [file("/a", encoded(b"hi!"))]):
        assert create(cloud, files).status_code == 403
    shown = cloud.client(version="2.56").get("/limits").json["limits"]["absolute"]
    assert (shown["maxPersonality"], shown["maxPersonalitySize"]) == (1, 2)


@pytest.mark.parametrize(
    "files",
    [
        *(
            {},
            "x",
            [1],
            [{}],
            [{"path": "/a"}],
            [{"contents": ""}],
            [{**file(), "mode": 7}],
            [{"path": 1, "contents": ""}],
        ),
        *([file(contents="a")], [file(contents="*")], [file(contents="é")], [{"path": "/a", "contents": None}]),
    ],
    ids=str,
)
def test_what_makes_no_sense(cloud: Cloud, files: Any) -> None:
    assert create(cloud, files).status_code == 400
    assert asked_for(cloud) == []


def test_there_are_none_from_2_57_on(cloud: Cloud) -> None:
    assert create(cloud, [], "2.57").status_code == 400
    assert create(cloud, [], "2.56").status_code == 202


def test_no_path_is_a_path_of_the_host(cloud: Cloud, tmp_path: Path) -> None:
    """Whatever a file's path is: it is a word on the drive, and nothing is written but the drive."""
    marker = tmp_path / "planted"
    chosen = random.Random(31)
    pieces = [
        *("..", ".", "", "etc", "~root", "passwd", "\\", "C:", "$HOME", "%2e%2e", "\u202e", "\n", "*"),
        str(marker),
    ]
    paths = [
        str(marker),
        f"/../../../../../{marker}",
        f"file://{marker}",
        "",
        "/",
        "..",
        "/proc/self/root" + str(marker),
    ]
    paths += ["/".join(chosen.choices(pieces, k=chosen.randrange(1, 6)))[:200] for _ in range(53)]
    made = [create(cloud, [file(path, encoded(b"owned")) for path in paths[at : at + 5]]) for at in range(0, 60, 5)]
    assert {answer.status_code for answer in made if answer.status_code != 403} == {202}
    kept = asked_for(cloud)
    assert len([each for files in kept for each in files]) >= 50
    tool = config_drive.find_tool()
    before = sorted(path for path in tmp_path.rglob("*") if path.suffix != ".sqlite")
    for number, files in enumerate(kept):
        drive = on_a_drive(files)
        contents = {path for path in drive if "/content/" in path}
        assert contents == {f"openstack/content/{index:04}" for index in range(len(files))}
        assert all(drive[path] == b"owned" for path in contents)
        assert not [path for path in drive if ".." in path or path.startswith("/")]
        if number == 0:
            config_drive.write_iso(tmp_path / "drive.iso", drive, tool)
    after = sorted(path for path in tmp_path.rglob("*") if path.suffix not in (".sqlite", ".iso"))
    assert [path for path in after if path not in before] == []
    assert not marker.exists()
