"""The image directory over HTTP."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from falcon.testing import Result, TestClient

from nova_lite import errors
from nova_lite.embedded import image_api
from nova_lite.embedded.image_directory import ImageDirectory


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.raw").write_bytes(name.encode() * 1000)
    return TestClient(image_api.build(ImageDirectory(tmp_path)))


def names(result: Result) -> list[str]:
    assert result.status_code == 200, result.text
    return [image["name"] for image in result.json["images"]]


def test_tells_its_versions(client: TestClient) -> None:
    root = client.simulate_get("/")
    assert root.status_code == 300
    assert root.json["versions"][0] == {
        "id": "v2.2",
        "status": "CURRENT",
        "links": [{"rel": "self", "href": "http://falconframework.org/v2/"}],
    }
    assert client.simulate_get("/v2/").json == root.json == client.simulate_get("/versions").json


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("sort=name:asc", ["a", "b", "c"], id="order"),
        pytest.param("sort_key=name&sort_dir=desc", ["c", "b", "a"], id="key and direction"),
        pytest.param("name=b", ["b"], id="name"),
        pytest.param("name=in:a,c&sort=name:asc", ["a", "c"], id="several names"),
        pytest.param("status=queued", [], id="status"),
        pytest.param("visibility=public&name=a", ["a"], id="visibility"),
        pytest.param("os_hidden=true", [], id="hidden"),
        pytest.param("os_hidden=False&name=a", ["a"], id="not hidden"),
        pytest.param("size_min=1001", [], id="too small"),
        pytest.param("disk_format=raw&sort=name:asc&limit=2", ["a", "b"], id="limit"),
        pytest.param("hw_disk_bus=scsi", [], id="unknown property"),
        pytest.param("limit=0", [], id="none"),
    ],
)
def test_lists_what_the_query_asks_for(client: TestClient, query: str, expected: list[str]) -> None:
    assert names(client.simulate_get("/v2/images", query_string=query)) == expected


def test_pages_follow_each_other(client: TestClient) -> None:
    url, seen = "/v2/images?limit=2&sort=name:asc", []
    while url:
        page = client.simulate_get(url)
        seen += names(page)
        url = page.json.get("next", "")
    assert seen == ["a", "b", "c"]


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=x", "marker=unknown", "sort=nothing:asc", "sort=name:up", "size_min=x"]
)
def test_refuses_bad_queries(client: TestClient, query: str) -> None:
    answer = client.simulate_get("/v2/images", query_string=query)
    assert answer.status_code == 400
    assert answer.json["message"]


def test_shows_and_sends_an_image(client: TestClient) -> None:
    [found] = client.simulate_get("/v2/images?name=a").json["images"]
    shown = client.simulate_get(f"/v2/images/{found['id']}").json
    assert shown == found
    assert (shown["status"], shown["size"], shown["container_format"]) == ("active", 1000, "bare")
    file = client.simulate_get(shown["file"])
    assert file.content == b"a" * 1000
    assert file.headers["content-md5"] == shown["checksum"]
    assert file.headers["content-length"] == "1000"
    assert client.simulate_get(f"{shown['self']}/members").json["members"] == []


@pytest.mark.parametrize(
    ("asked", "status", "length", "content_range"),
    [
        pytest.param("bytes=0-9", 206, 10, "bytes 0-9/1000", id="begin"),
        pytest.param("bytes=990-", 206, 10, "bytes 990-999/1000", id="end"),
        pytest.param("bytes=-5", 206, 5, "bytes 995-999/1000", id="last bytes"),
        pytest.param("bytes=0-", 200, 1000, None, id="whole"),
        pytest.param("bytes=1000-", 416, None, "bytes */1000", id="past the end"),
    ],
)
def test_sends_a_part(
    client: TestClient, asked: str, status: int, length: int | None, content_range: str | None
) -> None:
    [found] = client.simulate_get("/v2/images?name=a").json["images"]
    answer = client.simulate_get(found["file"], headers={"Range": asked})
    assert answer.status_code == status
    assert answer.headers.get("content-range") == content_range
    assert length is None or len(answer.content) == length


def test_an_unknown_image_is_404_with_a_message(client: TestClient) -> None:
    for path in ("/v2/images/none", "/v2/images/none/file", "/v2/images/none/members"):
        answer = client.simulate_get(path)
        assert (answer.status_code, answer.json["message"]) == (404, "No image found with ID none")
    assert client.simulate_get("/v2/nothing").json["code"] == 404


def test_members_cannot_be_changed(client: TestClient) -> None:
    answer = client.simulate_post("/v2/images/x/members")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert "nothing of that kind" in answer.json["message"]


OCTETS = {"Content-Type": "application/octet-stream"}
FORMATS = {"disk_format": "raw", "container_format": "bare"}


def made(client: TestClient, **attributes: object) -> str:
    """Return the id of a new image."""
    answer = client.simulate_post("/v2/images", json=attributes)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"].endswith(f"/v2/images/{answer.json['id']}")
    return str(answer.json["id"])


def test_an_image_is_made_filled_changed_and_removed(client: TestClient, tmp_path: Path) -> None:
    image_id = made(client, name="snap", min_disk=1, hw_disk_bus="virtio", tags=["x", "x"], protected=True, **FORMATS)
    queued = client.simulate_get(f"/v2/images/{image_id}").json
    assert (queued["status"], queued["size"], queued["checksum"], queued["tags"]) == ("queued", None, None, ["x"])
    assert client.simulate_get(f"/v2/images/{image_id}/file").status_code == 204
    assert names(client.simulate_get("/v2/images", query_string="status=queued")) == ["snap"]

    content = b"z" * 3_000_000
    assert client.simulate_put(f"/v2/images/{image_id}/file", body=content, headers=OCTETS).status_code == 204
    filled = client.simulate_get(f"/v2/images/{image_id}").json
    assert (filled["status"], filled["size"], filled["hw_disk_bus"]) == ("active", len(content), "virtio")
    assert filled["checksum"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert client.simulate_get(f"/v2/images/{image_id}/file").content == content
    again = client.simulate_put(f"/v2/images/{image_id}/file", body=b"other", headers=OCTETS)
    assert (again.status_code, "active" in again.json["message"]) == (409, True)

    changes = [
        {"op": "replace", "path": "/name", "value": "kept"},
        {"op": "add", "path": "/os~1x", "value": "1"},
        {"op": "remove", "path": "/hw_disk_bus"},
    ]
    changed = client.simulate_patch(f"/v2/images/{image_id}", json=changes).json
    assert (changed["name"], changed["os/x"], "hw_disk_bus" in changed, changed["min_disk"]) == ("kept", "1", False, 1)

    assert client.simulate_delete(f"/v2/images/{image_id}").status_code == 403
    client.simulate_patch(f"/v2/images/{image_id}", json=[{"op": "replace", "path": "/protected", "value": False}])
    assert client.simulate_delete(f"/v2/images/{image_id}").status_code == 204
    assert client.simulate_get(f"/v2/images/{image_id}").status_code == 404
    assert sorted(path.name for path in tmp_path.iterdir() if image_id in path.name) == []


def test_another_directory_object_finds_what_was_made(client: TestClient, tmp_path: Path) -> None:
    queued, filled = made(client, name="queued", **FORMATS), made(client, name="filled", **FORMATS)
    client.simulate_put(f"/v2/images/{filled}/file", body=b"x", headers=OCTETS)
    (tmp_path / f"{filled}.raw.json").unlink()
    found = {image.id: image for image in ImageDirectory(tmp_path).images()}
    assert (found[queued].name, found[queued].status) == ("queued", "queued")
    # Without its sidecar it is described anew, under the same id.
    assert (found[filled].name, found[filled].status) == (filled, "active")


def test_one_file_at_a_time_and_none_for_what_is_gone(tmp_path: Path) -> None:
    directory = ImageDirectory(tmp_path)
    image = directory.create(None, dict(FORMATS))

    def pieces() -> Iterator[bytes]:
        yield b"one"
        assert directory.image(image.id)[0].status == "saving"
        with pytest.raises(errors.Conflict):
            directory.upload(image.id, [b"other"])
        directory.delete(image.id)
        yield b"two"

    with pytest.raises(errors.NotFound):
        directory.upload(image.id, pieces())
    assert list(tmp_path.iterdir()) == []


def test_a_broken_upload_leaves_the_image_queued(tmp_path: Path) -> None:
    directory = ImageDirectory(tmp_path)
    image = directory.create(None, dict(FORMATS))

    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        directory.upload(image.id, pieces())
    assert directory.image(image.id)[0].status == "queued"
    directory.upload(image.id, [b"whole"])
    assert directory.image(image.id)[0].size == 5


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        pytest.param([], 400, "object", id="no object"),
        pytest.param({"min_disk": -1}, 400, "min_disk", id="negative"),
        pytest.param({"disk_format": "floppy"}, 400, "disk_format", id="format"),
        pytest.param({"hw_disk_bus": 7}, 400, "hw_disk_bus", id="property"),
        pytest.param({"id": "../../x"}, 400, "id", id="id"),
        pytest.param({"size": 7}, 400, "size", id="no text"),
        pytest.param({"status": "active"}, 403, "status", id="read only"),
    ],
)
def test_bad_images_are_refused(client: TestClient, tmp_path: Path, body: object, code: int, word: str) -> None:
    answer = client.simulate_post("/v2/images", json=body)
    assert (answer.status_code, word in answer.json["message"]) == (code, True), answer.text
    assert not list(tmp_path.glob("*.queued"))


def test_bad_uploads_and_changes_are_refused(client: TestClient) -> None:
    image_id = made(client, name="no formats")
    url = f"/v2/images/{image_id}"
    assert client.simulate_put(f"{url}/file", body=b"x").status_code == 415
    bare = client.simulate_put(f"{url}/file", body=b"x", headers=OCTETS)
    assert (bare.status_code, "disk_format" in bare.json["message"]) == (400, True)
    assert client.simulate_post("/v2/images", json={"id": image_id}).status_code == 409
    assert client.simulate_post("/v2/images", body=b"{").status_code == 400
    for changes, code in (
        ({}, 400),
        ([{"op": "move", "path": "/name"}], 400),
        ([{"op": "replace", "path": "name", "value": "x"}], 400),
        ([{"op": "replace", "path": "/name"}], 400),
        ([{"op": "replace", "path": "/id", "value": "x"}], 403),
        ([{"op": "remove", "path": "/nothing"}], 409),
    ):
        assert client.simulate_patch(url, json=changes).status_code == code, changes
    for method in ("PUT", "PATCH", "DELETE"):
        path = "/v2/images/none" + ("/file" if method == "PUT" else "")
        assert client.simulate_request(method, path, body=b"[]", headers=OCTETS).status_code == 404


def test_tells_its_schemas(client: TestClient) -> None:
    assert client.simulate_get("/v2/schemas/image").json["name"] == "image"
    assert client.simulate_get("/v2/schemas/images").json["name"] == "images"
