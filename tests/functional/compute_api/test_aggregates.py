"""Host aggregates: made, changed, filled with hosts of several cells, emptied, deleted; and what they refuse."""

from typing import Any

import pytest

from nova_lite.db.api_tables import AggregateHostRow, AggregateRow, ApiWorkflowRow
from nova_lite.db.repositories import host_occupancy, instances
from tests.functional.compute_api.cloud import BIG_IMAGE_ID, CELL1, CELL2, IMAGE_ID, Client, Cloud
from tests.functional.compute_api.machines import NODES, add_machines


@pytest.fixture
def cloud(cloud: Cloud) -> Cloud:
    add_machines(cloud)
    return cloud


@pytest.fixture
def cloud_of_aggregates(cloud: Cloud) -> Cloud:
    with cloud.api_db.writer() as session:
        session.add(AggregateRow(uuid=CELL1, name="racks", extra={"availability_zone": "east", "floor": "2"}))
        session.flush()
        session.add(AggregateRow(uuid=CELL2, name="empty"))
        session.flush()
        session.add_all([AggregateHostRow(aggregate_id=1, host="h2"), AggregateHostRow(aggregate_id=1, host="h1")])
    return cloud


def _made(admin: Client, name: str, zone: str | None = None) -> str:
    """Make an aggregate and return its URL."""
    answer = admin.post("/os-aggregates", {"aggregate": {"name": name, "availability_zone": zone}})
    assert answer.status_code == 200, answer.text
    return f"/os-aggregates/{answer.json['aggregate']['id']}"


def _act(caller: Client, url: str, action: str, **arguments: object) -> Any:
    return caller.post(f"{url}/action", {action: arguments})


def _message(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    ((_, fault),) = answer.json.items()
    return str(fault["message"])


def _recorded(cloud: Cloud, kind: str) -> list[tuple[str, object]]:
    """Return aggregate and inputs of each workflow of a kind."""
    return [(row.subject, row.inputs) for row in cloud.rows(cloud.api_db, ApiWorkflowRow) if row.kind == kind]


def _mirrored(cloud: Cloud) -> list[tuple[str, object]]:
    """Return what Placement is yet to be told."""
    return _recorded(cloud, "mirror-aggregates")


def test_aggregates_are_listed_and_shown(cloud_of_aggregates: Cloud, admin: Client) -> None:
    with cloud_of_aggregates.counted() as statements:
        listed = admin.get("/os-aggregates").json["aggregates"]
    assert len(statements) == 2
    assert [aggregate["name"] for aggregate in listed] == ["racks", "empty"]
    shown = admin.get("/os-aggregates/1").json["aggregate"]
    assert shown == listed[0]
    assert shown.pop("created_at")
    assert shown == {
        "id": 1,
        "uuid": CELL1,
        "name": "racks",
        "availability_zone": "east",
        "hosts": ["h1", "h2"],
        "metadata": {"availability_zone": "east", "floor": "2"},
        "updated_at": None,
        "deleted": False,
        "deleted_at": None,
    }
    assert (listed[1]["hosts"], listed[1]["availability_zone"]) == ([], None)
    old = cloud_of_aggregates.client("admin:admins", "2.40")
    assert "uuid" not in old.get("/os-aggregates/1").json["aggregate"]


def test_a_cloud_without_aggregates_has_none(admin: Client) -> None:
    assert admin.get("/os-aggregates").json == {"aggregates": []}


def test_an_aggregate_lives_and_goes(cloud: Cloud, admin: Client) -> None:
    answer = admin.post("/os-aggregates", {"aggregate": {"name": "fast", "availability_zone": "north"}})
    assert answer.status_code == 200
    made = answer.json["aggregate"]
    assert made.keys() == {
        "id", "uuid", "name", "availability_zone", "created_at", "updated_at", "deleted", "deleted_at"
    }  # fmt: skip
    url = f"/os-aggregates/{made['id']}"
    shown = admin.get(url).json["aggregate"]
    assert shown == {**made, "hosts": [], "metadata": {"availability_zone": "north"}}

    renamed = admin.put(url, {"aggregate": {"name": "faster"}})
    assert renamed.status_code == 200
    assert (renamed.json["aggregate"]["name"], renamed.json["aggregate"]["availability_zone"]) == ("faster", "north")
    assert renamed.json["aggregate"]["updated_at"]
    moved = admin.put(url, {"aggregate": {"availability_zone": "south"}}).json["aggregate"]
    assert (moved["name"], moved["metadata"]) == ("faster", {"availability_zone": "south"})
    assert moved == admin.get(url).json["aggregate"]

    described = _act(admin, url, "set_metadata", metadata={"ssd": "true", "floor": "2"}).json["aggregate"]
    assert described["metadata"] == {"availability_zone": "south", "ssd": "true", "floor": "2"}
    described = _act(admin, url, "set_metadata", metadata={"ssd": None, "never": None, "floor": ""}).json["aggregate"]
    assert described["metadata"] == {"availability_zone": "south", "floor": ""}
    assert _act(admin, url, "set_metadata", metadata={}).json["aggregate"]["metadata"] == described["metadata"]
    described = _act(admin, url, "set_metadata", metadata={"availability_zone": "west"}).json["aggregate"]
    assert described["availability_zone"] == "west"

    gone = admin.delete(url)
    assert (gone.status_code, gone.content) == (200, b"")
    for answer in (admin.delete(url), admin.get(url), admin.put(url, {"aggregate": {"name": "x"}})):
        assert answer.status_code == 404
    assert admin.get("/os-aggregates").json == {"aggregates": []}
    old = cloud.client("admin:admins", "2.1")
    assert "uuid" not in old.post("/os-aggregates", {"aggregate": {"name": "old"}}).json["aggregate"]


def test_hosts_of_any_cell_come_and_go(cloud: Cloud, admin: Client) -> None:
    url = _made(admin, "mixed")
    uuid = admin.get(url).json["aggregate"]["uuid"]
    assert _act(admin, url, "add_host", host="h3").json["aggregate"]["hosts"] == ["h3"]
    added = _act(admin, url, "add_host", host="h1")
    assert added.status_code == 200
    assert added.json["aggregate"]["hosts"] == ["h1", "h3"]
    assert added.json == admin.get(url).json
    assert "already" in _message(_act(admin, url, "add_host", host="h1"), 409)
    assert "still has hosts" in _message(admin.delete(url), 400)
    left = _act(admin, url, "remove_host", host="h3")
    assert left.json["aggregate"]["hosts"] == ["h1"]
    for host in ("h3", "h2", "nowhere"):
        assert host in _message(_act(admin, url, "remove_host", host=host), 404)
    assert _act(admin, url, "remove_host", host="h1").status_code == 200
    assert admin.delete(url).status_code == 200
    told = [(uuid, {"host": host, "providers": [NODES[host][1]]}) for host in ("h3", "h1", "h3", "h1")]
    assert _mirrored(cloud) == told


def test_a_host_is_in_one_zone_at_most(cloud: Cloud, admin: Client) -> None:
    east, also_east, west, plain = (
        _made(admin, name, zone) for name, zone in (("e", "east"), ("e2", "east"), ("w", "west"), ("p", None))
    )
    for url in (east, also_east, plain):
        assert _act(admin, url, "add_host", host="h1").status_code == 200
    assert "east" in _message(_act(admin, west, "add_host", host="h1"), 409)
    assert admin.get(west).json["aggregate"]["hosts"] == []
    for url in (plain, east):
        assert "east" in _message(admin.put(url, {"aggregate": {"availability_zone": "west"}}), 400)
        assert "east" in _message(_act(admin, url, "set_metadata", metadata={"availability_zone": "west"}), 400)
    assert admin.put(plain, {"aggregate": {"availability_zone": "east"}}).status_code == 200
    assert _act(admin, plain, "remove_host", host="h1").status_code == 200
    assert admin.put(plain, {"aggregate": {"availability_zone": "west"}}).status_code == 200


def test_a_zone_stays_as_long_as_servers_are_on_its_hosts(cloud: Cloud, admin: Client) -> None:
    server = cloud.add_server(CELL2, host="h3", node=NODES["h3"][1])
    east, plain = _made(admin, "e", "east"), _made(admin, "p")
    assert "1 servers" in _message(_act(admin, east, "add_host", host="h3"), 409)
    assert _act(admin, plain, "add_host", host="h3").status_code == 200
    for zone in ("north", "nova"):
        refused = _message(admin.put(plain, {"aggregate": {"name": "n", "availability_zone": zone}}), 400)
        assert "availability_zone" in refused
        assert "h3" in refused
        _message(_act(admin, plain, "set_metadata", metadata={"availability_zone": zone, "a": "b"}), 400)
    unchanged = admin.get(plain).json["aggregate"]
    assert (unchanged["name"], unchanged["metadata"]) == ("p", {})

    _gone(cloud, server.uuid)
    second = _made(admin, "e2", "east")
    for url in (east, second):
        assert _act(admin, url, "add_host", host="h3").status_code == 200
    cloud.add_server(CELL2, host="h3", node=NODES["h3"][1])
    assert admin.put(east, {"aggregate": {"name": "e", "availability_zone": "east"}}).status_code == 200
    assert _act(admin, plain, "remove_host", host="h3").status_code == 200
    assert _act(admin, east, "remove_host", host="h3").status_code == 200
    assert "1 servers" in _message(_act(admin, second, "remove_host", host="h3"), 409)
    assert admin.get(second).json["aggregate"]["hosts"] == ["h3"]


def _gone(cloud: Cloud, server: str) -> None:
    with cloud.cells.get(CELL2).db.writer() as session:
        instances.mark_deleted(session, server)


def test_zones_show_what_was_changed(cloud: Cloud, admin: Client, client: Client) -> None:
    url = _made(admin, "e", "east")
    assert _zones(client) == {"nova": True}
    assert _act(admin, url, "add_host", host="h3").status_code == 200
    assert _zones(client) == {"east": True, "nova": True}
    detailed = {zone["zoneName"]: zone["hosts"] for zone in admin.get("/os-availability-zone/detail").json[_ZONES]}
    assert list(detailed["east"]) == ["h3"]
    assert list(detailed["nova"]) == ["h1", "h2"]
    (service,) = admin.get("/os-services?host=h3").json["services"]
    assert service["zone"] == "east"
    assert admin.put(f"/os-services/{service['id']}", {"status": "disabled"}).status_code == 200
    assert _zones(client) == {"nova": True, "east": False}
    assert admin.put(url, {"aggregate": {"availability_zone": "west"}}).status_code == 200
    assert _zones(client) == {"nova": True, "west": False}
    assert _act(admin, url, "remove_host", host="h3").status_code == 200
    assert _zones(client) == {"nova": True}
    # Of a cell that is down nobody can tell which hosts live.
    assert _act(admin, url, "add_host", host="h3").status_code == 200
    cloud.silence_cell(CELL2)
    assert _zones(client) == {"nova": True}


_ZONES = "availabilityZoneInfo"


def _zones(caller: Client) -> dict[str, bool]:
    answer = caller.get("/os-availability-zone")
    assert answer.status_code == 200
    return {zone["zoneName"]: zone["zoneState"]["available"] for zone in answer.json[_ZONES]}


def test_hosts_that_nobody_can_look_at_are_refused(cloud: Cloud, admin: Client) -> None:
    url = _made(admin, "e", "east")
    assert _act(admin, url, "add_host", host="h3").status_code == 200
    assert "nowhere" in _message(_act(admin, url, "add_host", host="nowhere"), 404)
    cloud.silence_cell(CELL2)
    silent = _act(admin, _made(admin, "other"), "add_host", host="h3")
    assert "h3" in _message(silent, 503)
    assert silent.headers["retry-after"]
    assert "h3" in _message(_act(admin, url, "remove_host", host="h3"), 503)
    assert "h3" in _message(admin.put(url, {"aggregate": {"availability_zone": "west"}}), 503)
    # What does not ask that cell goes on.
    assert admin.put(url, {"aggregate": {"name": "renamed"}}).status_code == 200
    assert _act(admin, url, "add_host", host="h1").status_code == 200
    assert admin.get(url).json["aggregate"]["hosts"] == ["h1", "h3"]


def test_a_host_deleted_just_now_is_not_put_in(cloud: Cloud, admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    url = _made(admin, "racks")
    (service,) = admin.get("/os-services?host=h2").json["services"]
    look = host_occupancy.of_hosts

    def late(*args: Any) -> Any:
        found = look(*args)
        monkeypatch.setattr(host_occupancy, "of_hosts", look)
        assert admin.delete(f"/os-services/{service['id']}").status_code == 204
        return found

    monkeypatch.setattr(host_occupancy, "of_hosts", late)
    assert "h2" in _message(_act(admin, url, "add_host", host="h2"), 404)
    assert admin.get(url).json["aggregate"]["hosts"] == []
    assert _mirrored(cloud) == []


def test_a_host_no_cell_knows_any_more_can_be_taken_out(cloud: Cloud, admin: Client) -> None:
    url = _made(admin, "e", "east")
    with cloud.api_db.writer() as session:
        session.add(AggregateHostRow(aggregate_id=int(url.rpartition("/")[2]), host="burnt"))
    assert _act(admin, url, "remove_host", host="burnt").json["aggregate"]["hosts"] == []
    assert _mirrored(cloud) == []


def test_images_are_brought_to_the_hosts_by_and_by(cloud: Cloud, admin: Client, client: Client) -> None:
    url = _made(admin, "stores")
    answer = admin.post(f"{url}/images", {"cache": [{"id": IMAGE_ID}, {"id": BIG_IMAGE_ID.upper()}]})
    assert (answer.status_code, answer.content) == (202, b"")
    ((aggregate, inputs),) = _recorded(cloud, "cache-images")
    assert aggregate == admin.get(url).json["aggregate"]["uuid"]
    assert inputs == {"images": [IMAGE_ID, BIG_IMAGE_ID]}
    good = {"cache": [{"id": IMAGE_ID}]}
    assert admin.post("/os-aggregates/99/images", good).status_code == 404
    assert client.post(f"{url}/images", good).status_code == 403
    assert cloud.client("admin:admins", "2.80").post(f"{url}/images", good).status_code == 404
    for body, named in (
        ({}, "cache"),
        ({"cache": []}, "cache"),
        ({"cache": [{}]}, "id"),
        ({"cache": [{"id": "x"}]}, "id"),
        ({"cache": [{"id": IMAGE_ID, "size": 1}]}, "size"),
        ({"cache": [{"id": IMAGE_ID}, {"id": IMAGE_ID}]}, "cache"),
        ({"cache": [{"id": CELL1}]}, CELL1),
        ({**good, "color": "red"}, "color"),
    ):
        assert named in _message(admin.post(f"{url}/images", body), 400)
    assert len(_recorded(cloud, "cache-images")) == 1


def test_names_are_taken_once(cloud: Cloud, admin: Client) -> None:
    one, other = _made(admin, "one"), _made(admin, "other")
    assert "one" in _message(admin.post("/os-aggregates", {"aggregate": {"name": "one"}}), 409)
    assert "one" in _message(admin.put(other, {"aggregate": {"name": "one", "availability_zone": "z"}}), 409)
    assert admin.get(other).json["aggregate"]["availability_zone"] is None
    assert admin.put(one, {"aggregate": {"name": "one"}}).status_code == 200


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "aggregate"),
        ({"aggregate": None}, "aggregate"),
        ({"aggregate": {}}, "name"),
        ({"aggregate": {"name": ""}}, "name"),
        ({"aggregate": {"name": " "}}, "name"),
        ({"aggregate": {"name": " x"}}, "name"),
        ({"aggregate": {"name": "a\tb"}}, "name"),
        ({"aggregate": {"name": 5}}, "name"),
        ({"aggregate": {"name": "x" * 256}}, "name"),
        ({"aggregate": {"name": "x", "availability_zone": ""}}, "availability_zone"),
        ({"aggregate": {"name": "x", "availability_zone": "a:b"}}, "availability_zone"),
        ({"aggregate": {"name": "x", "availability_zone": " b"}}, "availability_zone"),
        ({"aggregate": {"name": "x", "availability_zone": "y" * 256}}, "availability_zone"),
        ({"aggregate": {"name": "x", "color": "red"}}, "color"),
        ({"aggregate": {"name": "x"}, "color": "red"}, "color"),
    ],
)
def test_bad_aggregates_are_refused(cloud: Cloud, admin: Client, body: Any, named: str) -> None:
    assert named in _message(admin.post("/os-aggregates", body), 400)
    assert admin.get("/os-aggregates").json == {"aggregates": []}
    url = _made(admin, "here")
    if body != {"aggregate": {}}:
        assert named in _message(admin.put(url, body), 400)
    assert "aggregate" in _message(admin.put(url, {"aggregate": {}}), 400)
    assert "availability_zone" in _message(admin.put(url, {"aggregate": {"availability_zone": None}}), 400)
    assert admin.get(url).json["aggregate"]["name"] == "here"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "body"),
        ({"add_host": {"host": "h1"}, "remove_host": {"host": "h1"}}, "body"),
        ({"explode": {}}, "explode"),
        ({"add_host": None}, "add_host"),
        ({"add_host": {}}, "host"),
        ({"add_host": {"host": ""}}, "host"),
        ({"add_host": {"host": "h 1"}}, "host"),
        ({"add_host": {"host": "h" * 256}}, "host"),
        ({"remove_host": {"host": 5}}, "host"),
        ({"remove_host": {"host": "h1", "force": True}}, "force"),
        ({"set_metadata": {}}, "metadata"),
        ({"set_metadata": {"metadata": None}}, "metadata"),
        ({"set_metadata": {"metadata": {"a": 1}}}, "a"),
        ({"set_metadata": {"metadata": {"": "x"}}}, "metadata"),
        ({"set_metadata": {"metadata": {"k" * 256: "x"}}}, "metadata"),
        ({"set_metadata": {"metadata": {"k€": "x"}}}, "metadata"),
        ({"set_metadata": {"metadata": {"k": "x" * 256}}}, "k"),
        ({"set_metadata": {"metadata": {}, "color": "red"}}, "color"),
        ({"set_metadata": {"metadata": {"availability_zone": None}}}, "availability_zone"),
        ({"set_metadata": {"metadata": {"availability_zone": ""}}}, "availability_zone"),
    ],
)
def test_bad_actions_are_refused(cloud_of_aggregates: Cloud, admin: Client, body: Any, named: str) -> None:
    before = admin.get("/os-aggregates/1").json
    assert named in _message(admin.post("/os-aggregates/1/action", body), 400)
    assert admin.get("/os-aggregates/1").json == before
    assert _mirrored(cloud_of_aggregates) == []


@pytest.mark.parametrize(
    ("number", "status"), [("99", 404), ("0", 404), ("-1", 404), ("9" * 30, 404), ("x", 400), ("1.5", 400), ("٣", 400)]
)
def test_numbers_of_no_aggregate(cloud: Cloud, admin: Client, number: str, status: int) -> None:
    url = f"/os-aggregates/{number}"
    _message(admin.get(url), status)
    _message(admin.delete(url), status)
    _message(admin.put(url, {"aggregate": {"name": "x", "availability_zone": "y"}}), status)
    for action in ("add_host", "remove_host"):
        _message(_act(admin, url, action, host="h1"), status)
    _message(_act(admin, url, "set_metadata", metadata={"a": "b"}), status)


def test_queries_and_strangers(cloud_of_aggregates: Cloud, client: Client, admin: Client) -> None:
    for path in ("/os-aggregates", "/os-aggregates/1"):
        assert admin.get(f"{path}?color=red").status_code == 400
        assert cloud_of_aggregates.client("admin:admins", "2.101").get(f"{path}?color=red").status_code == 200
        assert client.get(path).status_code == 403
    assert client.delete("/os-aggregates/2").status_code == 403
    assert client.post("/os-aggregates", {"aggregate": {"name": "mine"}}).status_code == 403
    assert client.put("/os-aggregates/2", {"aggregate": {"name": "mine"}}).status_code == 403
    assert _act(client, "/os-aggregates/2", "add_host", host="h1").status_code == 403
    assert [row["name"] for row in admin.get("/os-aggregates").json["aggregates"]] == ["racks", "empty"]
    # What changes something ignores what follows the question mark.
    assert admin.put("/os-aggregates/2?color=red", {"aggregate": {"name": "full"}}).status_code == 200
    assert admin.delete("/os-aggregates/2?color=red").status_code == 200
