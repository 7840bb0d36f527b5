"""Bad input of every kind, to every route: refused with words, never a 500, and nothing changed.

The input is made from a seed, so a failure can be looked at again; its message holds the request.
"""

import copy
import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from nova_lite import errors
from nova_lite.db.api_tables import AggregateRow, FlavorRow, KeypairRow, ServerGroupRow
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.states import VmState
from nova_lite.rpc.bus import Bus
from tests.functional.bodies import containers, written
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Cloud
from tests.functional.compute_api.machines import add_machines
from tests.functional.compute_api.routes import ASK_A_HOST, Request, every_request

SEED = 20261
#: Requests for each route and method.
TRIES = 45
#: Cells of the servers that requests are about (None: in none yet), and what state these are in.
PLACES = [(CELL1, VmState.ACTIVE), (None, VmState.BUILDING), (CELL0_UUID, VmState.ERROR)]

_UUID = "12345678-1234-4234-8234-123456789abc"
_HUGE = 10**40
NASTY_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    2**31,
    2**63,
    -(2**63) - 1,
    _HUGE,
    "",
    " ",
    "-1",
    "0x10",
    "1e3",
    "9" * 19,
    "9" * 400,
    "null",
    "a" * 256,
    "b" * 70000,
    "nul \x00 inside",
    "bell \x07 and escape \x1b[31m",
    "line\nbreak\r\n",
    "\u202eright to left \ufeff",
    "e\u0301 \U0001f600 \u0663",
    "../../etc/passwd",
    "' OR 1=1 --",
    "%s%n{0}{x.__class__}",
    "az:host:node:more",
    "::",
    _UUID,
    [],
    [None],
    [[[[[]]]]],
    ["x"] * 2000,
    {},
    {"": ""},
    {"a": {"b": {"c": [1, None]}}},
    {"nul\x00": "x"},
]
NASTY_TEXTS = [value for value in NASTY_VALUES if isinstance(value, str) and len(value) < 1000]
NASTY_PARTS = [
    "%00",
    "a%00b",
    "%FF%FE",
    "%ED%A0%80",
    "%0d%0aX-Header:%20x",
    "..",
    "%2e%2e%2f%2e%2e",
    "a%2Fb",
    "%25",
    "p" * 9000,
    "%F0%9F%98%80",
    "-1",
    "0",
    "9" * 30,
    "%D9%A3",
    "1.5",
    "null",
    "%20",
    "DETAIL",
    _UUID,
    _UUID.upper(),
    _UUID.replace("-", ""),
    "'%20OR%20'1'='1",
]
NASTY_NAMES = ["limit", "marker", "sort_key", "sort_dir", "all_tenants", "changes-since", "changes-before", "status"]
NASTY_NAMES += ["name", "host", "user_id", "flavor", "uuid", "power_state", "launch_index", "created_at", "deleted"]
NASTY_NAMES += ["tags", "not-tags", "ip", "locked", "minRam", "is_public", "tenant_id", "with_servers", "project_id"]
NASTY_NAMES += ["unknown", "", "nul\x00", "limit[]", "progress", "task_state", "config_drive", "binary", "sort_key"]
NASTY_NAMES += ["start", "end", "detailed"]
NASTY_QUERIES = [
    "%00=%00",
    "a=%FF",
    "=",
    "&&&",
    "limit",
    "limit=1&limit=2",
    "&".join(f"q{n}=1" for n in range(1100)),
    "changes-since=0001-01-01T00:00:00%2B23:59",
    "changes-since=9999-12-31T23:59:59-23:59",
    "created_at=9999-12-31T23:59:59-14:00",
    "sort_key=uuid&sort_key=uuid&sort_dir=asc",
    "sort_key=__class__",
    "name=(a%2B)%2B%24",
    "name=%5C",
]
NASTY_BODIES = [
    b"",
    b" ",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"NaN",
    b'{"server": {}}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{}",
    b'{"a": "\xed\xa0\x80"}',
    b'{"a": "\\ud800"}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"name=vm&flavorRef=1",
    b'{"os-start": null, "os-stop": null}',
    b'{"__proto__": null}',
    b"x" * 2_000_000,
]
NASTY_TYPES = ["text/plain", "application/xml", "application/json; charset=latin-1", "multipart/form-data", "/", ";"]
NASTY_VERSIONS = ["2", "2.", "2.1.1", "-2.1", "2.105", "1.0", "3.0", "2.\u0661", "latest2", "2.01", "9" * 500, ""]
NASTY_TOKENS = ["", " ", ":", "a:b:c", "a" * 3000, "\xff"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("fuzz"))
    add_machines(cloud)
    for resource in ("instances", "cores", "ram", "key_pairs"):
        cloud.conf.set_override(resource, -1, group="quota")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bus, "call", _no_answer)
        yield cloud
    cloud.close()


def _no_answer(bus: Bus, topic: str, method: str, **rest: object) -> object:
    """Answer as hosts do that are not there, only at once."""
    raise errors.Timeout(f"No answer from {topic} in time.", method=method)


def test_bad_input_is_refused_with_words_and_changes_nothing(shared: Cloud) -> None:
    dice = random.Random(SEED)
    bases = Bases(shared)
    statuses: set[int] = set()
    parts_of = {place: stocked(shared, *place) for place in PLACES}
    before = bases.mark()
    for request in list(every_request(shared)):
        for _ in range(TRIES):
            place = dice.choice(PLACES)
            if bases.changed_since(before):
                parts_of = {place: stocked(shared, *place) for place in PLACES}
                before = bases.mark()
            method, target, sent = spoiled(request, parts_of[place], dice)
            answer = shared.client("admin:demo").request(method, target, **sent)
            story = f"{method} {target[:300]} {str(sent)[:600]} → {answer.status_code} {answer.text[:300]}"
            statuses.add(answer.status_code)
            if answer.status_code == 503 and request.name.endswith(ASK_A_HOST):
                continue  # It was good, and there is no host: what its server's actions tell of it may stay.
            assert answer.status_code < 500 or answer.status_code == 501, story
            if answer.status_code >= 400:
                assert not bases.changed_since(before), story
                assert_useful(answer, method, story)
    # The dice do reach what they are to reach.
    assert {200, 202, 400, 401, 404, 406, 409, 413, 415} <= statuses


def stocked(cloud: Cloud, cell: str | None, state: VmState) -> dict[str, str]:
    """Put what requests need where it is missing, and return parts of paths that are there, of a server in a cell."""
    with cloud.api_db.writer() as session:
        if session.get(FlavorRow, 77) is None:
            session.add(FlavorRow(id=77, flavorid="77", name="fuzz", vcpus=1, memory_mb=64, root_gb=1, is_public=False))
        if not session.query(ServerGroupRow).filter_by(uuid=_UUID).count():
            session.add(ServerGroupRow(uuid=_UUID, project_id="demo", user_id="admin", name="g", policy="affinity"))
        if session.get(AggregateRow, 1) is None:
            session.add(AggregateRow(id=1, uuid=_UUID, name="racks", extra={"availability_zone": "east"}))
        if not session.query(KeypairRow).filter_by(user_id="admin", name="mine").count():
            session.add(KeypairRow(user_id="admin", name="mine", type="ssh", fingerprint="aa", public_key="k"))
    server = _standing(cloud, cell, state)
    return {
        "server_id": server,
        "request_id": "req-1",
        "key": "key",
        "tag": "red",
        "network": "private",
        "port_id": _UUID,
        "before": "2026-01-01 00:00:00",
        "alias": "os-services",
        "image_id": _UUID,
        "flavor_id": "77",
        "name": "mine",
        "service_id": _UUID,
        "hypervisor_id": "h1",
        "host": "h1",
        "network_id": IMAGE_ID,
        "node_id": IMAGE_ID,
        "floating_ip_id": IMAGE_ID,
        "security_group_id": IMAGE_ID,
        "rule_id": IMAGE_ID,
        "share_id": IMAGE_ID,
        "aggregate_id": "1",
        "project_id": "demo",
        "class_name": "default",
        "group_id": _UUID,
        "migration_id": "1",
        "operation_id": _UUID,
        "volume_id": _UUID,
        "snapshot_id": _UUID,
        "token": "unknown",
    }


_servers: dict[tuple[int, str | None], str] = {}


def _standing(cloud: Cloud, cell: str | None, state: VmState) -> str:
    """Return a server in ``cell``; another one, should the last have been changed."""
    known = _servers.get((id(cloud), cell))
    if known is not None:
        shown = cloud.client("admin:demo").get(f"/servers/{known}")
        if shown.status_code == 200 and shown.json["server"]["OS-EXT-STS:task_state"] is None:
            return known
    host = "h1" if cell == CELL1 else None
    made = cloud.add_server(cell, vm_state=state, host=host, metadata={"key": "value"}, user_id="admin")
    _servers[id(cloud), cell] = made.uuid
    return made.uuid


def spoiled(request: Request, parts: dict[str, str], dice: random.Random) -> tuple[str, str, dict[str, Any]]:
    """Return method, path and the rest of a request with one or more things wrong with it, most often."""
    headers = {"OpenStack-API-Version": f"compute {request.version}", "Content-Type": "application/json"}
    method, path = request.method, request.path
    body = None if request.body is None else json.dumps(request.body).encode()
    query = ""
    ways = ["path", "query", "header", "method"] + (["body"] * 8 if body is not None else [])
    for way in dice.sample(ways, dice.choice([1, 1, 1, 2])):
        if way == "path":
            parts = {name: dice.choice(NASTY_PARTS) if dice.random() < 0.7 else part for name, part in parts.items()}
            path += dice.choice(["", "", "", "/", "//", "/%00", "/../..", ".json"])
        elif way == "query":
            pairs = [(dice.choice(NASTY_NAMES), dice.choice(NASTY_TEXTS)) for _ in range(dice.choice([1, 1, 3]))]
            query = dice.choice([urlencode(pairs), urlencode(pairs), dice.choice(NASTY_QUERIES)])
        elif way == "header":
            headers |= dice.choice(
                [
                    {"OpenStack-API-Version": f"compute {dice.choice(NASTY_VERSIONS)}".encode().decode("latin-1")},
                    {"X-OpenStack-Nova-API-Version": "nonsense", "OpenStack-API-Version": "volume 3.1"},
                    {"Content-Type": dice.choice(NASTY_TYPES)},
                    {"X-Auth-Token": dice.choice(NASTY_TOKENS)},
                    {"X-Openstack-Request-Id": "req-\x01" + "x" * 300},
                    {"OpenStack-API-Version": f"compute 2.{dice.randrange(1, 105)}"},
                ]
            )
        elif way == "method":
            method = dice.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
        elif dice.random() < 0.25:
            body = dice.choice(NASTY_BODIES)
        else:
            body = _mutated(request.body, dice)
    path = path.format(**parts)
    return method, path, {"headers": headers, "query_string": query, "body": body or b""}


def _mutated(body: Any, dice: random.Random) -> bytes:
    """Return a good body with something in it spoiled."""
    body = copy.deepcopy(body)
    holders = [holder for holder in containers(body) if holder]
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        holder = dice.choice(holders)
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = dice.choice(keys) if keys else None
        way = dice.choice(["value", "value", "value", "value", "drop", "add", "rename", "wrap"])
        if key is None or way == "value":
            if key is not None:
                holder[key] = dice.choice(NASTY_VALUES)
        elif way == "drop":
            del holder[key]
        elif way == "wrap":
            holder[key] = [holder[key]]
        elif isinstance(holder, dict):
            value = holder.pop(key) if way == "rename" else dice.choice(NASTY_VALUES)
            holder[dice.choice(NASTY_TEXTS)] = value
    return written(body, dice)


def assert_useful(answer: Any, method: str, story: str) -> None:
    """Check that a refusal says something, to programs and to people, and nothing of our inside."""
    assert answer.headers["x-compute-request-id"].startswith("req-"), story
    if method == "HEAD":
        return
    [(name, fault)] = answer.json.items()
    assert name.isalpha(), story
    assert fault["code"] == answer.status_code, story
    assert len(fault["message"]) > 10, story
    assert len(answer.content) < 5000, story
    for inside in ("Traceback", "sqlalchemy", "sqlite", "nova_lite", ".py", "SELECT ", "secret"):
        assert inside not in answer.text, story


class Bases:
    """Every database of a cloud, and whether anything in one of them changed."""

    def __init__(self, cloud: Cloud) -> None:
        self._files: list[Path] = [cloud.directory / "api.sqlite", *cloud.cell_files.values()]
        self._watchers = [sqlite3.connect(file) for file in self._files]

    def mark(self) -> list[int]:
        """Return what differs as soon as anybody else has committed a change."""
        return [watcher.execute("PRAGMA data_version").fetchone()[0] for watcher in self._watchers]

    def changed_since(self, mark: list[int]) -> bool:
        """Return whether a change was committed since ``mark``."""
        return self.mark() != mark

    def contents(self) -> list[list[str]]:
        """Return every row of every table."""
        return [list(watcher.iterdump()) for watcher in self._watchers]

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()


def test_the_watch_over_databases_sees_changes(shared: Cloud) -> None:
    with closing(Bases(shared)) as bases:
        before, rows = bases.mark(), bases.contents()
        assert shared.client().get("/servers").status_code == 200
        assert not bases.changed_since(before)
        assert bases.contents() == rows
        body = {"server": {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none"}}
        assert shared.client().post("/servers", body).status_code == 202
        assert bases.changed_since(before)
        assert bases.contents() != rows


@pytest.mark.parametrize("part", ["%00", "a%00b", quote("\x00\x01")])
def test_a_nul_in_a_path_names_nothing(shared: Cloud, part: str) -> None:
    """PostgreSQL refuses even to be asked for such a name."""
    for path in (f"/servers/{part}", f"/flavors/{part}", f"/os-keypairs/{part}", f"/{part}"):
        assert shared.client().get(path).status_code == 404, path


def test_a_nul_in_a_body_is_refused(shared: Cloud) -> None:
    answer = shared.client().post("/servers", {"server": {"name": "vm", "metadata": {"a": "b\x00"}}})
    assert answer.status_code == 400
    assert "NUL" in answer.json["badRequest"]["message"]
