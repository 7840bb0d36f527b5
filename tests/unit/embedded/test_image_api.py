"""The image directory over HTTP."""

from pathlib import Path

import pytest
from falcon.testing import Result, TestClient

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


def test_writing_is_refused_with_a_reason(client: TestClient) -> None:
    for method, path in (
        ("POST", "/v2/images"),
        ("DELETE", "/v2/images/x"),
        ("PATCH", "/v2/images/x"),
        ("PUT", "/v2/images/x/file"),
    ):
        answer = client.simulate_request(method, path)
        assert answer.status_code == 405
        assert "only reads" in answer.json["message"]
        assert answer.headers["allow"] == "GET"


def test_tells_its_schemas(client: TestClient) -> None:
    assert client.simulate_get("/v2/schemas/image").json["name"] == "image"
    assert client.simulate_get("/v2/schemas/images").json["name"] == "images"
