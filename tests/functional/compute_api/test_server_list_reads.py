"""How lists of servers are read, seen and disturbed inside the API: rows, batches, cells that hang or falter midway."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.cells.fanout import Fanout
from nova_lite.db.repositories import build_requests, hosts, instance_lists, instances, mappings
from nova_lite.model.instance import Instance
from tests.contract.lists.oracle import Placed, World
from tests.contract.lists.suite import fill
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.functional.compute_api.factories import NOON, make_instance
from tests.functional.compute_api.test_server_lists import ids


@contextlib.contextmanager
def rows_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Collect how many rows of servers each question to a cell brings."""
    counts: list[int] = []
    with monkeypatch.context() as patch:
        for name in ("page", "names"):
            read = getattr(instance_lists, name)

            def counted(*args: Any, read: Any = read, **kwargs: Any) -> Any:
                found = read(*args, **kwargs)
                counts.append(len(found))
                return found

            patch.setattr(instance_lists, name, counted)
        yield counts


def crowd(cloud: Cloud, counts: dict[str, int]) -> list[Instance]:
    """Put many servers into cells, one cell's after another's, and return them, newest first."""
    cells = [cell_uuid for cell_uuid, count in counts.items() for _ in range(count)]
    placed = [
        Placed(make_instance(created_at=NOON + timedelta(seconds=number)), cell_uuid)
        for number, cell_uuid in enumerate(cells)
    ]
    fill(cloud, World(placed))
    return [each.server for each in reversed(placed)]


@pytest.mark.parametrize("limit", [20, 300])
@pytest.mark.parametrize("counts", [{CELL1: 350, CELL2: 350}, {CELL1: 700}], ids=["one after the other", "all in one"])
def test_no_more_rows_are_read_than_a_page_costs(
    cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int], limit: int
) -> None:
    servers = crowd(cloud, counts)
    for path in ("/servers", "/servers/detail"):
        marker: dict[str, str] = {}
        for page in range(2):
            with rows_read(monkeypatch) as read:
                found = ids(client.get(path, limit=limit, **marker))
            assert found == [server.uuid for server in servers[page * limit : (page + 1) * limit]]
            assert sum(read) <= limit * 1.1 + 100 * 3
            marker = {"marker": found[-1]}


def test_no_more_waiting_servers_are_read_than_a_page_may_hold(
    cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_instance()
    waiting = [Placed(make_instance(created_at=NOON + timedelta(seconds=number)), None) for number in range(450)] + [
        Placed(server, CELL1)
    ]
    fill(cloud, World(waiting))
    assert len(ids(client.get("/servers"))) == 451
    read: list[object] = []
    convert = build_requests._instance

    def counted(row: Any) -> Any:
        read.append(row)
        return convert(row)

    monkeypatch.setattr(build_requests, "_instance", counted)
    expected = [placed.server.uuid for placed in reversed(waiting[:-1])]
    assert ids(client.get("/servers", limit=20)) == expected[:20]
    assert ids(client.get("/servers", limit=20, marker=expected[219])) == expected[220:240]
    assert len(read) <= 21 + 1 + 21


def test_batches_of_a_fixed_size(cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.conf.set_override("instance_list_cells_batch_strategy", "fixed", group="api")
    cloud.conf.set_override("instance_list_cells_batch_fixed_size", 110, group="api")
    crowd(cloud, {CELL1: 250, CELL2: 250})
    with rows_read(monkeypatch) as read:
        assert len(ids(client.get("/servers", limit=240))) == 240
    assert max(read) == 110


def test_a_cell_that_hangs_is_waited_for_until_the_deadline_only(
    cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.conf.set_override("timeout", 3.0, group="cells")
    near, far = cloud.add_server(CELL1), cloud.add_server(CELL2)
    is_over = threading.Event()

    def hanging(get: Callable[..., Any]) -> Callable[..., Any]:
        def hang(connection: Any, uuid: str, **kwargs: Any) -> Any:
            if uuid == far.uuid:
                is_over.wait(480)
            return get(connection, uuid, **kwargs)

        return hang

    monkeypatch.setattr(instances, "get", hanging(instances.get))
    monkeypatch.setattr(hosts, "instance_with_agent", hanging(hosts.instance_with_agent))
    began = time.monotonic()
    assert client.get(f"/servers/{far.uuid}").json["server"]["status"] == "UNKNOWN"
    assert client.get(f"/servers/{far.uuid}").json["server"]["status"] == "UNKNOWN"
    assert client.get("/servers", marker=far.uuid).status_code == 503
    assert client.delete(f"/servers/{far.uuid}").status_code == 503
    cloud.conf.set_override("timeout", 480.0, group="cells")
    assert client.get(f"/servers/{near.uuid}").json["server"]["status"] == "ACTIVE"
    assert time.monotonic() - began < 400
    is_over.set()


def until_all_cells_answer(cloud: Cloud) -> None:
    """Wait until the API has looked again at a cell that refused."""
    admin = cloud.client("admin:admins")
    until = time.monotonic() + 480
    while {cell["state"] for cell in admin.get("/os-cells").json["cells"]} != {"up"}:
        assert time.monotonic() < until


@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
def test_a_cell_falling_silent_in_the_middle_ends_the_page(
    cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """What it has not told comes on the next page, if it is back by then: nothing is lost and nothing comes twice."""
    servers = crowd(cloud, {CELL1: 10, CELL2: 250})
    asked: list[object] = []
    name = "names" if path == "/servers" else "page"
    read = getattr(instance_lists, name)

    def faltering(session: Any, query: Any, *, after: Any, limit: int) -> Any:
        if "cell2" in str(session.bind.url):
            asked.append(after)
            if len(asked) == 2:
                raise errors.Unavailable("It fell silent.")
        return read(session, query, after=after, limit=limit)

    with monkeypatch.context() as patch:
        patch.setattr(instance_lists, name, faltering)
        answer = client.get(path)
    found = ids(answer)
    assert 0 < len(found) < 250
    until_all_cells_answer(cloud)
    following = answer.json["servers_links"][0]["href"].partition("/v2.1")[2]
    found += ids(client.request("GET", following))
    assert found == [server.uuid for server in servers]
    cloud.conf.set_override("list_records_by_skipping_down_cells", False, group="api")
    asked.clear()
    with monkeypatch.context() as patch:
        patch.setattr(instance_lists, name, faltering)
        assert client.get(path, limit=250).status_code == 503


@pytest.mark.parametrize("moves", ["before", "after"])
@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
def test_a_server_that_moves_into_its_cell_while_the_list_is_read_is_on_it(
    cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch, path: str, moves: str
) -> None:
    server = cloud.add_server(None)
    ask = Fanout.ask

    def asked(fanout: Fanout, *args: Any, **kwargs: Any) -> Any:
        answers = ask(fanout, *args, **kwargs) if moves == "after" else None
        with cloud.cells.get(CELL1).db.writer() as session:
            instances.add(session, server)
        with cloud.api_db.writer() as session:
            assert mappings.settle(session, server.uuid, CELL1)
        return answers or ask(fanout, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Fanout, "ask", asked)
        assert ids(client.get(path)) == [server.uuid]
    assert ids(client.get(path)) == [server.uuid]
