"""Two answers are compared by what they say, not by who says it."""

import json
from typing import Any

import pytest

from benchmarks.listing import answers


def page(*servers: dict[str, Any], **more: object) -> bytes:
    return json.dumps({"servers": servers, **more}).encode()


def server(uuid: str, port: Any = 1, **fields: object) -> dict[str, Any]:
    return {"id": uuid, "links": [{"href": f"http://127.0.0.1:{port}/servers/{uuid}", "rel": "self"}], **fields}


@pytest.mark.parametrize(
    ("real", "ours", "found"),
    [
        pytest.param(page(server("a")), page(server("a", 2)), [], id="another port"),
        pytest.param(
            page(server("a", **{"OS-EXT-SRV-ATTR:instance_name": "1"})),
            page(server("a", **{"OS-EXT-SRV-ATTR:instance_name": "2"})),
            [],
            id="another number of the row",
        ),
        pytest.param(
            page(server("a"), server("b")),
            page(server("b"), server("a")),
            ["the same servers in another order"],
            id="order",
        ),
        pytest.param(
            page(server("a"), server("b")),
            page(server("a")),
            ["other servers: 2 there, 1 here, 1 in both"],
            id="one is missing",
        ),
        pytest.param(
            page(server("a", status="ACTIVE"), server("b", status="ACTIVE")),
            page(server("a", status="ERROR"), server("b", status="ERROR")),
            ["status differs"],
            id="told once",
        ),
        pytest.param(page(server("a", tags=[])), page(server("a")), ["tags is only there"], id="missing field"),
        pytest.param(page(server("a")), page(server("a", tags=[])), ["tags is only here"], id="further field"),
        pytest.param(
            page(server("a"), servers_links=[]),
            page(server("a")),
            ["only one of them has a link to the next page"],
            id="next page",
        ),
    ],
)
def test_differences_of_pages(real: bytes, ours: bytes, found: list[str]) -> None:
    assert answers.differences(real, ours) == found


def test_differences_of_one_server() -> None:
    there, here = {"server": server("a", name="x")}, {"server": server("a", 9, name="y")}
    assert answers.differences(json.dumps(there).encode(), json.dumps(here).encode()) == ["name differs"]


def test_servers_are_counted() -> None:
    assert answers.count(page(server("a"), server("b"))) == 2
    assert answers.count(json.dumps({"server": server("a")}).encode()) == 1
