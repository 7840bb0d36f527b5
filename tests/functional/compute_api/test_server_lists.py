"""Lists of servers over build requests, cell0 and two cells."""

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest

from nova_lite.db.repositories import instances
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.functional.compute_api.factories import NOON

PLACES = (None, CELL0_UUID, CELL1, CELL2)


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [server["id"] for server in answer.json["servers"]]


def spread(cloud: Cloud, count: int, **values: Any) -> list[Instance]:
    """Put ``count`` servers everywhere in turn and return them, oldest first."""
    return [
        cloud.add_server(
            place,
            **{
                "display_name": f"vm-{number}",
                "created_at": NOON + timedelta(seconds=number),
                "vm_state": {None: VmState.BUILDING, CELL0_UUID: VmState.ERROR}.get(place, VmState.ACTIVE),
                **values,
            },
        )
        for number, place in zip(range(count), itertools.cycle(PLACES))
    ]


def test_newest_first_from_everywhere(cloud: Cloud, client: Client) -> None:
    servers = spread(cloud, 9)
    cloud.add_server(CELL1, project_id="other")
    expected = [server.uuid for server in reversed(servers)]
    assert ids(client.get("/servers")) == expected
    assert ids(client.get("/servers/detail")) == expected
    [first, *_] = client.get("/servers").json["servers"]
    assert first.keys() == {"id", "name", "links"}


def test_pages_hold_each_server_once(cloud: Cloud, client: Client) -> None:
    servers = spread(cloud, 10)
    seen: list[str] = []
    path = "/servers/detail?limit=3"
    for _ in range(10):
        answer = client.request("GET", path)
        page = ids(answer)
        seen += page
        links = answer.json.get("servers_links")
        if links is None:
            break
        assert len(page) == 3
        path = links[0]["href"].partition("/v2.1")[2]
    assert seen == [server.uuid for server in reversed(servers)]


@pytest.mark.parametrize("seed", range(12))
def test_any_order_and_page_size_agrees_with_sorting_it_all(cloud: Cloud, client: Client, seed: int) -> None:
    dice = random.Random(seed)
    servers = [
        cloud.add_server(
            dice.choice(PLACES),
            display_name=dice.choice(["a", "B", "b", "Ä", "z z", "_"]),
            created_at=NOON + timedelta(seconds=dice.randrange(3)),
            key_name=dice.choice([None, "k", "K"]),
            launched_at=dice.choice([None, NOON, NOON + timedelta(days=1)]),
            has_config_drive=dice.choice([True, False]),
        )
        for _ in range(17)
    ]
    attributes = {
        "display_name": lambda each: each.display_name,
        "key_name": lambda each: each.key_name or "",
        "launched_at": lambda each: each.launched_at or NOON - timedelta(days=20000),
        "config_drive": lambda each: each.has_config_drive,
        "created_at": lambda each: each.created_at,
    }
    keys = dice.sample(sorted(attributes), dice.randrange(1, 4))
    directions = [dice.choice(["asc", "desc"]) for _ in keys]
    expected = sorted(servers, key=lambda each: each.uuid)
    if keys == ["created_at"]:
        expected.sort(key=lambda each: each.uuid, reverse=directions == ["desc"])
    for key, direction in reversed([*zip(keys, directions, strict=True)]):
        expected.sort(key=attributes[key], reverse=direction == "desc")

    limit = dice.randrange(1, 8)
    found: list[str] = []
    query: dict[str, Any] = {"sort_key": keys, "sort_dir": directions, "limit": limit}
    for _ in range(len(servers) + 1):
        page = ids(client.request("GET", "/servers", params=query, params_csv=False))
        if not page:
            break
        found += page
        query["marker"] = page[-1]
    assert found == [server.uuid for server in expected]


def test_a_batch_used_up_is_followed_by_the_next(cloud: Cloud, client: Client) -> None:
    cloud.conf.set_override("instances", -1, group="quota")
    servers = [
        cloud.add_server(CELL1 if number < 150 else CELL2, created_at=NOON + timedelta(seconds=number))
        for number in range(160)
    ]
    assert ids(client.get("/servers", limit=160)) == [server.uuid for server in reversed(servers)]


FILTERED = [
    pytest.param({"name": "web"}, ["web1", "web2", "my web"], id="part of a name"),
    pytest.param({"name": "^web"}, ["web1", "web2"], id="start of a name"),
    pytest.param({"name": "^web1$"}, ["web1"], id="whole name"),
    pytest.param({"name": "w.b2"}, ["web2"], id="any character"),
    pytest.param({"name": "m.*b"}, ["my web"], id="anything between"),
    pytest.param({"name": "100%"}, ["100%"], id="nothing special to LIKE"),
    pytest.param({"status": "active"}, ["web1", "my web", "100%"], id="status"),
    pytest.param({"status": "REBOOT"}, ["web2"], id="status of a task"),
    pytest.param({"status": ["SHUTOFF", "REBOOT"]}, ["web2", "db"], id="two statuses"),
    pytest.param({"flavor": "7"}, ["db"], id="flavor"),
    pytest.param({"image": "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"}, ["db"], id="image"),
    pytest.param({"tags": "a,b"}, ["web1"], id="all of the tags"),
    pytest.param({"tags-any": "b,c"}, ["web1", "db"], id="any of the tags"),
    pytest.param({"not-tags": "a,b"}, ["web2", "my web", "db", "100%"], id="not all of the tags"),
    pytest.param({"not-tags-any": "a,c"}, ["my web", "100%"], id="none of the tags"),
    pytest.param({"changes-since": "2026-01-02T13:00:00Z"}, ["100%"], id="changed since"),
    pytest.param({"changes-before": "2026-01-02T12:30Z"}, ["web1", "web2", "my web", "db"], id="changed before"),
    pytest.param({"locked": "true"}, ["db"], id="locked"),
    pytest.param({"ip": "10."}, [], id="an address"),
    pytest.param({"availability_zone": "z1"}, ["web1"], id="zone"),
]


@pytest.mark.parametrize("place", [None, CELL1], ids=["waiting", "in a cell"])
@pytest.mark.parametrize(("query", "expected"), FILTERED)
def test_filters(cloud: Cloud, client: Client, query: dict[str, Any], expected: list[str], place: str | None) -> None:
    def add(name: str, **values: Any) -> None:
        cloud.add_server(place, display_name=name, **values)

    add("web1", tags=("a", "b"), availability_zone="z1")
    add("web2", task_state=TaskState.REBOOTING, tags=("a",))
    add("my web")
    add(
        "db",
        vm_state=VmState.STOPPED,
        flavor=Flavor("7", "f", 1, 1, 1),
        image_id="bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb",
        tags=("c",),
        is_locked=True,
    )
    add("100%", updated_at=NOON + timedelta(hours=2))
    answer = client.request("GET", "/servers/detail", params=query, params_csv=False)
    assert answer.status_code == 200, answer.text
    assert {server["name"] for server in answer.json["servers"]} == set(expected)


def test_administrators_see_every_project_and_deleted_servers(cloud: Cloud, admin: Client, client: Client) -> None:
    mine = cloud.add_server(CELL1, host="h1")
    other = cloud.add_server(CELL2, project_id="other", created_at=NOON + timedelta(seconds=1))
    gone = cloud.add_server(CELL2, project_id="other", vm_state=VmState.DELETED, created_at=NOON + timedelta(seconds=2))
    assert ids(admin.get("/servers")) == []
    assert ids(admin.get("/servers", all_tenants="1")) == [other.uuid, mine.uuid]
    assert ids(admin.get("/servers", all_tenants="1", project_id="demo")) == [mine.uuid]
    assert ids(admin.get("/servers", all_tenants="1", host="h1")) == [mine.uuid]
    assert ids(admin.get("/servers", all_tenants="1", deleted="true")) == [gone.uuid]
    assert ids(admin.get("/servers", all_tenants="1", deleted="true", marker=gone.uuid)) == []
    assert client.get("/servers", all_tenants="1").status_code == 403
    assert ids(client.get("/servers", host="nowhere")) == [mine.uuid]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("limit=x", id="limit is no number"),
        pytest.param("limit=-1", id="limit below nothing"),
        pytest.param("marker=nobody", id="marker of nobody"),
        pytest.param("sort_key=secret", id="unknown sort key"),
        pytest.param("sort_dir=up", id="unknown direction"),
        pytest.param("status=HAPPY", id="unknown status"),
        pytest.param("changes-since=yesterday", id="no time"),
        pytest.param("changes-since=2026-01-02T00:00:00&changes-before=2026-01-01T00:00:00", id="times the wrong way"),
        pytest.param("name=(a%2B)%2B$", id="expression that could take for ever"),
        pytest.param("no_such_filter=1", id="unknown filter"),
        pytest.param("locked=perhaps", id="no boolean"),
        pytest.param("sort_dir=asc&sort_dir=desc", id="a direction too many"),
        pytest.param("name=", id="no name to match"),
        pytest.param("tags=", id="no tag to match"),
        pytest.param("name=" + "a" * 1025, id="endless expression"),
        pytest.param("name=%00", id="NUL"),
        pytest.param("name=%ff", id="not UTF-8"),
    ],
)
def test_bad_questions_are_refused(client: Client, query: str) -> None:
    answer = client.request("GET", f"/servers?{query}")
    assert answer.status_code == 400
    assert answer.json["badRequest"]["message"]


def test_another_projects_server_is_no_marker(cloud: Cloud, client: Client) -> None:
    other = cloud.add_server(CELL1, project_id="other")
    assert client.get("/servers", marker=other.uuid).status_code == 400


def test_before_strictness_unknown_filters_are_ignored(cloud: Cloud) -> None:
    mine = cloud.add_server(CELL1)
    assert ids(cloud.client(version="2.1").request("GET", "/servers?no_such_filter=1")) == [mine.uuid]
    assert ids(cloud.client(version="2.37").get("/servers", status="HAPPY")) == []


@pytest.mark.parametrize(
    ("query", "since"), [("tags=x", "2.26"), ("changes-before=2026-01-01T00:00:00Z", "2.66"), ("locked=true", "2.73")]
)
def test_filters_begin_with_their_version_for_everybody(cloud: Cloud, query: str, since: str) -> None:
    mine = cloud.add_server(CELL1, project_id="admins")
    major, _, minor = since.partition(".")
    before = cloud.client("admin:admins", f"{major}.{int(minor) - 1}").request("GET", f"/servers?{query}")
    assert ids(before) == [mine.uuid]
    assert ids(cloud.client("admin:admins", since).request("GET", f"/servers?{query}")) == []


def test_sorting_by_lock_begins_with_its_version(cloud: Cloud) -> None:
    locked = cloud.add_server(CELL1, is_locked=True)
    later = cloud.add_server(CELL1, created_at=NOON + timedelta(seconds=1))
    query = "/servers?sort_key=locked&sort_dir=desc"
    assert ids(cloud.client(version="2.72").request("GET", query)) == [later.uuid, locked.uuid]
    assert ids(cloud.client(version="2.73").request("GET", query)) == [locked.uuid, later.uuid]


@pytest.mark.parametrize("name", ["metadata", "block_device_mapping", "_secret"])
def test_what_is_inside_is_no_filter(cloud: Cloud, name: str) -> None:
    for version in ("2.74", "2.75", "2.104"):
        assert cloud.client("admin:admins", version).request("GET", f"/servers?{name}=x").status_code == 400
        assert cloud.client(version=version).request("GET", f"/servers?{name}=x").status_code == 200


def test_administrators_begin_behind_any_server(cloud: Cloud, admin: Client) -> None:
    mine = cloud.add_server(CELL1, project_id="admins")
    other = cloud.add_server(CELL1, project_id="other", created_at=NOON + timedelta(seconds=1))
    assert ids(admin.get("/servers", marker=other.uuid)) == [mine.uuid]


def test_limit_nothing_is_an_empty_page(cloud: Cloud, client: Client) -> None:
    cloud.add_server(CELL1)
    assert client.get("/servers", limit="0").json == {"servers": []}


def test_a_cell_that_is_down_is_left_out(cloud: Cloud) -> None:
    near = cloud.add_server(CELL1)
    far = cloud.add_server(CELL2)
    cloud.break_cell(CELL2)
    assert ids(cloud.client(version="2.68").get("/servers")) == [near.uuid]
    bare = cloud.client(version="2.69").get("/servers/detail").json["servers"]
    assert [server["id"] for server in bare] == [far.uuid, near.uuid]
    assert bare[0]["status"] == "UNKNOWN"
    assert bare[0]["tenant_id"] == "demo"
    assert ids(cloud.client(version="2.69").get("/servers", limit="5")) == [near.uuid]
    shown = cloud.client().get(f"/servers/{far.uuid}").json["server"]
    assert (shown["status"], shown["flavor"]["original_name"]) == ("UNKNOWN", "m1.tiny")
    assert cloud.client("mallory:elsewhere").get(f"/servers/{far.uuid}").status_code == 404
    assert cloud.client(version="2.68").get(f"/servers/{far.uuid}").status_code == 503
    assert cloud.client().delete(f"/servers/{far.uuid}").status_code == 503


def test_statements_do_not_grow_with_the_list(cloud: Cloud, client: Client, admin: Client) -> None:
    for count in (8, 48):
        spread(cloud, count, host="h1")
        with cloud.counted() as statements:
            client.get("/servers")
        assert len(statements) == 1 + 3  # the build requests; cell0 and two cells
        with cloud.counted() as statements:
            client.get("/servers/detail")
        assert len(statements) == 1 + 3 + 1  # and the hints
        with cloud.counted() as statements:
            assert len(ids(admin.get("/servers/detail", all_tenants="1"))) >= count
        assert len(statements) == 1 + 3 + 1 + 3  # and the hosts' states, by cell
        marker = ids(client.get("/servers", limit=3))[-1]
        with cloud.counted() as statements:
            client.get("/servers", limit=3, marker=marker)
        assert len(statements) == 2 + 1 + 3  # the marker's mapping and row


def test_a_project_s_list_asks_only_cells_it_is_in(cloud: Cloud, client: Client, admin: Client) -> None:
    cloud.conf.set_override("instance_list_per_project_cells", True, group="api")
    mine, waiting = cloud.add_server(CELL1), cloud.add_server(None)
    cloud.add_server(CELL2, project_id="other")
    with cloud.counted() as statements:
        assert set(ids(client.get("/servers"))) == {mine.uuid, waiting.uuid}
    assert len(statements) == 1 + 1 + 1  # the build requests, the project's cells, its one cell
    assert ids(cloud.client("carol:new").get("/servers")) == []
    with cloud.counted() as statements:
        assert len(ids(admin.get("/servers", all_tenants="1"))) == 3
    assert len(statements) >= 1 + 3
    cloud.silence_cell(CELL2)
    assert [server["status"] for server in client.get("/servers/detail").json["servers"]] == ["ACTIVE", "ACTIVE"]


@pytest.mark.parametrize("query", [{"limit": "5"}, {"sort_key": "uuid"}, {"name": "vm"}, {"status": "ACTIVE"}])
def test_only_a_plain_list_tells_of_servers_in_a_cell_that_is_down(
    cloud: Cloud, client: Client, query: dict[str, str]
) -> None:
    near = cloud.add_server(CELL1)
    cloud.add_server(CELL2)
    cloud.silence_cell(CELL2)
    assert ids(client.get("/servers", **query)) == [near.uuid]
    cloud.conf.set_override("list_records_by_skipping_down_cells", False, group="api")
    assert client.get("/servers", **query).status_code == 503
    assert len(ids(client.get("/servers"))) == 2


def test_a_list_that_may_not_leave_out_cells_is_refused(cloud: Cloud) -> None:
    cloud.conf.set_override("list_records_by_skipping_down_cells", False, group="api")
    near, far = cloud.add_server(CELL1), cloud.add_server(CELL2)
    old = cloud.client(version="2.68")
    assert set(ids(old.get("/servers"))) == {near.uuid, far.uuid}
    cloud.silence_cell(CELL2)
    for path in ("/servers", "/servers/detail"):
        answer = old.get(path)
        assert answer.status_code == 503
        assert answer.json["serviceUnavailable"]["message"]


def test_servers_of_a_cell_that_is_down(cloud: Cloud, client: Client, admin: Client) -> None:
    near, far = cloud.add_server(CELL1), cloud.add_server(CELL2)
    theirs = cloud.add_server(CELL2, project_id="other")
    gone = cloud.add_server(CELL2)
    assert client.delete(f"/servers/{gone.uuid}").status_code == 204
    cloud.silence_cell(CELL2)
    links = [
        {"rel": "self", "href": f"http://falconframework.org/v2.1/servers/{far.uuid}"},
        {"rel": "bookmark", "href": f"http://falconframework.org/servers/{far.uuid}"},
    ]
    first, second = client.get("/servers").json["servers"]
    assert first == {"id": far.uuid, "status": "UNKNOWN", "links": links}
    assert second["id"] == near.uuid
    detailed = client.get("/servers/detail").json["servers"][0]
    assert detailed.keys() == {"id", "status", "links", "tenant_id", "created"}
    assert set(ids(admin.get("/servers", all_tenants="1"))) == {near.uuid, far.uuid, theirs.uuid}
    shown = client.get(f"/servers/{far.uuid}").json["server"]
    assert shown["OS-EXT-AZ:availability_zone"] == "UNKNOWN"
    assert (shown["user_id"], shown["OS-EXT-STS:power_state"], shown["server_groups"]) == ("alice", 0, [])
    assert client.get(f"/servers/{gone.uuid}").status_code == 404
    assert client.get("/servers", marker=far.uuid).status_code == 503
    assert ids(client.get("/servers", marker=near.uuid)) == []


def test_a_server_deleted_on_its_way_into_a_cell_is_not_listed(cloud: Cloud, client: Client) -> None:
    ghost = cloud.add_server(None, task_state=TaskState.SCHEDULING, vm_state=VmState.BUILDING)
    with cloud.cells.get(CELL1).db.writer() as session:
        instances.add(session, ghost)
    assert ids(client.get("/servers")) == [ghost.uuid]
    assert client.delete(f"/servers/{ghost.uuid}").status_code == 204
    assert ids(client.get("/servers")) == []


def test_pages_take_what_clients_send(cloud: Cloud, client: Client) -> None:
    """An empty marker, a limit said twice or past any number of servers."""
    for _ in range(2):
        cloud.add_server(CELL1)
    for query, count in (("marker=", 2), ("limit=2&limit=1", 1), ("limit=" + "9" * 30, 2), ("limit=" + "9" * 5000, 2)):
        answer = client.request("GET", "/servers", query_string=query)
        assert answer.status_code == 200, query
        assert len(answer.json["servers"]) == count, query
