"""The requests that clients send."""

import json

from benchmarks.scheduling import boots


def test_a_request_says_how_long_its_body_is() -> None:
    head, _, body = boots.server("b-1", "an-image").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2.1/servers HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["server"]["networks"] == "none"
    assert b"Content-Length" not in boots.request("GET", "/servers")


def test_many_servers_are_one_request() -> None:
    wanted = json.loads(boots.server("m", "an-image", many=100).partition(b"\r\n\r\n")[2])["server"]
    assert (wanted["min_count"], wanted["max_count"]) == (100, 100)
