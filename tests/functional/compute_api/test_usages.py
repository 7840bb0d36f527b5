"""What projects used: hours of servers of every cell within a window, whole and in pages."""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from nova_lite.db.cell_tables import InstanceRow
from nova_lite.db.repositories import instances, usages
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.flavor import Flavor
from nova_lite.model.states import VmState
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud

WINDOW = "start=2026-01-01T00:00:00&end=2026-01-03T00:00:00"
URL = "/os-simple-tenant-usage"
BIG = Flavor("7", "m1.big", 4, 2048, 10, ephemeral_gib=2)


def _uuid(number: int) -> str:
    return f"{number:08}-0000-4000-8000-000000000000"


def _add(
    cloud: Cloud, number: int, cell: str, project: str, begun: str | None, ended: str | None = None, **more: Any
) -> None:
    """Put a server into a cell that was there from ``begun`` to ``ended``: day and hour of January."""
    launched, terminated = (moment and datetime.fromisoformat(f"2026-01-{moment}") for moment in (begun, ended))
    values: dict[str, Any] = {"launched_at": launched, **more}
    made = cloud.add_server(cell, uuid=_uuid(number), project_id=project, display_name=f"vm{number}", **values)
    if terminated is not None:
        with cloud.cells.get(cell).db.writer() as session:
            instances.mark_deleted(session, made.uuid)
            session.execute(sa.update(InstanceRow).filter_by(uuid=made.uuid).values(terminated_at=terminated))


@pytest.fixture
def busy(cloud: Cloud) -> Cloud:
    _add(cloud, 1, CELL1, "demo", "01 00:00")
    _add(cloud, 2, CELL2, "demo", "01 12:30", "02 00:30")
    _add(cloud, 3, CELL2, "demo", None, vm_state=VmState.BUILDING)
    # The disk it boots from is a volume; the flavor's is told all the same.
    root = BlockDevice("d", "v", "/dev/vda", boot_index=0)
    _add(cloud, 4, CELL1, "other", "01 06:00", vm_state=VmState.STOPPED, flavor=BIG, volumes=(root,))
    _add(cloud, 6, CELL2, "early", "01 00:00", "01 00:00")
    _add(cloud, 7, CELL1, "late", "03 00:00")
    _add(cloud, 8, CELL2, "other", "02 23:59:59.500000", "09 00:00")
    return cloud


def _usages(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["tenant_usages"]
    return found


def _but_uptimes(projects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out how long servers have been up, which is until now."""
    for project in projects:
        for usage in project["server_usages"]:
            del usage["uptime"]
    return projects


def _hours(project: dict[str, Any]) -> dict[str, float]:
    return {usage["name"]: usage["hours"] for usage in project["server_usages"]}


@pytest.mark.parametrize("version", ["2.1", "2.39", "2.40", "2.104"])
def test_figures_of_all_cells(busy: Cloud, version: str) -> None:
    admin = busy.client("admin:admins", version)
    demo, other = _usages(admin.get(f"{URL}?{WINDOW}"))
    assert demo == {
        "tenant_id": "demo",
        "total_hours": 60.0,
        "total_vcpus_usage": 60.0,
        "total_memory_mb_usage": 60.0 * 512,
        "total_local_gb_usage": 60.0,
        "start": "2026-01-01T00:00:00.000000",
        "stop": "2026-01-03T00:00:00.000000",
    }
    half_a_second = 0.5 / 3600
    assert other["tenant_id"] == "other"
    assert other["total_hours"] == pytest.approx(42 + half_a_second)
    assert other["total_vcpus_usage"] == pytest.approx(42 * 4 + half_a_second)
    assert other["total_memory_mb_usage"] == pytest.approx(42 * 2048 + half_a_second * 512)
    assert other["total_local_gb_usage"] == pytest.approx(42 * 12 + half_a_second)
    assert _usages(admin.get(f"{URL}?{WINDOW}&detailed=0")) == [demo, other]
    detailed = _usages(admin.get(f"{URL}?{WINDOW}&detailed=1"))
    assert [_hours(project) for project in detailed] == [
        {"vm1": 48.0, "vm2": 12.0},
        {"vm4": 42.0, "vm8": pytest.approx(half_a_second)},
    ]


def test_a_server_in_full(busy: Cloud, admin: Client) -> None:
    answer = admin.get(f"{URL}/demo?{WINDOW}")
    assert answer.status_code == 200
    running, ended = answer.json["tenant_usage"]["server_usages"]
    assert ended == {
        "instance_id": _uuid(2),
        "name": "vm2",
        "tenant_id": "demo",
        "flavor": "m1.tiny",
        "hours": 12.0,
        "vcpus": 1,
        "memory_mb": 512,
        "local_gb": 1,
        "started_at": "2026-01-01T12:30:00.000000",
        "ended_at": "2026-01-02T00:30:00.000000",
        "state": "terminated",
        "uptime": 12 * 3600,
    }
    assert (running["state"], running["ended_at"]) == ("active", None)
    assert running["uptime"] > 300 * 24 * 3600
    other = admin.get(f"{URL}/other?{WINDOW}").json["tenant_usage"]["server_usages"]
    assert [(usage["state"], usage["flavor"], usage["local_gb"]) for usage in other] == [
        ("stopped", "m1.big", 12),
        ("terminated", "m1.tiny", 1),
    ]


def test_a_project_without_servers_in_the_window_used_nothing(busy: Cloud, admin: Client) -> None:
    for project in ("nobody", "early", "late"):
        assert admin.get(f"{URL}/{project}?{WINDOW}").json == {"tenant_usage": {}}
    assert _usages(admin.get(f"{URL}?start=2025-01-01T00:00:00&end=2025-02-01T00:00:00")) == []


@pytest.mark.parametrize("version", ["2.1", "2.104"])
def test_without_a_window_it_is_now(busy: Cloud, version: str) -> None:
    admin = busy.client("admin:admins", version)
    for query in ("", "start=&end="):
        usage = admin.get(f"{URL}/demo?{query}").json["tenant_usage"]
        assert usage["start"] == usage["stop"]
        assert _hours(usage) == {"vm1": 0.0}
    since = admin.get(f"{URL}/demo?start=2026-01-02T12:00:00").json["tenant_usage"]
    assert since["total_hours"] > 300 * 24
    assert list(_hours(since)) == ["vm1"]


def test_nobody_has_used_tomorrow(busy: Cloud, admin: Client) -> None:
    until_now = admin.get(f"{URL}/demo?start=2026-01-02T12:00:00").json["tenant_usage"]
    until_then = admin.get(f"{URL}/demo?start=2026-01-02T12:00:00&end=2999-01-01T00:00:00").json["tenant_usage"]
    assert until_then["total_hours"] - until_now["total_hours"] < 1
    assert until_now["stop"] <= until_then["stop"] < "2999"
    never = admin.get(f"{URL}/demo?start=2998-01-01T00:00:00&end=2999-01-01T00:00:00").json["tenant_usage"]
    assert (never["total_hours"], _hours(never)) == (0.0, {"vm1": 0.0})


def test_pages_add_up(busy: Cloud, admin: Client) -> None:
    for limit in range(1, 6):
        query, seen = f"{WINDOW}&detailed=1&limit={limit}", []
        for _ in range(10):
            answer = admin.get(f"{URL}?{query}")
            names = [name for project in _usages(answer) for name in _hours(project)]
            assert 0 < len(names) <= limit
            seen += names
            if "tenant_usages_links" not in answer.json:
                break
            ((link),) = answer.json["tenant_usages_links"]
            assert link["rel"] == "next"
            query = urlsplit(link["href"]).query
            assert parse_qs(query)["detailed"] == ["1"]
        assert seen == ["vm1", "vm2", "vm4", "vm8"], limit
    first = admin.get(f"{URL}/demo?{WINDOW}&limit=1").json
    assert first["tenant_usage"]["total_hours"] == 48.0
    ((link),) = first["tenant_usage_links"]
    assert f"{URL}/demo?" in link["href"]
    second = admin.get(f"{URL}/demo?{urlsplit(link['href']).query}").json
    assert second["tenant_usage"]["total_hours"] == 12.0
    assert "tenant_usage_links" not in second
    assert admin.get(f"{URL}/demo?{WINDOW}&marker={_uuid(2)}").json == {"tenant_usage": {}}
    assert admin.get(f"{URL}?{WINDOW}&limit=0").json == {"tenant_usages": []}
    old = busy.client("admin:admins", "2.39")
    assert len(_usages(old.get(f"{URL}?{WINDOW}&limit=1&marker=nonsense"))) == 2


def test_however_many_there_are_little_is_held_at_once(
    busy: Cloud, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10, 30):
        _add(busy, number, CELL1 if number % 3 else CELL2, "demo", "02 00:00")
    old = busy.client("admin:admins", "2.1")
    at_once = _but_uptimes(_usages(old.get(f"{URL}?{WINDOW}&detailed=1")))
    sizes: list[int] = []
    read = usages.batch

    def counted(*args: Any, **kwargs: Any) -> list[usages.ServerTime]:
        found = read(*args, **{**kwargs, "limit": 2})
        sizes.append(len(found))
        return found

    monkeypatch.setattr(usages, "batch", counted)
    monkeypatch.setattr("nova_lite.api.services.usages._BATCH", 2)
    assert _but_uptimes(_usages(old.get(f"{URL}?{WINDOW}&detailed=1"))) == at_once
    assert max(sizes) == 2
    assert sum(sizes) == 24


def test_while_a_cell_does_not_answer_there_are_no_figures(busy: Cloud) -> None:
    busy.silence_cell(CELL2)
    for version in ("2.1", "2.104"):
        admin = busy.client("admin:admins", version)
        for path in (URL, f"{URL}/demo", f"{URL}/late"):
            answer = admin.get(f"{path}?{WINDOW}")
            assert answer.status_code == 503
            assert "cells" in answer.json["serviceUnavailable"]["message"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("start=x", "start"),
        ("end=2026-01-01", "end"),
        ("start=2026-01-01T00:00", "start"),
        ("start=2026-01-01 00:00:00", "start"),
        ("start=2026-01-01T00:00:00Z", "start"),
        ("start=2026-13-01T00:00:00", "start"),
        ("start=%D9%A2026-01-01T00:00:00", "start"),
        ("start=2026-01-02T00:00:00&end=2026-01-01T00:00:00", "start"),
        ("start=2026-01-02T00:00:00&end=2026-01-02T00:00:00", "start"),
        ("start=9999-12-31T23:59:59", "start"),
        ("end=0001-01-01T00:00:00", "start"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        (f"marker={_uuid(99)}", "marker"),
        ("marker=x", "marker"),
        ("color=red", "color"),
    ],
)
def test_bad_queries(busy: Cloud, admin: Client, query: str, named: str) -> None:
    for path in (URL, f"{URL}/demo"):
        answer = admin.get(f"{path}?{query}")
        assert answer.status_code == 400, path
        assert named in answer.json["badRequest"]["message"]


def test_what_versions_take(busy: Cloud, admin: Client) -> None:
    before = busy.client("admin:admins", "2.74")
    assert before.get(f"{URL}?{WINDOW}&color=red").status_code == 200
    assert before.get(f"{URL}/demo?{WINDOW}&detailed=1").status_code == 200
    assert admin.get(f"{URL}/demo?{WINDOW}&detailed=1").status_code == 400
    for query in ("start=2026-01-01T00:00:00.5&end=2026-01-03T00:00:00", "start=2026-01-01 00:00:00.5"):
        assert admin.get(f"{URL}?{query}").status_code == 200
    twice = f"{WINDOW}&start=2026-01-02T00:00:00&end=2026-01-02T12:00:00"
    assert _usages(admin.get(f"{URL}?{twice}")) == _usages(admin.get(f"{URL}?{WINDOW}"))
    assert _usages(admin.get(f"{URL}?start=0001-01-01T00:00:00&end=9999-12-31T23:59:59&detailed=x"))


def test_who_sees_whose(busy: Cloud, client: Client, admin: Client) -> None:
    assert client.get(f"{URL}?{WINDOW}").status_code == 403
    assert client.get(f"{URL}/other?{WINDOW}").status_code == 403
    own, shown = (each.get(f"{URL}/demo?{WINDOW}").json["tenant_usage"] for each in (client, admin))
    assert own["server_usages"]
    assert _but_uptimes([own]) == _but_uptimes([shown])
    # Another project's server cannot be told from none.
    assert client.get(f"{URL}/demo?{WINDOW}&marker={_uuid(4)}").status_code == 400
