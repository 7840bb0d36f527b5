"""Stories of what listeners hear of all that is no server."""

import itertools
import json
from contextlib import closing
from typing import Any

from nova_lite.embedded.cloud import Cloud
from nova_lite.testing.cloud import ComputeUser, eventually
from tests.functional.compute_api.test_keypairs import KEY
from tests.functional.notifications.conftest import Heard, Listener

_names = itertools.count(1)


def _heard(listener: Listener, last: str, name: str) -> list[Heard]:
    """Return all that was told of the noun called ``name`` once ``last`` was."""
    listener.wait(lambda each: each.event_type == last and each.data.get("name") == name, f"{last} of {name}")
    noun = f"{last.partition('.')[0]}."
    told = [
        each for each in list(listener.heard) if each.event_type.startswith(noun) and "nova_object.data" in each.payload
    ]
    return [each for each in told if each.data.get("name") == name]


def test_flavors(user: ComputeUser, listener: Listener) -> None:
    name = f"told{next(_names)}"
    flavor = {"id": name, "name": name, "ram": 64, "vcpus": 1, "disk": 1, "os-flavor-access:is_public": False}
    assert user.ask("POST", "/flavors", {"flavor": flavor}).status == 200
    assert user.ask("POST", f"/flavors/{name}/os-extra_specs", {"extra_specs": {"hw:mem_page_size": "4"}}).status == 200
    assert user.ask("POST", f"/flavors/{name}/action", {"addTenantAccess": {"tenant": "demo"}}).status == 200
    assert user.ask("PUT", f"/flavors/{name}", {"flavor": {"description": "small"}}).status == 200
    assert user.ask("DELETE", f"/flavors/{name}").status == 202
    told = _heard(listener, "flavor.delete", name)
    assert [each.event_type for each in told] == ["flavor.create", *["flavor.update"] * 3, "flavor.delete"]
    assert [each.data["extra_specs"] for each in told] == [{}, *[{"hw:mem_page_size": "4"}] * 4]
    assert [each.data["projects"] for each in told] == [[], [], ["demo"], ["demo"], []]
    assert told[3].data["description"] == "small"
    assert {each.publisher.partition(":")[0] for each in told} == {"nova-api"}


def test_keypairs(user: ComputeUser, listener: Listener) -> None:
    name = f"told{next(_names)}"
    body = {"keypair": {"name": name, "type": "ssh", "public_key": KEY}}
    assert user.ask("POST", "/os-keypairs", body).status == 201
    assert user.ask("DELETE", f"/os-keypairs/{name}").status == 204
    told = _heard(listener, "keypair.delete.end", name)
    phases = [f"keypair.{action}.{phase}" for action in ("import", "delete") for phase in ("start", "end")]
    assert [each.event_type for each in told] == phases
    assert told[0].data["public_key"] == KEY


def test_keypairs_that_are_made_here_are_told_without_their_private_half(cloud: Cloud, listener: Listener) -> None:
    name = f"told{next(_names)}"
    with closing(ComputeUser(cloud.compute_url, microversion="2.91")) as user:
        made = user.ask("POST", "/os-keypairs", {"keypair": {"name": name, "type": "ssh"}})
    private = made.json["keypair"]["private_key"]
    told = _heard(listener, "keypair.create.end", name)
    assert [each.event_type for each in told] == ["keypair.create.start", "keypair.create.end"]
    assert told[1].data["fingerprint"] == made.json["keypair"]["fingerprint"]
    assert json.dumps(private) not in json.dumps(told[1].payload)


def test_aggregates(user: ComputeUser, listener: Listener) -> None:
    name = f"told{next(_names)}"
    made = user.ask("POST", "/os-aggregates", {"aggregate": {"name": name}}).json["aggregate"]
    path = f"/os-aggregates/{made['id']}"
    assert user.ask("POST", f"{path}/action", {"set_metadata": {"metadata": {"ssd": "true"}}}).status == 200
    assert user.ask("POST", f"{path}/action", {"add_host": {"host": "cell1-host1"}}).status == 200
    assert user.ask("POST", f"{path}/action", {"remove_host": {"host": "cell1-host1"}}).status == 200
    for change in ({"name": f"{name}x"}, {"name": name}, {"availability_zone": name}):
        assert user.ask("PUT", path, {"aggregate": change}).status == 200
    assert user.ask("DELETE", path).status == 200
    told = _heard(listener, "aggregate.delete.end", name)
    actions = ("create", "update_metadata", "add_host", "remove_host", "update_prop", "update_metadata", "delete")
    assert [each.event_type for each in told] == [
        f"aggregate.{action}.{phase}" for action in actions for phase in ("start", "end")
    ]
    assert (told[5].data["hosts"], told[5].data["metadata"]) == (["cell1-host1"], {"ssd": "true"})
    assert told[-1].data["metadata"] == {"ssd": "true", "availability_zone": name}
    assert {each.data["uuid"] for each in told} == {made["uuid"]}


def test_images_brought_to_an_aggregate_s_hosts(user: ComputeUser, image: str, listener: Listener) -> None:
    name = f"told{next(_names)}"
    made = user.ask("POST", "/os-aggregates", {"aggregate": {"name": name}}).json["aggregate"]
    path = f"/os-aggregates/{made['id']}"
    for host in ("cell1-host1", "cell1-host2"):
        assert user.ask("POST", f"{path}/action", {"add_host": {"host": host}}).status == 200
    assert user.ask("POST", f"{path}/images", {"cache": [{"id": image}]}).status == 202
    told = [
        each
        for each in _heard(listener, "aggregate.cache_images.end", name)
        if each.event_type.startswith("aggregate.cache_images.")
    ]
    phases = ("start", "progress", "progress", "end")
    assert [each.event_type for each in told] == [f"aggregate.cache_images.{phase}" for phase in phases]
    assert [(each.data["host"], each.data["index"], each.data["total"]) for each in told[1:3]] == [
        ("cell1-host1", 1, 2),
        ("cell1-host2", 2, 2),
    ]
    assert {(*each.data["images_cached"], *each.data["images_failed"]) for each in told[1:3]} == {(image,)}
    assert [each.publisher.partition(":")[0] for each in told[:2]] == ["nova-api", "nova-conductor"]


def test_server_groups(user: ComputeUser, image: str, listener: Listener) -> None:
    name = f"told{next(_names)}"
    group = {"name": name, "policy": "anti-affinity", "rules": {"max_server_per_host": 2}}
    made = user.ask("POST", "/os-server-groups", {"server_group": group}).json["server_group"]
    wanted = {"name": name, "flavorRef": "1", "imageRef": image, "networks": "none"}
    asked = user.ask("POST", "/servers", {"server": wanted, "os:scheduler_hints": {"group": made["id"]}})
    assert asked.status == 202
    server_id = asked.json["server"]["id"]
    assert user.ask("DELETE", f"/os-server-groups/{made['id']}").status == 204
    told = _heard(listener, "server_group.delete", name)
    assert [each.event_type for each in told] == [f"server_group.{act}" for act in ("create", "add_member", "delete")]
    assert [each.data["members"] for each in told[:2]] == [[], [server_id]]
    assert (told[0].data["policy"], told[0].data["rules"]) == ("anti-affinity", {"max_server_per_host": "2"})


def test_a_host_that_does_not_reach_its_hypervisor(cloud: Cloud, listener: Listener) -> None:
    cloud.agents["cell1-host1"].driver.on_silence(OSError("canary: cannot connect to qemu:///system"))
    told = listener.wait(lambda each: each.event_type == "libvirt.connect.error", "the silence")
    assert (told.publisher, told.priority) == ("nova-compute:cell1-host1", "error")
    assert (told.payload["nova_object.name"], told.data["ip"]) == ("LibvirtErrorPayload", "127.0.0.1")
    reason = told.data["reason"]["nova_object.data"]
    assert (reason["exception"], reason["exception_message"]) == ("OSError", "The hypervisor does not answer.")


def test_services(user: ComputeUser, listener: Listener) -> None:
    listener.wait(lambda each: each.event_type == "service.create" and each.data["host"] == "cell1-host2", "the host")
    (service,) = user.ask("GET", "/os-services?host=cell1-host2&binary=nova-compute").json["services"]
    path, disabled = f"/os-services/{service['id']}", {"status": "disabled", "disabled_reason": "told"}
    assert user.ask("PUT", path, disabled).status == 200
    assert user.ask("PUT", path, {"status": "enabled"}).status == 200
    told = listener.wait(lambda each: each.event_type == "service.update" and each.data["disabled"], "disabled")
    assert (told.data["disabled_reason"], told.data["uuid"]) == ("told", service["id"])
    assert told.publisher == "nova-compute:cell1-host2"
    listener.wait(lambda each: each.event_type == "service.update" and not each.data["disabled"], "enabled")


def test_a_service_that_is_deleted(user: ComputeUser, listener: Listener) -> None:
    """It comes back with its next heartbeat."""

    def schedulers() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = user.ask("GET", "/os-services?binary=nova-scheduler").json["services"]
        return found

    (service,) = eventually(schedulers, "the first heartbeat")
    assert user.ask("DELETE", f"/os-services/{service['id']}").status == 204
    told = listener.wait(
        lambda each: each.event_type == "service.delete" and each.data["uuid"] == service["id"], "the deletion"
    )
    assert told.publisher == f"nova-scheduler:{service['host']}"
    eventually(schedulers, "the next heartbeat")
