"""Quotas, quota classes, limits and server groups answer as the real Nova does: both are asked the same.

Stories are made from seeds; a failure names its seed and every request up to the one that was answered otherwise.
What is meant to differ is not asked: see "Where it differs from Nova" in docs/quotas.rst.
"""

import json
import os
import random
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import falcon.testing
import pytest

from nova_lite import config
from nova_lite.api import app
from nova_lite.cells.registry import Cells
from nova_lite.db import migrate
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database
from tests.functional.compute_api.cloud import FakeImages
from tests.integration.conftest import started
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.real_nova import RealNova
from tests.integration.stack.site import ADDRESS

SEEDS = range(int(os.environ.get("NOVA_LITE_QUOTA_SEEDS", "4")))
REQUESTS = 120

VERSIONS = ["2.1", "2.12", "2.13", "2.15", "2.35", "2.36", "2.49", "2.50", "2.56", "2.57", "2.63", "2.64"]
VERSIONS += ["2.74", "2.75", "2.101", "2.102", "2.104", "2.104", "2.104"]
CALLERS = ["admin:admins", "admin:admins", "admin:admins", "admin:demo", "alice:demo", "bob:demo", "mallory:other"]
RESOURCES = ["instances", "cores", "ram", "metadata_items", "key_pairs", "server_groups", "server_groups"]
RESOURCES += ["server_group_members", "fixed_ips", "floating_ips", "security_groups", "injected_files", "color"]
LIMITS: list[Any] = [
    0,
    1,
    2,
    3,
    5,
    10,
    20,
    50,
    -1,
    "2",
    "-1",
    "007",
    -2,
    "-2",
    "x",
    "",
    None,
    True,
    1.5,
    2**31,
    "9" * 20,
]
FORCES: list[Any] = [True, False, "True", "no", 1, 0, "maybe", None]
POLICIES: list[Any] = [["affinity"], ["anti-affinity"], ["soft-affinity"], [], ["affinity", "affinity"], "affinity"]
#: What files put into servers are limited to, in both.
_EQUAL_DEFAULTS = {"injected_files": 5, "injected_file_content_bytes": 10240, "injected_file_path_bytes": 255}


@dataclass(frozen=True)
class Request:
    """What is sent to both; ``{group}`` in the path is replaced by the id that each gave to that group."""

    method: str
    path: str
    version: str = "2.104"
    caller: str = "admin:admins"
    body: Any = None
    group: int | None = None


Answer = tuple[int, Any]
Ask = Callable[[str, Request], Answer]


def real_ask(port: int) -> Ask:
    """Return a function that asks the real Nova."""

    def ask(path: str, request: Request) -> Answer:
        data = None if request.body is None else json.dumps(request.body).encode()
        url = f"http://{ADDRESS}:{port}/v2.1{path}"
        sent = urllib.request.Request(url, data, _headers(request), method=request.method)
        try:
            with urllib.request.urlopen(sent, timeout=480) as answer:
                return answer.status, _parsed(answer.read())
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, _parsed(exc.read())

    return ask


def our_ask(client: falcon.testing.TestClient) -> Ask:
    """Return a function that asks ours."""

    def ask(path: str, request: Request) -> Answer:
        path, _, query = path.partition("?")
        given = {} if request.body is None else {"json": request.body}
        answer = client.simulate_request(
            request.method, f"/v2.1{path}", query_string=query, headers=_headers(request), **given
        )
        return answer.status_code, _parsed(answer.content)

    return ask


def _headers(request: Request) -> dict[str, str]:
    version = {"X-Auth-Token": request.caller, "OpenStack-API-Version": f"compute {request.version}"}
    return version if request.body is None else {**version, "Content-Type": "application/json"}


def _parsed(content: bytes) -> Any:
    return json.loads(content) if content else None


class Pair:
    """The real one and ours, and the groups that each has made for the same requests."""

    def __init__(self, asks: tuple[Ask, Ask]) -> None:
        self._asks = asks
        self._groups: list[tuple[str, str]] = []

    @property
    def groups(self) -> int:
        return len(self._groups)

    def forget(self) -> None:
        """Take back whatever a story left."""
        for number in range(self.groups):
            self.answers(Request("DELETE", "/os-server-groups/{group}", group=number))
        self._groups = []
        for project in ("demo", "other", "admins"):
            self.answers(Request("DELETE", f"/os-quota-sets/{project}"))
        shown = {"instances": 10, "cores": 20, "ram": 51200, "metadata_items": 128, "key_pairs": 100}
        shown |= {"server_groups": 10, "server_group_members": 10, **_EQUAL_DEFAULTS}
        shown |= dict.fromkeys(["fixed_ips", "floating_ips", "security_groups"], -1)
        for name in ("default", "gold"):
            path = f"/os-quota-class-sets/{name}"
            assert {
                status for status, _ in self.answers(Request("PUT", path, "2.1", body={"quota_class_set": shown}))
            } == {200}

    def answers(self, request: Request) -> list[Answer]:
        """Return both answers, with what each calls a group called the same."""
        found = []
        for index, ask in enumerate(self._asks):
            ids = [pair[index] for pair in self._groups]
            path = request.path if request.group is None else request.path.format(group=ids[request.group])
            found.append(ask(path, request))
        if (request.method, request.path.partition("?")[0]) == ("POST", "/os-server-groups"):
            made = [body["server_group"]["id"] for status, body in found if status == 200]
            if len(made) == len(self._asks):
                self._groups.append((made[0], made[1]))
        return [(status, self._named_alike(body, index)) for index, (status, body) in enumerate(found)]

    def _named_alike(self, body: Any, index: int) -> Any:
        if isinstance(body, dict) and "code" in next(iter(body.values()), ()):
            # Which error it is, in other words.
            return next(iter(body))
        text = json.dumps(body, sort_keys=True)
        for number, pair in enumerate(self._groups):
            text = text.replace(pair[index], f"group {number}")
        return json.loads(text)


@pytest.fixture(scope="module")
def pair(neighbours: Neighbours, mariadb: MariaDB) -> Iterator[Pair]:
    real = RealNova(
        neighbours.site, mariadb, noauth="tests.integration.stack.no_keystone:noauth", cells=1, name="nova-of-quotas"
    )
    name = f"nl_{uuid.uuid4().hex[:12]}"
    mariadb.create([name])
    api_db = Database(mariadb.url(name))
    migrate.sync(api_db, "api")
    conf = config.load(files=[])
    conf.set_override("auth_strategy", "noauth2", group="api")
    conf.set_override("timeout", 60.0, group="cells")
    cells, bus = Cells(conf, api_db), Bus(conf, f"kombu+memory:///{name}")
    ours = falcon.testing.TestClient(app.build(conf, api_db=api_db, cells=cells, api_bus=bus, images=FakeImages()))
    try:
        started(real.make)
        real.start()
        yield Pair((real_ask(real.port), our_ask(ours)))
    finally:
        real.stop()
        cells.close()
        bus.close()
        api_db.close()
        mariadb.drop([name])


class Story:
    """Requests that depend on each other, by the dice."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def request(self, groups: int) -> Request:
        """Return the next request of a story that has made so many groups."""
        kinds = [
            self._look,
            self._look,
            self._set,
            self._set,
            self._set,
            self._forget,
            self._set_class,
            self._make_group,
        ]
        kinds += [self._list_groups, self._one_group] if groups else []
        return self._dice.choice(kinds)(groups)

    def _look(self, groups: int) -> Request:
        path = self._one_of(
            *("/limits", "/limits?tenant_id=demo", "/os-quota-sets/demo", "/os-quota-sets/demo/detail"),
            *("/os-quota-sets/other", "/os-quota-sets/demo/defaults", "/os-quota-class-sets/default"),
        )
        if path.startswith("/os-quota-sets"):
            path += self._query()
        elif "?" not in path and self._dice.random() < 0.2:
            path += "?color=red"
        return self._sent("GET", path)

    def _set(self, groups: int) -> Request:
        body = self._limits()
        if self._dice.random() < 0.4:
            body["force"] = self._dice.choice(FORCES)
        path = f"/os-quota-sets/{self._one_of('demo', 'demo', 'other')}{self._query()}"
        return self._sent("PUT", path, {self._one_of(*["quota_set"] * 9, "quota"): body}, likely=True)

    def _forget(self, groups: int) -> Request:
        return self._sent("DELETE", f"/os-quota-sets/demo{self._query()}")

    def _set_class(self, groups: int) -> Request:
        path = f"/os-quota-class-sets/{self._one_of('default', 'gold')}{self._one_of('', '', '?color=red')}"
        return self._sent("PUT", path, {"quota_class_set": self._limits()}, likely=True)

    def _make_group(self, groups: int) -> Request:
        body: dict[str, Any] = {"name": self._one_of("g", "g", "g", "", " g", "x" * 256)}
        if self._dice.random() < 0.5:
            body["policies"] = self._dice.choice(POLICIES)
        else:
            body["policy"] = self._one_of("affinity", "anti-affinity", "soft-anti-affinity", "apart")
            if self._dice.random() < 0.3:
                body["rules"] = self._dice.choice([{}, {"max_server_per_host": 0}, {"max": 1}, None])
        return self._sent("POST", "/os-server-groups", {"server_group": body})

    def _list_groups(self, groups: int) -> Request:
        query = {
            name: self._one_of(*values)
            for name, *values in (
                ("limit", "1", "2", "0", "-1", "x"),
                ("offset", "0", "1", "9", "-1"),
                ("all_projects", "1", ""),
                ("color", "red"),
            )
            if self._dice.random() < 0.3
        }
        return self._sent("GET", f"/os-server-groups?{urlencode(query)}")

    def _one_group(self, groups: int) -> Request:
        path = f"/os-server-groups/{{group}}{self._one_of('', '', '?color=red')}"
        sent = self._sent(self._one_of("GET", "DELETE"), path)
        return Request(sent.method, sent.path, sent.version, sent.caller, group=self._dice.randrange(groups))

    def _limits(self) -> dict[str, Any]:
        names = self._dice.sample(RESOURCES, self._dice.choice([0, 1, 1, 1, 2, 3]))
        # Most are good ones, or nothing would ever be set.
        return {
            name: self._dice.choice(LIMITS[:12] if self._dice.random() < 0.9 else LIMITS)
            for name in names
            if name != "color" or self._dice.random() < 0.2
        }

    def _query(self) -> str:
        return self._one_of(*[""] * 6, *["?user_id=alice"] * 4, "?user_id=bob", "?user_id=", "?color=red")

    def _sent(self, method: str, path: str, body: Any = None, *, likely: bool = False) -> Request:
        caller = "admin:admins" if likely and self._dice.random() < 0.8 else self._one_of(*CALLERS)
        return Request(method, path, self._one_of(*VERSIONS), caller, body)

    def _one_of(self, *choices: str) -> str:
        return self._dice.choice(choices)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_story_is_answered_alike(pair: Pair, seed: int) -> None:
    pair.forget()
    story, told, statuses = Story(seed), [], set()
    for _ in range(REQUESTS):
        request = story.request(pair.groups)
        theirs, ours = pair.answers(request)
        told.append(f"{request} → {theirs[0]}")
        statuses.add(theirs[0])
        assert ours == theirs, "\n".join(told[-30:])
    assert statuses >= {200, 202, 400, 403}, "the dice reach what they are to reach"
