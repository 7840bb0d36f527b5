"""Bad input of every kind, to every route: refused with words and a code, never a 500, and nothing changed.

The input is made from a seed, so a failure can be looked at again; its message holds the request.
"""

import io
import json
import random
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from falcon import testing

from nova_lite import config
from nova_lite.placement import app
from nova_lite.placement.tables import Base
from nova_lite.storage import Database
from nova_lite.web.app import App
from tests.functional.placement_api.nasty import spoiled
from tests.functional.placement_api.routes import AGGREGATE, CONSUMER, HOST, NODE, REQUESTS, parts

SEED = 20263
#: Requests for each entry of ``REQUESTS``.
TRIES = 150
_CODES_SINCE = 23
#: Words of our inside, which no answer may hold.
_INSIDE = ("Traceback", "sqlalchemy", "sqlite", "nova_lite", ".py", "SELECT ", "INSERT ", "secret")


class Answer:
    """What a WSGI application answered."""

    def __init__(self, status: str, headers: Iterable[tuple[str, str]], content: bytes) -> None:
        self.status = int(status[:3])
        self.headers = {name.lower(): value for name, value in headers}
        self.content = content

    def __repr__(self) -> str:
        return f"{self.status} {self.content[:400]!r}"


class Placement:
    """The application on a file of its own, spoken to without a client that would tidy up what is sent."""

    def __init__(self, directory: Path) -> None:
        file = directory / "placement.db"
        self.database = Database(f"sqlite:///{file}")
        Base.metadata.create_all(self.database.engine)
        conf = config.load(files=[])
        conf.set_override("auth_strategy", "noauth2", "api")
        self.app: App = app.build(conf, self.database)
        self._watcher = sqlite3.connect(file)

    def close(self) -> None:
        self._watcher.close()
        self.database.close()

    def send(
        self, method: str, target: str, headers: Mapping[str, str | None] | None = None, body: bytes = b""
    ) -> Answer:
        """Send exactly this; a header of None is left out."""
        path, _, query = target.partition("?")
        environ = testing.create_environ(method="GET")
        environ |= {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        sent: dict[str, str | None] = {"X-Auth-Token": "admin", "X-Roles": "admin,service"}
        for name, value in (sent | dict(headers or {})).items():
            key = name.upper().replace("-", "_")
            if value is not None:
                environ[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value
        told = testing.StartResponseMock()
        content = b"".join(self.app(environ, told))
        return Answer(told.status or "", told.headers or (), content)

    def ask(self, method: str, url: str, body: Any = None) -> Answer:
        """Send a good request of the last version."""
        headers = {"OpenStack-API-Version": "placement 1.39", "Content-Type": "application/json"}
        return self.send(method, url, headers, b"" if body is None else json.dumps(body).encode())

    def generation(self) -> int:
        """Put back what good requests need where it is missing, and return the host's generation."""
        url = f"/resource_providers/{HOST}"
        answer = self.ask("GET", f"{url}/inventories")
        if answer.status == 404:
            self.ask("POST", "/resource_providers", {"name": "host", "uuid": HOST})
            self.ask("POST", "/resource_providers", {"name": "node", "uuid": NODE, "parent_provider_uuid": HOST})
            for name in ("CUSTOM_GOLD", "CUSTOM_SPARE"):
                self.ask("PUT", f"/resource_classes/{name}")
            self.ask("PUT", "/traits/CUSTOM_FAST")
            answer = self.ask("GET", f"{url}/inventories")
        shown = json.loads(answer.content)
        generation = int(shown["resource_provider_generation"])
        if "VCPU" in shown["inventories"]:
            return generation
        for noun, what in (
            ("inventories", {"VCPU": {"total": 16}, "CUSTOM_GOLD": {"total": 4}}),
            ("traits", ["CUSTOM_FAST"]),
            ("aggregates", [AGGREGATE]),
        ):
            put = self.ask("PUT", f"{url}/{noun}", {"resource_provider_generation": generation, noun: what})
            if put.status == 200:
                generation = json.loads(put.content)["resource_provider_generation"]
        return generation

    def mark(self) -> int:
        """Return what differs as soon as a change was committed."""
        found: int = self._watcher.execute("PRAGMA data_version").fetchone()[0]
        return found

    def dump(self) -> list[str]:
        """Return every row of every table."""
        return list(self._watcher.iterdump())


@pytest.fixture(scope="module")
def placement(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placement]:
    opened = Placement(tmp_path_factory.mktemp("fuzz"))
    yield opened
    opened.close()


def test_bad_input_is_refused_with_words_and_changes_nothing(placement: Placement) -> None:
    dice = random.Random(SEED)
    statuses: set[int] = set()
    for request in REQUESTS:
        for _ in range(TRIES):
            generation = placement.generation()
            method, target, headers, body = spoiled(request, generation, dice)
            before = placement.mark()
            answer = placement.send(method, target, headers, body)
            story = f"{method} {target[:400]} {headers} {body[:500]!r} → {answer}"
            statuses.add(answer.status)
            assert answer.status < 500, story
            if answer.status >= 400:
                assert placement.mark() == before, story
                assert_useful(answer, method, story)
    # The dice do reach what they are to reach.
    assert {200, 201, 204, 400, 401, 403, 404, 405, 406, 409, 413, 415} <= statuses


def assert_useful(answer: Answer, method: str, story: str) -> None:
    """Check that a refusal says something, to programs and to people, and nothing of our inside."""
    assert answer.headers["x-openstack-request-id"].startswith("req-"), story
    if method == "HEAD":
        return
    [fault] = json.loads(answer.content)["errors"]
    assert fault["status"] == answer.status, story
    assert fault["title"], story
    assert len(fault["detail"]) > 10, story
    assert fault["request_id"] == answer.headers["x-openstack-request-id"], story
    spoken = answer.headers.get("openstack-api-version", "placement 1.0")
    assert ("code" in fault) == (int(spoken.rpartition(".")[2]) >= _CODES_SINCE), story
    assert str(fault.get("code", "placement.")).startswith("placement."), story
    assert len(answer.content) < 5000, story
    for inside in _INSIDE:
        assert inside not in answer.content.decode(), story


def test_every_route_is_sent_something(placement: Placement) -> None:
    sent = {(request.url, request.method) for request in REQUESTS}
    for url, resource in app.routes(placement.database, None).items():  # type: ignore[arg-type]
        for name in dir(resource):
            if name.startswith("on_"):
                assert (url, name[3:].upper()) in sent


def test_the_good_requests_are_good(placement: Placement) -> None:
    """What is spoiled above is nothing but what the dice changed."""
    for request in REQUESTS:
        for version in {request.since, request.until}:
            answer = _sent_as_it_is(placement, request, version)
            # What is in use stays, and names may be taken; what one version deleted the other cannot delete again.
            allowed = (404, 409) if request.method == "DELETE" else (409,)
            assert answer.status < 400 or answer.status in allowed, (request, version, answer)


def _sent_as_it_is(placement: Placement, request: Any, version: int) -> Answer:
    generation = placement.generation()
    query = "&".join(f"{name}={value}" for name, value in request.query)
    url = request.url.format(**parts(request.url))
    headers = {"OpenStack-API-Version": f"placement 1.{version}"}
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    body = b"" if request.body is None else json.dumps(request.filled(generation)).encode()
    for path, name in (("traits", "CUSTOM_FAST"), ("resource_classes", "CUSTOM_SPARE")):
        placement.ask("PUT", f"/{path}/{name}")
    return placement.send(request.method, f"{url}?{query}" if query else url, headers, body)


def test_the_watch_sees_every_change(placement: Placement) -> None:
    before, rows = placement.mark(), placement.dump()
    assert placement.ask("GET", "/traits").status == 200
    assert placement.ask("DELETE", f"/allocations/{NODE}").status == 404
    assert placement.mark() == before
    assert placement.dump() == rows
    assert placement.ask("PUT", "/traits/CUSTOM_SEEN").status == 201
    assert placement.mark() != before
    assert placement.dump() != rows


def test_a_huge_body_is_refused_unread(placement: Placement) -> None:
    answer = placement.send(
        "POST", "/resource_providers", {"Content-Length": str(10**12), "Content-Type": "application/json"}
    )
    assert answer.status == 413


@pytest.mark.parametrize("depth", [100, 300, 900, 20_000])
def test_a_deep_body_is_refused(placement: Placement, depth: int) -> None:
    """The validator once ran out of depth before the parser did."""
    headers = {"OpenStack-API-Version": "placement 1.39", "Content-Type": "application/json"}
    for body in (b"[" * depth + b"]" * depth, b'{"name":' * depth + b"1" + b"}" * depth):
        assert placement.send("POST", "/resource_providers", headers, body).status == 400


@pytest.mark.parametrize("part", ["%00", "a%00b", "%FF", "%ED%A0%80"])
def test_what_is_no_text_in_a_path_names_nothing(placement: Placement, part: str) -> None:
    for path in (f"/resource_providers/{part}", f"/traits/{part}", f"/resource_classes/{part}", f"/{part}"):
        assert placement.ask("GET", path).status == 404, path
    assert placement.ask("GET", f"/allocations/{part}").status in (200, 404)
    assert CONSUMER not in str(placement.ask("GET", f"/allocations/{part}"))
