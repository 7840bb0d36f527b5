"""Rehearsing a request: all is checked, the scheduler is asked, nothing is written."""

from collections.abc import Callable
from typing import Any

import pytest

from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.errors import Unavailable
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import Decision, Placed, RequestSpec, Selection
from nova_lite.model.states import VmState
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Client, Cloud
from tests.functional.compute_api.decisions import have_decided
from tests.functional.compute_api.test_server_creation import body, nothing_is_written

_EXPLAINED: dict[str, Any] = {
    "needs": {"resources": {"VCPU": 1}, "required": [], "forbidden": [], "zone": None, "host": None},
    "stages": [{"name": "Placement", "entered": 2, "left": 2, "reasons": {}, "hosts": {}}],
    "nearest": [],
    "ranking": [{"host": "h1", "weight": 1.0, "weighed": {}}],
}
_CHOICE = (Selection("h1", "n1", "h1.lan", CELL1, "nova"), Selection("h2", "n2", "h2.lan", CELL1, "nova"))

Answer = Callable[[RequestSpec, int], Decision]


@pytest.fixture
def asked(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> list[tuple[RequestSpec, int]]:
    """What the scheduler was asked; it finds the same place for every server."""
    questions: list[tuple[RequestSpec, int]] = []

    def rehearse(spec: RequestSpec, count: int) -> Decision:
        questions.append((spec, count))
        return Decision(tuple(Placed(str(number), _CHOICE, _EXPLAINED) for number in range(count)))

    have_decided(cloud, monkeypatch, "rehearse", rehearse)
    return questions


def _rehearsed(caller: Client, **values: Any) -> dict[str, Any]:
    answer = caller.post("/servers?dry_run=1", body(**values))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json["dry_run"]
    return found


def test_administrators_see_the_hosts(cloud: Cloud, admin: Client, asked: list[tuple[RequestSpec, int]]) -> None:
    found = _rehearsed(admin, min_count=2, max_count=2)
    assert found == {
        "would_succeed": True,
        "quota": {"allowed": True, "reason": None},
        "refusal": None,
        "servers": [
            {
                "availability_zone": "nova",
                "host": "h1",
                "hypervisor_hostname": "h1.lan",
                "cell": CELL1,
                "alternates": [{"host": "h2", "hypervisor_hostname": "h2.lan", "cell": CELL1}],
            }
        ]
        * 2,
        "explanation": _EXPLAINED,
    }
    ((spec, count),) = asked
    assert (spec.flavor.flavor_id, count) == ("1", 2)
    assert nothing_is_written(cloud)


def test_users_see_whether_and_where_about(cloud: Cloud, client: Client, asked: list[tuple[RequestSpec, int]]) -> None:
    found = _rehearsed(client)
    assert found["servers"] == [{"availability_zone": "nova"}]
    assert "h1" not in str(found)
    assert _rehearsed(cloud.client(version="2.37"))["would_succeed"]
    assert nothing_is_written(cloud)


def test_over_quota_is_an_answer(cloud: Cloud, client: Client, asked: list[tuple[RequestSpec, int]]) -> None:
    cloud.conf.set_override("cores", 0, group="quota")
    found = _rehearsed(client)
    assert not found["would_succeed"]
    assert not found["quota"]["allowed"]
    assert "cores" in found["quota"]["reason"]
    assert len(found["servers"]) == 1, "it is told as well where the server would go"


def test_no_host_is_an_answer(cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Decision(refusal="No valid host was found. No host.", explanation={**_EXPLAINED, "ranking": []})
    have_decided(cloud, monkeypatch, "rehearse", lambda spec, count: refused)
    found = _rehearsed(client)
    assert (found["would_succeed"], found["refusal"]) == (False, "No valid host was found. No host.")
    assert found["explanation"]["needs"] == _EXPLAINED["needs"]


def test_only_some_of_those_asked_for(cloud: Cloud, client: Client, asked: list[tuple[RequestSpec, int]]) -> None:
    cloud.conf.set_override("instances", 2, group="quota")
    found = _rehearsed(client, min_count=1, max_count=5)
    assert (found["would_succeed"], len(found["servers"])) == (True, 2)


@pytest.mark.parametrize(
    ("query", "values", "status"),
    [
        ("dry_run=perhaps", {}, 400),
        ("dry_run=1&dry_run=1", {}, 400),
        ("dry_run=1", {"flavorRef": "nope"}, 400),
        ("dry_run=1", {"name": ""}, 400),
        ("dry_run=1", {"availability_zone": "nova:h1"}, 403),
    ],
)
def test_what_is_refused_is_refused_just_the_same(
    cloud: Cloud, client: Client, asked: list[tuple[RequestSpec, int]], query: str, values: dict[str, Any], status: int
) -> None:
    assert client.post(f"/servers?{query}", body(**values)).status_code == status
    assert not asked
    assert nothing_is_written(cloud)


def test_no_scheduler_no_rehearsal(cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(spec: RequestSpec, count: int) -> Decision:
        raise Unavailable("No answer from scheduler in time.")

    have_decided(cloud, monkeypatch, "rehearse", silent)
    assert client.post("/servers?dry_run=true", body()).status_code == 503
    assert nothing_is_written(cloud)


def test_a_rehearsal_that_is_none_is_the_real_thing(cloud: Cloud, client: Client) -> None:
    assert client.post("/servers?dry_run=0", body()).status_code == 202
    assert not nothing_is_written(cloud)


class TestMoves:
    """Rehearsing what chooses a host for a server that is there."""

    @pytest.fixture
    def sought(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> list[tuple[RequestSpec, str]]:
        """What the scheduler was asked; it finds the same places for every server."""
        questions: list[tuple[RequestSpec, str]] = []

        def choose(spec: RequestSpec, uuid: str) -> Decision:
            questions.append((spec, uuid))
            return Decision((Placed(uuid, _CHOICE, _EXPLAINED),))

        have_decided(cloud, monkeypatch, "choose", choose)
        return questions

    def rehearsed(self, caller: Client, server: Instance, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
        answer = caller.post(f"/servers/{server.uuid}/action?dry_run=1", body)
        assert answer.status_code == status, answer.text
        (found,) = answer.json.values()
        return dict(found)

    def unchanged(self, cloud: Cloud, server: Instance) -> bool:
        is_free = cloud.instance(server.uuid).task_state is None
        return is_free and not cloud.rows(cloud.api_db, ApiWorkflowRow)

    def server(self, cloud: Cloud, vm_state: VmState = VmState.ACTIVE, **values: Any) -> Instance:
        return cloud.add_server(CELL1, vm_state=vm_state, **values)

    @pytest.mark.parametrize(
        "body",
        [
            {"resize": {"flavorRef": "2"}},
            {"migrate": None},
            {"os-migrateLive": {"host": None, "block_migration": "auto"}},
        ],
        ids=str,
    )
    def test_administrators_see_the_hosts(
        self, cloud: Cloud, admin: Client, sought: list[tuple[RequestSpec, str]], body: dict[str, Any]
    ) -> None:
        server = self.server(cloud, host="h0", node="n0", node_name="h0.lan")
        found = self.rehearsed(admin, server, body)
        assert (found["would_succeed"], found["refusal"], found["explanation"]) == (True, None, _EXPLAINED)
        (place,) = found["servers"]
        assert (place["host"], [each["host"] for each in place["alternates"]]) == ("h1", ["h2"])
        ((spec, uuid),) = sought
        assert (uuid, spec.within_cell, spec.not_on) == (server.uuid, CELL1, ("h0",))
        assert spec.flavor.flavor_id == ("2" if "resize" in body else "1")
        assert self.unchanged(cloud, server)

    def test_users_see_whether_they_may(
        self, cloud: Cloud, client: Client, sought: list[tuple[RequestSpec, str]]
    ) -> None:
        cloud.conf.set_override("cores", 1, group="quota")
        server = self.server(cloud, host="h0", node="n0", node_name="h0.lan")
        found = self.rehearsed(client, server, {"resize": {"flavorRef": "2"}})
        assert (found["would_succeed"], found["quota"]["allowed"]) == (False, False)
        assert "cores" in found["quota"]["reason"]
        assert found["servers"] == [{"availability_zone": "nova"}]
        assert self.unchanged(cloud, server)

    def test_what_is_on_the_shelf_may_be_asked_for_a_zone(
        self, cloud: Cloud, client: Client, sought: list[tuple[RequestSpec, str]]
    ) -> None:
        server = self.server(cloud, VmState.SHELVED_OFFLOADED, shelved_image=IMAGE_ID)
        found = self.rehearsed(client, server, {"unshelve": {"availability_zone": "nova"}})
        assert found["would_succeed"]
        ((spec, _),) = sought
        assert (spec.availability_zone, spec.within_cell, spec.not_on) == ("nova", CELL1, ())
        assert self.unchanged(cloud, server)

    def test_no_host_is_an_answer(self, cloud: Cloud, admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        refused = Decision(refusal="No valid host was found. No host.", explanation={**_EXPLAINED, "ranking": []})
        have_decided(cloud, monkeypatch, "choose", lambda spec, uuid: refused)
        found = self.rehearsed(admin, self.server(cloud, host="h0", node="n0", node_name="h0.lan"), {"migrate": None})
        assert (found["would_succeed"], found["refusal"]) == (False, "No valid host was found. No host.")

    @pytest.mark.parametrize(
        ("vm_state", "body", "status"),
        [
            (VmState.ACTIVE, {"os-stop": None}, 400),
            (VmState.ACTIVE, {"shelve": None}, 400),
            (VmState.SHELVED, {"unshelve": None}, 400),
            (VmState.PAUSED, {"migrate": None}, 409),
            (VmState.ACTIVE, {"resize": {"flavorRef": "1"}}, 400),
            (VmState.ACTIVE, {"resize": {}}, 400),
            (VmState.ACTIVE, {"levitate": None}, 400),
        ],
        ids=str,
    )
    def test_what_is_refused_is_refused_just_the_same(
        self,
        cloud: Cloud,
        admin: Client,
        sought: list[tuple[RequestSpec, str]],
        vm_state: VmState,
        body: dict[str, Any],
        status: int,
    ) -> None:
        server = self.server(cloud, vm_state, host="h0", node="n0", node_name="h0.lan", shelved_image=IMAGE_ID)
        self.rehearsed(admin, server, body, status)
        assert not sought
        assert self.unchanged(cloud, server)
