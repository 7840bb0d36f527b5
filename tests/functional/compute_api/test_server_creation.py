"""What can be asked when making servers, and what is refused with nothing written."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from nova_lite.db.api_tables import (
    AggregateHostRow,
    AggregateRow,
    ApiWorkflowRow,
    BuildRequestRow,
    HostMappingRow,
    InstanceMappingRow,
    QuotaLimitRow,
    RequestSpecRow,
)
from nova_lite.errors import Unavailable
from nova_lite.model.image import Image
from nova_lite.model.states import VmState
from tests.functional.compute_api.cloud import BIG_IMAGE_ID, CELL1, IMAGE_ID, QUEUED_IMAGE_ID, Client, Cloud


def body(**values: Any) -> dict[str, Any]:
    return {"server": {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none", **values}}


def nothing_is_written(cloud: Cloud) -> bool:
    tables = (InstanceMappingRow, BuildRequestRow, RequestSpecRow, ApiWorkflowRow)
    return not any(cloud.rows(cloud.api_db, table) for table in tables)


def waiting(cloud: Cloud) -> list[dict[str, Any]]:
    found = [row.instance for row in cloud.rows(cloud.api_db, BuildRequestRow)]
    return sorted(found, key=lambda each: each["launch_index"])


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"name": ""}, id="empty name"),
        pytest.param({"name": " vm"}, id="white space before the name"),
        pytest.param({"name": "a\nb"}, id="control character in the name"),
        pytest.param({"name": "x" * 256}, id="long name"),
        pytest.param({"name": 7}, id="name is a number"),
        pytest.param({"color": "red"}, id="unknown field"),
        pytest.param({"flavorRef": "404"}, id="no such flavor"),
        pytest.param({"flavorRef": "9"}, id="private flavor of others"),
        pytest.param({"flavorRef": None}, id="flavor is null"),
        pytest.param({"imageRef": "99999999-9999-4999-8999-999999999999"}, id="no such image"),
        pytest.param({"imageRef": "tiny"}, id="image by name"),
        pytest.param({"imageRef": ""}, id="no image"),
        pytest.param({"imageRef": QUEUED_IMAGE_ID}, id="image without data"),
        pytest.param({"imageRef": BIG_IMAGE_ID}, id="image bigger than the disk"),
        pytest.param({"key_name": "nobody"}, id="no such keypair"),
        pytest.param({"availability_zone": "mars"}, id="no such zone"),
        pytest.param({"metadata": {"a": 1}}, id="metadata value is a number"),
        pytest.param({"metadata": {"a/b": "1"}}, id="metadata key with a slash"),
        pytest.param({"metadata": {"a": "x" * 256}}, id="long metadata value"),
        pytest.param({"user_data": "not base64!"}, id="user data is not base64"),
        pytest.param({"user_data": "A" * 65536}, id="user data too long"),
        pytest.param({"config_drive": "perhaps"}, id="config drive is no boolean"),
        pytest.param({"networks": "some"}, id="networks is another word"),
        pytest.param({"networks": [{"uuid": "11111111-1111-4111-8111-111111111111"}]}, id="a network"),
        pytest.param({"networks": [{"port": "11111111-1111-4111-8111-111111111111"}]}, id="a port"),
        pytest.param({"min_count": 2, "max_count": 1}, id="least above most"),
        pytest.param({"min_count": 0}, id="none at all"),
        pytest.param({"max_count": "many"}, id="count is a word"),
        pytest.param({"max_count": 10**12}, id="count beyond all bounds"),
        pytest.param({"max_count": "9" * 5000}, id="count of many digits"),
        pytest.param({"hostname": "two", "max_count": 2}, id="one host name for two"),
        pytest.param({"hostname": "a b"}, id="bad host name"),
        pytest.param({"tags": ["a,b"]}, id="comma in a tag"),
        pytest.param({"tags": [f"t{number}" for number in range(51)]}, id="too many tags"),
        pytest.param({"accessIPv4": "300.1.1.1"}, id="bad address"),
        pytest.param({"accessIPv6": "fe80::1%eth0"}, id="address of one host's card"),
        pytest.param({"OS-DCF:diskConfig": "SOME"}, id="bad disk configuration"),
        pytest.param({"trusted_image_certificates": ["a"]}, id="certificates"),
    ],
)
def test_what_cannot_work_is_refused(cloud: Cloud, client: Client, values: dict[str, Any]) -> None:
    answer = client.post("/servers", body(**values))
    assert answer.status_code == 400, answer.text
    assert answer.json["badRequest"]["code"] == 400
    assert answer.json["badRequest"]["message"]
    assert nothing_is_written(cloud)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        pytest.param(b"{", {}, 400, id="malformed JSON"),
        pytest.param(b"", {}, 400, id="no body"),
        pytest.param(b"[]", {}, 400, id="a list"),
        pytest.param(b'{"server": null}', {}, 400, id="server is null"),
        pytest.param(b"{}", {}, 400, id="no server"),
        pytest.param(b'{"server": {"name": "\xff"}}', {}, 400, id="not UTF-8"),
        pytest.param(b"[" * 5000, {}, 400, id="far too deep"),
        pytest.param(json.dumps(body()).encode(), {"Content-Type": "application/xml"}, 415, id="another content type"),
        pytest.param(b" " * 200_000, {}, 413, id="oversized"),
    ],
)
def test_bad_bodies_are_refused(
    cloud: Cloud, client: Client, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = client.request("POST", "/servers", body=content, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == status
    [(name, fault)] = answer.json.items()
    assert name == {400: "badRequest", 413: "overLimit", 415: "badMediaType"}[status]
    assert fault["code"] == status
    assert nothing_is_written(cloud)


def test_each_version_knows_its_own_fields(cloud: Cloud) -> None:
    plain = {"server": {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID}}
    assert cloud.client(version="2.1").post("/servers", plain).status_code == 202
    assert cloud.client(version="2.36").post("/servers", plain).status_code == 202
    assert cloud.client(version="2.37").post("/servers", plain).status_code == 400
    for version, field, value in (
        ("2.19", "description", "d"),
        ("2.52", "tags", ["t"]),
        ("2.74", "host", "h1"),
        ("2.90", "hostname", "name"),
        ("2.94", "hostname", "name.example.org"),
    ):
        before = f"2.{int(version[2:]) - 1}"
        new = {"server": {**plain["server"], field: value, **({"networks": "auto"} if version > "2.3" else {})}}
        if version == "2.19":
            new["server"].pop("networks", None)
        assert cloud.client(version=before).post("/servers", new).status_code == 400, version
        expected = 403 if field == "host" else 202
        assert cloud.client(version=version).post("/servers", new).status_code == expected, version


def test_before_its_own_a_description_was_the_name(cloud: Cloud) -> None:
    plain = {"server": {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID}}
    cloud.client(version="2.18").post("/servers", plain)
    assert waiting(cloud)[0]["description"] == "vm"


def test_many_equal_servers(cloud: Cloud, client: Client) -> None:
    answer = client.post("/servers", body(min_count=2, max_count="3", return_reservation_id=True))
    assert answer.status_code == 202
    made = waiting(cloud)
    assert [each["display_name"] for each in made] == ["vm-1", "vm-2", "vm-3"]
    assert [each["hostname"] for each in made] == ["vm-1", "vm-2", "vm-3"]
    assert {each["reservation_id"] for each in made} == {answer.json["reservation_id"]}
    [workflow] = cloud.rows(cloud.api_db, ApiWorkflowRow)
    assert workflow.inputs == {"instance_uuids": [each["uuid"] for each in made]}


def test_as_many_as_the_quota_lets_but_no_fewer_than_the_least(cloud: Cloud, client: Client) -> None:
    cloud.conf.set_override("instances", 2, group="quota")
    answer = client.post("/servers", body(min_count=3, max_count=4))
    assert answer.status_code == 403
    assert "instances" in answer.json["forbidden"]["message"]
    assert nothing_is_written(cloud)
    assert client.post("/servers", body(min_count=1, max_count=4)).status_code == 202
    assert len(waiting(cloud)) == 2
    assert client.post("/servers", body()).status_code == 403


@pytest.mark.parametrize("resource", ["instances", "cores", "ram"])
def test_a_limit_of_the_project_counts_before_the_default(cloud: Cloud, client: Client, resource: str) -> None:
    with cloud.api_db.writer() as session:
        session.add(QuotaLimitRow(project_id="demo", user_id="", resource=resource, hard_limit=0))
    answer = client.post("/servers", body())
    assert answer.status_code == 403
    assert resource in answer.json["forbidden"]["message"]
    assert nothing_is_written(cloud)


def test_deleting_gives_the_quota_back_at_once(cloud: Cloud, client: Client) -> None:
    cloud.conf.set_override("instances", 1, group="quota")
    first = client.post("/servers", body()).json["server"]["id"]
    assert client.post("/servers", body()).status_code == 403
    client.delete(f"/servers/{first}")
    assert client.post("/servers", body()).status_code == 202


def test_racing_requests_never_pass_the_quota(cloud: Cloud) -> None:
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: cloud.client().post("/servers", body()).status_code, range(24)))
    assert sorted(answers) == [202] * 10 + [403] * 14
    assert len(cloud.rows(cloud.api_db, InstanceMappingRow)) == 10


def test_too_much_metadata_is_over_quota(cloud: Cloud, client: Client) -> None:
    metadata = {f"k{number}": "" for number in range(129)}
    assert client.post("/servers", body(metadata=metadata)).status_code == 403
    assert nothing_is_written(cloud)


def test_only_administrators_name_a_host(cloud: Cloud, client: Client, admin: Client) -> None:
    with cloud.api_db.writer() as session:
        session.add(HostMappingRow(host="h1", cell_uuid=CELL1))
        session.add(HostMappingRow(host="h2", cell_uuid=CELL1))
        session.add(AggregateRow(id=1, uuid="a", name="a", extra={"availability_zone": "z1"}))
        session.flush()
        session.add(AggregateHostRow(aggregate_id=1, host="h2"))
    cloud.forget_cells()
    assert client.post("/servers", body(availability_zone="nova:h1")).status_code == 403
    assert admin.post("/servers", body(availability_zone="nova:nowhere")).status_code == 400
    assert admin.post("/servers", body(availability_zone="nova:h2")).status_code == 400
    assert admin.post("/servers", body(availability_zone="a:b:c:d")).status_code == 400
    assert nothing_is_written(cloud)
    assert admin.post("/servers", body(availability_zone="nova:h1")).status_code == 202
    assert admin.post("/servers", body(availability_zone="z1:h2")).status_code == 202
    assert client.post("/servers", body(availability_zone="z1")).status_code == 202
    specs = [row.spec for row in cloud.rows(cloud.api_db, RequestSpecRow)]
    assert {(spec["availability_zone"], spec["wanted_host"], spec["skips_filters"]) for spec in specs} == {
        ("nova", "h1", True),
        ("z1", "h2", True),
        ("z1", None, False),
    }


def test_flavors_others_were_given_and_those_without_a_disk(cloud: Cloud, client: Client, admin: Client) -> None:
    assert admin.post("/servers", body(flavorRef="9")).status_code == 202
    assert client.post("/servers", body(flavorRef="http://example.org/v2.1/flavors/1")).status_code == 202
    assert client.post("/servers", body(flavorRef=1)).status_code == 202
    assert client.post("/servers", body(flavorRef="0")).status_code == 403
    assert admin.post("/servers", body(flavorRef="0")).status_code == 202


def test_an_image_says_what_it_needs(cloud: Cloud, client: Client) -> None:
    tiny = cloud.images.images[IMAGE_ID]
    for needs in ({"min_ram_mib": 1024}, {"min_disk_gib": 2}, {"virtual_size": 2 << 30}):
        cloud.images.images[IMAGE_ID] = replace(tiny, **needs)  # type: ignore[arg-type]
        assert client.post("/servers", body()).status_code == 400, needs
    cloud.images.images[IMAGE_ID] = replace(tiny, properties={"img_config_drive": "mandatory"})
    assert client.post("/servers", body()).status_code == 202
    assert waiting(cloud)[0]["has_config_drive"]


def test_a_config_drive_can_be_given_to_every_server(cloud: Cloud, client: Client) -> None:
    cloud.conf.set_override("force_config_drive", True)
    assert client.post("/servers", body()).status_code == 202
    assert waiting(cloud)[0]["has_config_drive"]


def test_the_image_may_also_stand_among_the_block_devices(cloud: Cloud, client: Client) -> None:
    device = {
        "uuid": IMAGE_ID,
        "source_type": "image",
        "destination_type": "local",
        "boot_index": 0,
        "delete_on_termination": True,
    }
    assert client.post("/servers", body(block_device_mapping_v2=[device])).status_code == 202
    assert client.post("/servers", body(imageRef="", block_device_mapping_v2=[device])).status_code == 400
    assert client.post("/servers", body(block_device_mapping_v2=[device, device])).status_code == 400


def test_host_names_are_made_of_names(cloud: Cloud, client: Client) -> None:
    for name in ("My Server_1.example", "日本"):
        client.post("/servers", body(name=name))
    first, second = (each["hostname"] for each in sorted(waiting(cloud), key=lambda each: each["display_name"]))
    assert first == "my-server-1-example"
    assert second.startswith("server-")


def test_hints_are_kept_and_shown(client: Client) -> None:
    answer = client.post("/servers", {**body(), "os:scheduler_hints": {"query": "x"}})
    server = client.get(f"/servers/{answer.json['server']['id']}").json["server"]
    assert server["scheduler_hints"] == {"query": "x"}


def test_an_image_service_that_is_away_is_told(cloud: Cloud, client: Client) -> None:
    def away(image_id: str, token: str | None = None) -> Image:
        raise Unavailable("The image service does not answer.")

    cloud.images.show = away  # type: ignore[method-assign]
    answer = client.post("/servers", body())
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert nothing_is_written(cloud)


def test_a_bus_that_is_away_hinders_nothing(cloud: Cloud, client: Client) -> None:
    cloud.api_bus.close()
    assert client.post("/servers", body()).status_code == 202


def test_a_database_that_is_away_is_told(cloud: Cloud, client: Client) -> None:
    user_data = base64.b64encode(b"x").decode()
    cloud.break_api()
    asked = (client.post("/servers", body(user_data=user_data)), client.get("/servers"), client.get("/servers/detail"))
    for answer in asked:
        assert answer.status_code == 503
        assert answer.json["serviceUnavailable"]["code"] == 503


def test_statements_of_one_request(cloud: Cloud, client: Client, admin: Client) -> None:
    with cloud.counted() as statements:
        uuid = client.post("/servers", body()).json["server"]["id"]
    # The flavor. Then: the lock, looked for, made and held; limits and use; mapping, request and spec; the workflow.
    assert len(statements) == 1 + 3 + 2 + 3 + 1
    with cloud.counted() as statements:
        client.post("/servers", body(min_count=5))
    assert len(statements) == 1 + 1 + 2 + 3 + 1
    with cloud.counted() as statements:
        client.get(f"/servers/{uuid}")
    assert len(statements) == 3  # the mapping, the build request, the hints
    server = cloud.add_server(CELL1, host="h1")
    with cloud.counted() as statements:
        client.get(f"/servers/{server.uuid}")
    assert len(statements) == 3  # the mapping, the instance, the hints
    with cloud.counted() as statements:
        admin.get(f"/servers/{server.uuid}")
    assert len(statements) == 3  # the instance comes with its host


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}], ids=["no type", "text"])
def test_a_body_of_no_particular_type_is_read_as_json(cloud: Cloud, headers: dict[str, str]) -> None:
    answer = cloud.client().request("POST", "/servers", body=json.dumps(body()).encode(), headers=headers)
    assert answer.status_code == 202, answer.text


def test_user_data_may_be_wrapped_at_76_characters(client: Client) -> None:
    """As ``base64 FILE`` writes it."""
    wrapped = base64.encodebytes(b"#!/bin/sh\n" * 40).decode()
    assert "\n" in wrapped.strip()
    assert client.post("/servers", body(user_data=wrapped)).status_code == 202


def test_hosts_and_names_of_guests_may_have_underscores(client: Client, admin: Client) -> None:
    assert client.post("/servers", body(hostname="a_b.example")).status_code == 202
    answer = admin.post("/servers", body(host="rack_1"))
    assert answer.status_code == 400
    assert "rack_1 could not be found" in answer.json["badRequest"]["message"]


def test_addresses_are_kept_and_shown_in_their_shortest_form(cloud: Cloud, client: Client) -> None:
    longest = "0000:0000:0000:0000:0000:babe:220.12.22.2"
    made = client.post("/servers", body(accessIPv4="192.0.2.1", accessIPv6=longest)).json["server"]["id"]
    shown = client.get(f"/servers/{made}").json["server"]
    assert (shown["accessIPv4"], shown["accessIPv6"]) == ("192.0.2.1", "::babe:dc0c:1602")
    there = cloud.add_server(vm_state=VmState.ACTIVE, host="host1").uuid
    for asked, status in ((longest, 200), ("", 400), ("192.0.2.1", 400)):
        assert client.put(f"/servers/{there}", {"server": {"accessIPv6": asked}}).status_code == status
    assert client.get(f"/servers/{there}").json["server"]["accessIPv6"] == "::babe:dc0c:1602"
