"""How a server's host was chosen: for its project in numbers, for administrators by name."""

from typing import Any

from nova_lite.db.columns import utcnow
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.instance import Fault
from nova_lite.model.states import VmState
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud

_STAGES = [
    {"name": "Placement", "entered": 3, "left": 2, "reasons": {}, "hosts": {}},
    {
        "name": "Enabled",
        "entered": 2,
        "left": 1,
        "reasons": {"disabled: new disk": 1},
        "hosts": {"h2": "disabled: new disk"},
    },
]
_NEEDS: dict[str, Any] = {"resources": {"VCPU": 1}, "required": [], "forbidden": [], "zone": None, "host": None}
_FOUND: dict[str, Any] = {
    "needs": _NEEDS,
    "stages": _STAGES,
    "nearest": [],
    "ranking": [{"host": "h1", "weight": 1.0, "weighed": {"RAM": 1024.0}}],
}
_REFUSED: dict[str, Any] = {"needs": _NEEDS, "stages": [], "nearest": ["3 hosts lack 1 VCPU"], "ranking": []}


def _shown(caller: Client, uuid: str) -> dict[str, Any]:
    answer = caller.get(f"/servers/{uuid}/scheduling")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json["scheduling"]
    return found


def test_administrators_see_hosts_and_users_how_many(cloud: Cloud, client: Client, admin: Client) -> None:
    uuid = cloud.add_server(scheduling=_FOUND, host="h1").uuid
    assert _shown(admin, uuid) == {"state": "placed", "host": "h1", "refusal": None, "explanation": _FOUND}
    seen = _shown(client, uuid)
    assert (seen["state"], seen["host"]) == ("placed", None)
    assert seen["explanation"]["needs"] == _NEEDS
    assert seen["explanation"]["stages"][1] == {"name": "Enabled", "entered": 2, "left": 1, "reasons": {}}
    assert "h1" not in str(seen)
    assert "h2" not in str(seen)
    assert _shown(cloud.client(version="2.1"), uuid) == seen


def test_a_server_that_got_no_host_tells_why(cloud: Cloud, client: Client) -> None:
    fault = Fault(500, "No valid host was found. 3 hosts are too small.", utcnow(), "for administrators")
    uuid = cloud.add_server(CELL0_UUID, scheduling=_REFUSED, vm_state=VmState.ERROR, host=None, fault=fault).uuid
    assert _shown(client, uuid) == {
        "state": "refused",
        "host": None,
        "refusal": fault.message,
        "explanation": _REFUSED,
    }


def test_a_server_on_its_way_has_nothing_to_tell_yet(cloud: Cloud, client: Client) -> None:
    assert _shown(client, cloud.add_server(None).uuid) == {
        "state": "waiting",
        "host": None,
        "refusal": None,
        "explanation": None,
    }


def test_a_server_older_than_its_explanation_has_none(cloud: Cloud, client: Client) -> None:
    assert _shown(client, cloud.add_server(scheduling={}).uuid)["explanation"] is None


def test_others_do_not_know_it(cloud: Cloud, client: Client) -> None:
    uuid = cloud.add_server(scheduling=_FOUND).uuid
    assert cloud.client("bob:others").get(f"/servers/{uuid}/scheduling").status_code == 404
    assert client.get("/servers/11111111-2222-4333-8444-555555555555/scheduling").status_code == 404
    assert client.get("/servers/nonsense/scheduling").status_code == 404
    assert client.get(f"/servers/{uuid}/scheduling?verbose=1").status_code == 400


def test_a_cell_that_does_not_answer_is_said_to(cloud: Cloud, client: Client) -> None:
    uuid = cloud.add_server(CELL2, scheduling=_FOUND).uuid
    cloud.break_cell(CELL2)
    assert client.get(f"/servers/{uuid}/scheduling").status_code == 503
    assert _shown(client, cloud.add_server(CELL1, scheduling=_FOUND).uuid)["state"] == "placed"
