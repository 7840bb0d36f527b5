"""What is sent to break the API: each is refused with a clear 4xx, and the API goes on."""

import gzip
import itertools
import json
from collections.abc import Iterator
from typing import Any

import falcon.testing
import pytest

from nova_lite.model.states import VmState
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Client, Cloud

MIB = 1 << 20
SERVER: dict[str, Any] = {"name": "vm", "imageRef": IMAGE_ID, "flavorRef": "1", "networks": "none"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("bombs"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def goes_on(client: Client) -> Iterator[None]:
    """Whatever was sent, the next request is answered."""
    yield
    assert client.get("/flavors").status_code == 200


def send(client: Client, body: bytes, content_type: str = "application/json", **headers: str) -> Any:
    """Post ``body`` as a new server."""
    return client.request("POST", "/servers", body=body, headers={"Content-Type": content_type, **headers})


def server(**values: Any) -> bytes:
    return json.dumps({"server": SERVER | values}).encode()


def refused(answer: Any, status: int = 400) -> bool:
    """Return whether ``answer`` is a refusal in the API's own words, and short."""
    assert answer.status_code == status, answer.text[:500]
    (fault,) = answer.json.values()
    assert fault["code"] == status
    assert 0 < len(fault["message"]) < 2000
    return True


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 50_000 + b"]" * 50_000, id="lists"),
        pytest.param(b'{"a":' * 15_000 + b"1" + b"}" * 15_000, id="objects"),
        pytest.param(b"[" * 100_000, id="without end"),
        pytest.param(b'{"server": ' + b"[" * 900 + b"]" * 900 + b"}", id="as deep as the parser goes"),
        pytest.param(b"1" * 100_000, id="a number of 100000 digits"),
        pytest.param(b'{"server": {"min_count": 1e99999}}', id="a number beyond all"),
        pytest.param(b'{"server": {"min_count": NaN}}', id="no number"),
        pytest.param(b'{"server": {"name": "\\ud800"}}', id="half a character"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"server": null}', id="null server"),
        pytest.param(b"\x00", id="nul"),
        pytest.param(b'{"server": {"na\\u0000me": "x"}}', id="nul in a name"),
        pytest.param(b'{"server": {"name": "a\\u0000b"}}', id="nul in a value"),
        pytest.param(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", id="xml"),
    ],
)
def test_bodies_that_are_no_request(client: Client, body: bytes) -> None:
    refused(send(client, body))


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "deep"}], ids=["plain", "named"])
def test_what_is_kept_can_be_shown_again(client: Client, headers: dict[str, str]) -> None:
    for depth in (120, 300, 900):
        hints = b"[" * depth + b"]" * depth
        body = server()[:-1] + b', "os:scheduler_hints": {"x": ' + hints + b"}}"
        refused(send(client, body, **headers))
    hints = b"[" * 60 + b"]" * 60
    assert send(client, server()[:-1] + b', "os:scheduler_hints": {"x": ' + hints + b"}}").status_code == 202
    assert client.get("/servers/detail").status_code == 200


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-8-sig", "cp037"])
def test_bodies_in_other_encodings(client: Client, encoding: str) -> None:
    refused(send(client, server().decode().encode(encoding)))


def test_latin_1_is_no_utf_8(client: Client) -> None:
    body = json.dumps({"server": SERVER | {"name": "Käse"}}, ensure_ascii=False).encode("latin-1")
    for content_type in ("application/json", "application/json; charset=latin-1"):
        refused(send(client, body, content_type))


def test_compressed_bodies_are_not_opened(client: Client) -> None:
    bomb = gzip.compress(bytes(20 * MIB))
    refused(send(client, bomb, **{"Content-Encoding": "gzip"}))


@pytest.mark.parametrize("content_type", ["application/xml", "application/x-www-form-urlencoded", "a/b; " + "c" * 5000])
def test_other_types_of_bodies(client: Client, content_type: str) -> None:
    refused(send(client, server(), content_type), 415)


def test_bodies_that_are_too_large(client: Client) -> None:
    refused(send(client, server().ljust(114_689)), 413)


def test_bodies_that_are_far_too_large(client: Client) -> None:
    refused(send(client, server().ljust(10 * MIB)), 413)


def test_a_body_of_just_the_limit(client: Client) -> None:
    assert send(client, server().ljust(114_688)).status_code == 202


@pytest.mark.parametrize(
    "values",
    [
        {"name": "n" * 256},
        {"name": "n" * 100_000},
        {"name": "\u202e" * 300},
        {"name": " " * 100},
        {"name": ""},
        {"description": "d" * 256},
        {"description": "two\nlines"},
        {"flavorRef": "f" * 50_000},
        {"imageRef": "i" * 50_000},
        {"key_name": "k" * 50_000},
        {"availability_zone": "z" * 50_000},
        {"adminPass": 7},
        {"user_data": "u" * 90_000},
        {"user_data": "%" * 100},
        {"metadata": {"m" * 256: "v"}},
        {"metadata": {"m": "v" * 256}},
        {"metadata": {f"m{number}": "v" for number in range(5000)}},
        {"tags": ["t" * 61]},
        {"tags": [f"t{number}" for number in range(5000)]},
        {"max_count": 10**30},
        {"max_count": -1},
        {"max_count": "9" * 5000},
    ],
    ids=lambda values: f"{next(iter(values))}={str(next(iter(values.values())))[:12]!r}",
)
def test_long_and_strange_values(client: Client, values: dict[str, Any]) -> None:
    answer = send(client, server(**values))
    # Metadata beyond the quota is 403, as for whoever is at its end.
    assert refused(answer, 403 if len(values.get("metadata", ())) > 256 else 400)


@pytest.mark.parametrize(
    "path", ["/servers/" + "a" * 5000, "/flavors/" + "%C3%28" * 100, "/servers/a%00b", "/servers" + "/" * 500 + "a"]
)
def test_names_that_nothing_has(client: Client, path: str) -> None:
    assert client.get(path).status_code in (400, 404)


def test_many_query_parameters(client: Client) -> None:
    many = "&".join(f"name=n{number}" for number in range(2000))
    refused(client.request("GET", "/servers", query_string=many))
    refused(client.request("GET", "/servers", query_string="limit=" + "9" * 5000 + "&sort_key=" + "a" * 20_000))
    refused(client.request("GET", "/servers", query_string="name=%FF%FE"))
    refused(client.request("GET", "/servers", query_string="name=a%00b"))


#: Expressions that backtracking engines never finish, and those that are none.
HOSTILE = ["(a+)+$", "(a|aa)+$", "(.*a){25}b", "((a*)*)*b", "(a{1,100}){1,100}{1,100}", "^(([a-z])+.)+[A-Z]([a-z])+$"]
MALFORMED = ["(", "[", "*", "a**", "(?P<n>a", "\\", "(?:", "a{2,1}", "[z-a]"]


@pytest.mark.parametrize(("field", "pattern"), [*itertools.product(("name", "ip"), [*HOSTILE, *MALFORMED])])
def test_expressions_in_filters(cloud: Cloud, client: Client, field: str, pattern: str) -> None:
    cloud.add_server(display_name="a" * 200 + "!")
    answer = client.get("/servers", **{field: pattern})
    assert answer.status_code in (200, 400), answer.text


@pytest.mark.parametrize(
    ("name", "value", "statuses"),
    [
        ("X-Auth-Token", "t" * 30_000, (401,)),
        ("X-Auth-Token", "alice:demo\u00e9" * 100, (401,)),
        ("OpenStack-API-Version", "compute " + "9" * 5000, (400, 406)),
        ("OpenStack-API-Version", "compute 2.1, " * 2000, (200, 400)),
        ("X-OpenStack-Nova-API-Version", "2." + "1" * 30_000, (200, 400, 406)),
        ("X-Openstack-Request-Id", "req-" + "a" * 30_000, (200,)),
        ("Accept", "application/json;q=" + "1" * 20_000, (200, 406)),
        ("Accept", "," * 20_000, (200, 406)),
        ("If-None-Match", '"' * 20_000, (200,)),
        ("Range", "bytes=" + "0-," * 5000, (200,)),
        ("Cookie", "a=" + "b" * 30_000, (200,)),
        ("Forwarded", ";,=" * 5000, (200,)),
        ("X-Forwarded-Host", "h" * 30_000, (200,)),
    ],
    ids=lambda value: str(value)[:24],
)
def test_huge_and_strange_headers(client: Client, name: str, value: str, statuses: tuple[int, ...]) -> None:
    assert client.request("GET", "/servers", headers={name: value}).status_code in statuses


def ask(cloud: Cloud, method: str, path: bytes, query: bytes = b"") -> falcon.testing.Result:
    """Ask for a path and a query as they come over the wire, without ``%``."""
    headers = {"X-Auth-Token": "alice:demo", "OpenStack-API-Version": "compute 2.104"}
    env = falcon.testing.create_environ(method=method, headers=headers)
    env |= {"PATH_INFO": "/v2.1" + path.decode("latin-1"), "QUERY_STRING": query.decode("latin-1")}
    began = falcon.testing.StartResponseMock()
    return falcon.testing.Result(cloud.app(env, began), str(began.status), began.headers or [])


def test_a_path_that_is_no_text_names_nothing(cloud: Cloud) -> None:
    """What cannot be read is not taken for the sign that stands for what could not be read."""
    tags = f"/servers/{cloud.add_server(CELL1, host='h1', vm_state=VmState.ACTIVE).uuid}/tags".encode()
    sign = "\ufffd".encode()
    for part in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", sign + b"\xff"):
        assert [ask(cloud, method, tags + b"/" + part).status_code for method in ("PUT", "GET", "DELETE")] == [404] * 3
    assert ask(cloud, "GET", tags).json == {"tags": []}
    assert ask(cloud, "PUT", tags + b"/" + sign).status_code == 201
    assert ask(cloud, "GET", tags).json == {"tags": ["\ufffd"]}


def test_a_query_may_come_as_it_is(cloud: Cloud) -> None:
    cloud.add_server(CELL1, host="h1", display_name="caf\u00e9 \U0001f600")
    for query in ("name=caf\u00e9", "name=\U0001f600", "name=caf%C3%A9"):
        (found,) = ask(cloud, "GET", b"/servers", query.encode()).json["servers"]
        assert found["name"] == "caf\u00e9 \U0001f600"
    for bad in (b"name=\xff", b"name=%FF", b"name=\xed\xa0\x80", b"\xff=1", b"name=a\x00", b"name=%00"):
        answer = ask(cloud, "GET", b"/servers", bad)
        assert (answer.status_code, "query string" in answer.text) == (400, True), bad
