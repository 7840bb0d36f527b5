"""What can be said of where a server is to go, and what is refused at once, with nothing written."""

from typing import Any

import pytest

from nova_lite.db.api_tables import (
    AggregateHostRow,
    AggregateRow,
    ApiWorkflowRow,
    BuildRequestRow,
    HostMappingRow,
    InstanceMappingRow,
    RequestSpecRow,
)
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Client, Cloud

UUID = "6bb5f1f0-3a5b-4c6d-8e7f-102030405060"
_NO_HINTS: tuple[object, ...] = ([], "x", 7)
_NO_GROUPS: tuple[object, ...] = ("", "web", None, 7, [], [UUID, UUID], {"id": UUID})
_NO_ADDRESSES: tuple[object, ...] = ("", "192.0.2", "192.0.2.256", "host1", 7, None)
_NO_NETWORKS: tuple[object, ...] = ("24", "/", "", 24, None, "/24\n", "/2 4", "/" + "1" * 60)
_NO_SERVERS: tuple[object, ...] = ("", "vm1", ["vm1"], [7], None, {}, f"{UUID}\n")


def body(hints: object = None, **values: Any) -> dict[str, Any]:
    server = {"server": {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none", **values}}
    return server if hints is None else {**server, "os:scheduler_hints": hints}


def nothing_is_written(cloud: Cloud) -> bool:
    tables = (InstanceMappingRow, BuildRequestRow, RequestSpecRow, ApiWorkflowRow)
    return not any(cloud.rows(cloud.api_db, table) for table in tables)


def specs(cloud: Cloud) -> list[dict[str, Any]]:
    return [row.spec for row in cloud.rows(cloud.api_db, RequestSpecRow)]


@pytest.fixture
def hosts(cloud: Cloud) -> None:
    """``plain`` is in no zone, ``east1`` in zone east."""
    with cloud.api_db.writer() as session:
        session.add(HostMappingRow(host="plain", cell_uuid=CELL1))
        session.add(HostMappingRow(host="east1", cell_uuid=CELL1))
        session.add(AggregateRow(id=1, uuid="a", name="a", extra={"availability_zone": "east"}))
        session.flush()
        session.add(AggregateHostRow(aggregate_id=1, host="east1"))
    cloud.forget_cells()


@pytest.mark.parametrize(
    "hints",
    [
        pytest.param({}, id="none"),
        pytest.param({"same_host": UUID, "different_host": [UUID, UUID.replace("-", "")]}, id="servers"),
        pytest.param({"same_host": [], "different_host": []}, id="no servers"),
        pytest.param({"query": '[">=", "$free_ram_mb", 1024]'}, id="query as text"),
        pytest.param({"query": {"and": []}}, id="query as an object"),
        pytest.param({"target_cell": "cell1", "different_cell": ["cell2"]}, id="cells, which mean nothing"),
        pytest.param({"build_near_host_ip": "192.0.2.1", "cidr": "/24"}, id="network"),
        pytest.param({"build_near_host_ip": "2001:db8::1", "cidr": "/64"}, id="IPv6 network"),
        pytest.param({"reservation": UUID, "deep": {"a": [1, {"b": None}]}, "": "x"}, id="unknown ones"),
        pytest.param({"unknown": "x" * 60_000}, id="long"),
    ],
)
def test_hints_that_are_taken_and_kept_as_they_are(cloud: Cloud, client: Client, hints: dict[str, Any]) -> None:
    assert client.post("/servers", body(hints)).status_code == 202
    assert [spec["hints"] for spec in specs(cloud)] == [hints]


@pytest.mark.parametrize(
    "hints",
    [
        *(pytest.param(value, id=f"hints are {value!r}") for value in _NO_HINTS),
        *(pytest.param({"group": value}, id=f"group is {value!r}") for value in _NO_GROUPS),
        pytest.param({"group": UUID}, id="no such group"),
        *(
            pytest.param({name: value}, id=f"{name} is {value!r}")
            for name in ("same_host", "different_host")
            for value in _NO_SERVERS
        ),
        *(pytest.param({"query": value}, id=f"query is {value!r}") for value in (["x"], 7, None, True)),
        *(pytest.param({"target_cell": value}, id=f"target_cell is {value!r}") for value in ("", 7, " x")),
        *(pytest.param({"different_cell": value}, id=f"different_cell is {value!r}") for value in (7, [7], None)),
        *(pytest.param({"build_near_host_ip": value}, id=f"address is {value!r}") for value in _NO_ADDRESSES),
        *(pytest.param({"cidr": value}, id=f"cidr is {value!r:.20}") for value in _NO_NETWORKS),
    ],
)
def test_hints_that_are_none(cloud: Cloud, client: Client, hints: object) -> None:
    answer = client.post("/servers", body(hints))
    assert answer.status_code == 400, answer.json
    assert answer.json["badRequest"]["message"]
    assert nothing_is_written(cloud)


def test_hints_under_their_old_name_are_looked_at_as_well(cloud: Cloud, client: Client) -> None:
    assert client.post("/servers", {**body(), "OS-SCH-HNT:scheduler_hints": {"group": "web"}}).status_code == 400
    assert nothing_is_written(cloud)
    assert client.post("/servers", {**body(), "OS-SCH-HNT:scheduler_hints": {"same_host": UUID}}).status_code == 202


def test_hints_too_long_for_a_request_or_too_deep_to_be_meant(cloud: Cloud, client: Client) -> None:
    assert client.post("/servers", body({"unknown": "x" * 120_000})).status_code == 413
    deep = "[" * 30_000 + "]" * 30_000
    text = '{"server": {"name": "x"}, "os:scheduler_hints": {"unknown": ' + deep + "}}"
    answer = client.request("POST", "/servers", body=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert nothing_is_written(cloud)


@pytest.mark.parametrize(
    ("zone", "seen"),
    [
        ("nova", ("nova", None, None, False)),
        ("east", ("east", None, None, False)),
        ("east:east1", ("east", "east1", None, True)),
        ("nova:plain:node1", ("nova", "plain", "node1", True)),
        ("nova::node1", ("nova", None, "node1", True)),
        (":east1", (None, "east1", None, True)),
        ("::node1", (None, None, "node1", True)),
        ("nova:plain:", ("nova", "plain", None, True)),
    ],
)
@pytest.mark.usefixtures("hosts")
def test_forms_of_a_zone(
    cloud: Cloud, admin: Client, zone: str, seen: tuple[str | None, str | None, str | None, bool]
) -> None:
    assert admin.post("/servers", body(availability_zone=zone)).status_code == 202
    (spec,) = specs(cloud)
    assert seen == (spec["availability_zone"], spec["wanted_host"], spec["wanted_node"], spec["skips_filters"])


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"availability_zone": "mars"}, id="no such zone"),
        pytest.param({"availability_zone": "nova:nowhere"}, id="no such host"),
        pytest.param({"availability_zone": "nova:east1"}, id="host of another zone"),
        pytest.param({"availability_zone": "east:plain"}, id="host that is in no zone"),
        pytest.param({"availability_zone": "mars:plain"}, id="host, and no such zone"),
        pytest.param({"availability_zone": "a:b:c:d"}, id="four parts"),
        pytest.param({"availability_zone": ""}, id="empty"),
        pytest.param({"availability_zone": "x" * 256}, id="long"),
        pytest.param({"availability_zone": ["nova"]}, id="a list"),
        pytest.param({"host": "nowhere"}, id="host that is not there"),
        pytest.param({"host": "east1", "availability_zone": "nova"}, id="host asked for is in another zone"),
        pytest.param({"host": "plain", "availability_zone": "nova:plain"}, id="host twice"),
        pytest.param({"hypervisor_hostname": "n", "availability_zone": "nova:plain"}, id="host and hypervisor"),
        pytest.param({"host": ""}, id="empty host"),
        pytest.param({"host": "a b"}, id="no name of a host"),
        pytest.param({"hypervisor_hostname": "x" * 256}, id="long hypervisor"),
    ],
)
@pytest.mark.usefixtures("hosts")
def test_places_that_are_none(cloud: Cloud, admin: Client, values: dict[str, Any]) -> None:
    answer = admin.post("/servers", body(**values))
    assert answer.status_code == 400, answer.json
    assert nothing_is_written(cloud)


@pytest.mark.usefixtures("hosts")
def test_servers_for_which_nothing_is_asked_go_to_the_zone_of_the_configuration(cloud: Cloud, admin: Client) -> None:
    cloud.conf.set_override("default_schedule_zone", "east")
    made = admin.post("/servers", body()).json["server"]["id"]
    assert [spec["availability_zone"] for spec in specs(cloud)] == ["east"]
    assert admin.get(f"/servers/{made}").json["server"]["pinned_availability_zone"] == "east"
    for values in ({"availability_zone": "nova"}, {"host": "plain"}, {"availability_zone": ":plain"}):
        assert admin.post("/servers", body(**values)).status_code == 202
    assert [spec["availability_zone"] for spec in specs(cloud)] == ["east", "nova", None, None]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(f"resources_{'a' * 64}:VCPU", "1", id="long suffix of resources"),
        pytest.param(f"trait_{'a' * 64}:CUSTOM_A", "required", id="long suffix of a trait"),
        pytest.param("resources.1:VCPU", "1", id="no suffix"),
        pytest.param("resources:vcpu", "1", id="small letters"),
        pytest.param("resources:FOO", "1", id="no class"),
        pytest.param("resources:VCPU", "-1", id="less than nothing"),
        pytest.param("resources:VCPU", "1.5", id="a half"),
        pytest.param("resources:VCPU", "2147483648", id="more than Placement counts"),
        pytest.param("resources:VCPU", "", id="no amount"),
        pytest.param("trait:FOO", "required", id="no trait"),
        pytest.param("trait:CUSTOM_", "required", id="no name"),
        pytest.param("trait:CUSTOM_A", "preferred", id="neither required nor forbidden"),
        pytest.param("group_policy", "both", id="no policy"),
        pytest.param("same_subtree", "_a,,_b", id="no suffixes of a subtree"),
        pytest.param("hw:cpu_policy", "some", id="no CPU policy"),
        pytest.param("hw:nothing", "1", id="unknown in a known namespace"),
    ],
)
def test_needs_that_are_none_are_refused_when_the_flavor_is_made(admin: Client, name: str, value: str) -> None:
    answer = admin.post("/flavors/1/os-extra_specs", {"extra_specs": {"hw:cpu_cores": "1", name: value}})
    assert answer.status_code == 400, answer.json
    assert name[:20] in answer.json["badRequest"]["message"]
    assert admin.get("/flavors/1/os-extra_specs").json["extra_specs"] == {}


def test_devices_by_alias_are_refused_and_nothing_is_written(cloud: Cloud, admin: Client, client: Client) -> None:
    asked = {"extra_specs": {"pci_passthrough:alias": "gpu:1"}}
    assert admin.post("/flavors/1/os-extra_specs", asked).status_code == 200
    answer = client.post("/servers", body())
    assert answer.status_code == 400
    assert "PCI alias gpu is not defined" in answer.json["badRequest"]["message"]
    assert nothing_is_written(cloud)
