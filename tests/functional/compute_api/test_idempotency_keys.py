"""Requests that clients name by an ``Idempotency-Key``: carried out once, however often they are sent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.api.services import server_actions, server_creation
from nova_lite.db.api_tables import BuildRequestRow, IdempotencyKeyRow
from nova_lite.db.cell_tables import InstanceActionRow, InstanceRow
from nova_lite.model.states import VmState
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Client, Cloud

KEY = "5c1d7a2e-terraform"


def wanted(name: str = "vm") -> dict[str, Any]:
    return {"server": {"name": name, "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none"}}


def named(client: Client, path: str, body: object, name: str = KEY) -> Any:
    return client.request("POST", path, json=body, headers={"Idempotency-Key": name})


def count(cloud: Cloud) -> int:
    return len(cloud.rows(cloud.api_db, BuildRequestRow))


def lose_lease(cloud: Cloud) -> None:
    """Have the server of the API that works on a named request be dead for long."""
    with cloud.api_db.writer() as session:
        session.execute(sa.update(IdempotencyKeyRow).values(lease_until=0.0))


def lose_answer(cloud: Cloud) -> None:
    """Have it have died before it could note what it answered."""
    lose_lease(cloud)
    with cloud.api_db.writer() as session:
        session.execute(sa.update(IdempotencyKeyRow).values(answer=None))


class TestServers:
    def test_the_second_one_is_answered_like_the_first_and_makes_nothing(self, cloud: Cloud, client: Client) -> None:
        first = named(client, "/servers", wanted())
        again = named(client, "/servers", wanted())
        assert (first.status_code, again.status_code) == (202, 202)
        assert again.json == first.json
        assert again.headers["Location"] == first.headers["Location"]
        assert again.headers["Content-Type"] == first.headers["Content-Type"]
        assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
        assert again.headers["X-Compute-Request-Id"] != first.headers["X-Compute-Request-Id"]
        assert count(cloud) == 1

    def test_the_order_of_fields_does_not_matter(self, cloud: Cloud, client: Client) -> None:
        named(client, "/servers", wanted())
        turned = {"server": dict(reversed(wanted()["server"].items()))}
        assert named(client, "/servers", turned).headers["Idempotent-Replayed"] == "true"
        assert count(cloud) == 1

    def test_another_request_of_the_same_name_is_refused(self, cloud: Cloud, client: Client) -> None:
        named(client, "/servers", wanted())
        other = named(client, "/servers", wanted("other"))
        assert other.status_code == 422
        assert "used for another request" in other.json["computeFault"]["message"]
        assert named(client, "/servers?dry_run=1", wanted()).status_code == 422
        assert count(cloud) == 1

    def test_names_are_their_users_own(self, cloud: Cloud, client: Client) -> None:
        first = named(client, "/servers", wanted()).json["server"]["id"]
        others = [cloud.client("bob:demo"), cloud.client("alice:other")]
        made = {named(other, "/servers", wanted()).json["server"]["id"] for other in others}
        assert len(made | {first}) == 3

    def test_without_a_name_each_one_makes_a_server(self, cloud: Cloud, client: Client) -> None:
        for _ in range(2):
            assert client.post("/servers", wanted()).status_code == 202
        assert count(cloud) == 2
        assert cloud.rows(cloud.api_db, IdempotencyKeyRow) == []

    def test_what_was_refused_may_be_asked_again(self, cloud: Cloud, client: Client) -> None:
        image = cloud.images.images.pop(IMAGE_ID)
        assert named(client, "/servers", wanted()).status_code == 400
        cloud.images.images[IMAGE_ID] = image
        again = named(client, "/servers", wanted())
        assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (202, None)

    def test_many_at_once_make_one(self, cloud: Cloud, client: Client) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: named(client, "/servers", wanted()).status_code, range(8)))
        assert 202 in answers
        assert set(answers) <= {202, 409}
        assert count(cloud) == 1

    def test_one_under_way_is_waited_for(self, cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        second = []
        carry_out = server_creation.ServerCreationService.create

        def create(self: Any, *args: Any) -> Any:
            second.append(named(client, "/servers", wanted()))
            return carry_out(self, *args)

        monkeypatch.setattr(server_creation.ServerCreationService, "create", create)
        assert named(client, "/servers", wanted()).status_code == 202
        assert second[0].status_code == 409
        assert "being carried out" in second[0].json["conflictingRequest"]["message"]

    def test_one_whose_server_died_before_it_did_anything_is_carried_out(
        self, cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*args: Any) -> None:
            raise RuntimeError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(server_creation.ServerCreationService, "create", die)
            assert named(client, "/servers", wanted()).status_code == 500
        again = named(client, "/servers", wanted())
        assert (again.status_code, count(cloud)) == (202, 1)
        assert named(client, "/servers", wanted()).json == again.json

    def test_one_whose_answer_is_lost_is_not_carried_out_again(self, cloud: Cloud, client: Client) -> None:
        made = named(client, "/servers", wanted())
        lose_answer(cloud)
        again = named(client, "/servers", wanted())
        assert again.status_code == 409
        message = again.json["conflictingRequest"]["message"]
        assert made.json["server"]["id"] in message
        assert made.headers["X-Compute-Request-Id"] in message
        assert count(cloud) == 1

    def test_a_name_is_forgotten_in_the_end(self, cloud: Cloud, client: Client) -> None:
        named(client, "/servers", wanted())
        with cloud.api_db.writer() as session:
            session.execute(sa.update(IdempotencyKeyRow).values(expires_at=0.0))
        again = named(client, "/servers", wanted())
        assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (202, None)
        assert count(cloud) == 2
        assert len(cloud.rows(cloud.api_db, IdempotencyKeyRow)) == 1

    def test_nothing_of_the_answer_or_the_name_is_readable_in_the_database(self, cloud: Cloud, client: Client) -> None:
        answer = named(client, "/servers", wanted()).json["server"]
        (row,) = cloud.rows(cloud.api_db, IdempotencyKeyRow)
        kept = f"{row.digest} {row.fingerprint} {row.answer}"
        assert not [secret for secret in (answer["adminPass"], answer["id"], KEY) if secret in kept]


class TestActions:
    def test_an_action_is_carried_out_once(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(vm_state=VmState.ACTIVE, host="c1-h1").uuid
        first, again = (named(client, f"/servers/{server}/action", {"rescue": {}}) for _ in range(2))
        assert (first.status_code, again.status_code) == (200, 200)
        assert again.json == first.json
        assert len(cloud.rows(cloud.cells.get(CELL1).db, InstanceActionRow)) == 1
        # Without a name the same thing is refused: the server is busy.
        assert client.post(f"/servers/{server}/action", {"rescue": {}}).status_code == 409

    def test_the_same_name_for_another_server_is_refused(self, cloud: Cloud, client: Client) -> None:
        one, other = (cloud.add_server(vm_state=VmState.ACTIVE, host="c1-h1").uuid for _ in range(2))
        assert named(client, f"/servers/{one}/action", {"os-stop": None}).status_code == 202
        assert named(client, f"/servers/{other}/action", {"os-stop": None}).status_code == 422

    def test_one_whose_answer_is_lost_is_not_carried_out_again(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(vm_state=VmState.ACTIVE, host="c1-h1").uuid
        first = named(client, f"/servers/{server}/action", {"os-stop": None})
        lose_answer(cloud)
        again = named(client, f"/servers/{server}/action", {"os-stop": None})
        assert (first.status_code, again.status_code) == (202, 409)
        path = f"/servers/{server}/os-instance-actions/{first.headers['X-Compute-Request-Id']}"
        assert path in again.json["conflictingRequest"]["message"]
        assert client.get(path).status_code == 200

    def test_one_that_did_nothing_is_carried_out_again(
        self, cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = cloud.add_server(vm_state=VmState.ACTIVE, host="c1-h1").uuid

        def die(*args: Any) -> None:
            raise RuntimeError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(server_actions.ServerActionService, "rescue", die)
            assert named(client, f"/servers/{server}/action", {"rescue": {}}).status_code == 500
        assert named(client, f"/servers/{server}/action", {"rescue": {}}).status_code == 200


class TestNames:
    @pytest.mark.parametrize("name", ["", "x" * 256, "caf\xe9"])
    def test_a_bad_name_is_refused_and_nothing_done(self, cloud: Cloud, client: Client, name: str) -> None:
        refused = named(client, "/servers", wanted(), name)
        assert (refused.status_code, count(cloud)) == (400, 0)
        assert "Idempotency-Key" in refused.json["badRequest"]["message"]

    def test_a_control_character_is_refused(self, cloud: Cloud, client: Client) -> None:
        refused = named(client, "/servers", wanted(), "a\x7fb")
        assert (refused.status_code, count(cloud)) == (400, 0)
        assert "Idempotency-Key" in refused.json["badRequest"]["message"]

    def test_whatever_else_is_posted_refuses_it(self, client: Client) -> None:
        refused = named(client, "/os-keypairs", {"keypair": {"name": "key"}})
        assert refused.status_code == 400

    def test_other_methods_do_not_look_at_it(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(vm_state=VmState.ACTIVE, host="c1-h1").uuid
        assert client.request("GET", f"/servers/{server}", headers={"Idempotency-Key": KEY}).status_code == 200
        assert cloud.rows(cloud.api_db, IdempotencyKeyRow) == []


class TestPolicy:
    """Roles that callers name themselves: who loses one hears no more than those who never had it."""

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Iterator[Cloud]:
        made = Cloud(tmp_path, names_roles=True)
        yield made
        made.close()

    def ask(self, client: Client, path: str, body: object, roles: str) -> Any:
        headers = {"Idempotency-Key": KEY, "X-Roles": roles}
        return client.request("POST", path, json=body, headers=headers)

    def test_who_lost_their_role_hears_no_old_answer(self, cloud: Cloud, client: Client) -> None:
        made = self.ask(client, "/servers", wanted(), "member,reader")
        refused = self.ask(client, "/servers", wanted(), "reader")
        assert (made.status_code, refused.status_code) == (202, 403)
        assert made.json["server"]["adminPass"] not in refused.text
        assert self.ask(client, "/servers", wanted(), "member,reader").json == made.json

    def test_nor_does_who_may_do_the_same_to_their_own(self, cloud: Cloud) -> None:
        """An administrator rescued another project's server, and is an administrator no more."""
        server = cloud.add_server(vm_state=VmState.ACTIVE, host="c1-h1").uuid
        other, path = cloud.client("bob:other"), f"/servers/{server}/action"
        assert self.ask(other, path, {"rescue": {}}, "admin").status_code == 200
        assert self.ask(other, path, {"rescue": {}}, "member,reader").status_code == 403
        assert self.ask(other, path, {"rescue": {}}, "admin").headers["Idempotent-Replayed"] == "true"

    def test_an_answer_outlives_its_server(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(vm_state=VmState.ACTIVE, host="c1-h1").uuid
        path = f"/servers/{server}/action"
        assert self.ask(client, path, {"os-stop": None}, "member,reader").status_code == 202
        with cloud.cells.get(CELL1).db.writer() as session:
            session.execute(sa.update(InstanceRow).values(deleted=True))
        again = self.ask(client, path, {"os-stop": None}, "member,reader")
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
        assert self.ask(client, path, {"os-stop": None}, "reader").status_code == 403

    @pytest.mark.parametrize("action", [None, "os-stop", "os-resetState", "no such action"])
    def test_what_is_refused_writes_nothing(self, cloud: Cloud, client: Client, action: str | None) -> None:
        server = cloud.add_server(vm_state=VmState.ACTIVE, host="c1-h1").uuid
        path, body = ("/servers", wanted()) if action is None else (f"/servers/{server}/action", {action: None})
        with cloud.counted() as statements:
            refused = self.ask(client, path, body, "reader")
        assert refused.status_code == (400 if action == "no such action" else 403)
        assert action == "no such action" or [each for each in statements if not each.startswith("SELECT")] == []
        assert cloud.rows(cloud.api_db, IdempotencyKeyRow) == []
