"""How every cell is: for administrators, and at any time."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nova_lite import concurrency
from nova_lite.api.services import cells
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import mappings
from nova_lite.model.host import CELL0_UUID
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.functional.compute_api.machines import add_machines


def _cells(caller: Client) -> dict[str, dict[str, Any]]:
    answer = caller.get("/os-cells")
    assert answer.status_code == 200, answer.text
    return {cell["uuid"]: cell for cell in answer.json["cells"]}


def test_every_cell_is_shown_with_what_is_in_it(cloud: Cloud, admin: Client) -> None:
    add_machines(cloud)
    for _ in range(3):
        cloud.add_server(CELL1)
    cloud.add_server(None)

    began = time.monotonic()
    shown = _cells(admin)
    took_ms = (time.monotonic() - began) * 1000

    assert list(shown) == [CELL0_UUID, CELL1, CELL2]
    latency = shown[CELL1].pop("latency_ms")
    assert 0 <= latency <= took_ms + 0.1
    assert shown[CELL1] == {
        "uuid": CELL1,
        "name": "cell1",
        "status": "enabled",
        "state": "up",
        "hosts": 2,
        "hosts_up": 2,
        "conductors_up": 1,
        "instances": 3,
        "down_since": None,
        "last_error": None,
    }
    assert (shown[CELL0_UUID]["hosts"], shown[CELL0_UUID]["conductors_up"]) == (0, 0)
    # In every microversion alike.
    assert _cells(cloud.client("admin:admins", "2.1")).keys() == shown.keys()


def test_a_cell_that_does_not_answer_is_shown_with_the_reason(
    cloud: Cloud, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_machines(cloud)
    before = _cells(admin)
    cloud.silence_cell(CELL2)

    shown = _cells(admin)

    assert {uuid: cell["state"] for uuid, cell in shown.items()} == {CELL0_UUID: "up", CELL1: "up", CELL2: "down"}
    dead = shown[CELL2]
    assert dead["last_error"] == "The database does not answer."
    since = datetime.fromisoformat(dead["down_since"]).replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - since).total_seconds()) < 600
    assert dead["latency_ms"] == before[CELL2]["latency_ms"], "that of its last answer"
    assert (dead["hosts"], dead["hosts_up"], dead["conductors_up"]) == (1, None, None)
    later = timedelta(hours=1)
    monkeypatch.setattr(concurrency, "monotonic", lambda: time.monotonic() + later.total_seconds())
    monkeypatch.setattr(cells, "utcnow", lambda: utcnow() + later)
    again = _cells(admin)[CELL2]
    drift = datetime.fromisoformat(again["down_since"]).replace(tzinfo=UTC) - since
    assert abs(drift) < later / 2, "since it fell silent, not since it was looked at"


def test_a_disabled_cell_is_up_and_a_removed_one_is_gone(cloud: Cloud, admin: Client) -> None:
    with cloud.api_db.writer() as session:
        mappings.change_cell(session, replace(mappings.cell(session, CELL2), is_disabled=True))
    cloud.forget_cells()
    shown = _cells(admin)
    assert (shown[CELL2]["status"], shown[CELL2]["state"]) == ("disabled", "up")

    with cloud.api_db.writer() as session:
        mappings.remove_cell(session, CELL2)
    cloud.forget_cells()
    assert list(_cells(admin)) == [CELL0_UUID, CELL1]


def test_only_administrators_look_and_nobody_asks_for_more(client: Client, admin: Client) -> None:
    assert client.get("/os-cells").status_code == 403
    assert admin.get("/os-cells?name=cell1").status_code == 400
    assert admin.post("/os-cells", {}).status_code == 404
