"""Quotas are exact: whatever many clients of several API processes ask at once, no limit is passed and none is wasted.

Real servers only: SQLite, with one writer, could not show it. A third of the cells is dead throughout.
"""

import contextlib
import itertools
import multiprocessing
import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

import falcon.testing
import pytest
import sqlalchemy as sa

from nova_lite import config
from nova_lite.api import app
from nova_lite.cells.registry import Cells
from nova_lite.db.api_tables import FlavorRow, InstanceMappingRow, KeypairRow, ServerGroupRow
from nova_lite.db.repositories import mappings, quotas, server_groups
from nova_lite.model.host import Cell
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database
from tests.functional.compute_api.cloud import IMAGE_ID, FakeImages
from tests.integration.stack.stock import Server, Stock

AT_ONCE = 100
PROCESSES = 2
THREADS = 16
DEAD = "33333333-3333-4333-8333-333333333333"
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOY0H+Lq7kMIY/gfuyvmQbIEG16qI4jJ/qNBdDXVTCC/ me@here"

_together: Barrier


@dataclass(frozen=True)
class Request:
    """What one client sends; ``token`` is USER:PROJECT."""

    method: str
    path: str
    body: object = None
    token: str = "alice:demo"


def boot(token: str = "alice:demo", least: int = 1, most: int = 1, **hints: str) -> Request:
    server: dict[str, object] = {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none"}
    server |= {"min_count": least, "max_count": most}
    return Request("POST", "/servers", {"server": server, "os:scheduler_hints": hints}, token)


def _join(together: Barrier) -> None:
    """Begin a process of the API."""
    global _together  # noqa: PLW0603 - it can be handed to a process only as that starts
    _together = together


def _send(api_url: str, requests: list[Request]) -> list[int]:
    """Serve and send requests in threads, beginning together with the other process; return their statuses."""
    conf = config.load(files=[])
    conf.set_override("auth_strategy", "noauth2", group="api")
    conf.set_override("timeout", 60.0, group="cells")
    api_db, bus = Database(api_url), Bus(conf, f"kombu+memory:///{uuid.uuid4().hex}")
    cells = Cells(conf, api_db)
    wsgi = app.build(conf, api_db=api_db, cells=cells, api_bus=bus, images=FakeImages())
    client = falcon.testing.TestClient(wsgi)

    def send(request: Request) -> int:
        headers = {"X-Auth-Token": request.token, "OpenStack-API-Version": "compute 2.104"}
        given = {} if request.body is None else {"json": request.body}
        answer = client.simulate_request(request.method, f"/v2.1{request.path}", headers=headers, **given)
        return answer.status_code

    try:
        _together.wait(timeout=480)
        with ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(send, requests))
    finally:
        cells.close()
        bus.close()
        api_db.close()


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(PROCESSES)
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn, initializer=_join, initargs=(together,)) as pool:
        yield pool


@dataclass(frozen=True)
class Site:
    """A database server, and the URLs of two cells' databases on it."""

    server: Server
    cells: tuple[str, ...]


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def site(request: pytest.FixtureRequest, stock: Stock) -> Iterator[Site]:
    server = request.getfixturevalue(request.param)
    with stock.lent(server, "cell") as one, stock.lent(server, "cell") as two:
        yield Site(server, (one, two))


@pytest.fixture
def api_db(site: Site, stock: Stock) -> Iterator[Database]:
    """The API database of a cloud with three cells, of which nobody answers for the third."""
    with stock.lent(site.server, "api") as url, contextlib.closing(Database(url)) as database:
        _add_cells(database, site)
        yield database


def _add_cells(database: Database, site: Site) -> None:
    dead = database.url.set(host="127.0.0.1", port=1, query={}).render_as_string(hide_password=False)
    with database.writer() as session:
        for number, url in enumerate(site.cells, 1):
            mappings.add_cell(session, Cell(str(uuid.uuid4()), f"cell{number}", f"none:///{number}", url))
        mappings.add_cell(session, Cell(DEAD, "dead", "none:///3", dead))
        session.add(FlavorRow(flavorid="1", name="m1.tiny", vcpus=1, memory_mb=512, root_gb=1))
        # Counting must stop these, not what is configured.
        quotas.set_class_limits(session, quotas.DEFAULT_CLASS, {"cores": -1, "ram": -1})


@pytest.fixture
def send(api_db: Database, processes: ProcessPoolExecutor) -> Callable[[list[Request]], list[int]]:
    """A function that sends requests through two API processes at once; it returns their statuses in order."""
    api_url = api_db.url.render_as_string(hide_password=False)

    def through_both(requests: list[Request]) -> list[int]:
        shares = [requests[number::PROCESSES] for number in range(PROCESSES)]
        sent = [processes.submit(_send, api_url, share) for share in shares]
        answers = [future.result(timeout=480) for future in sent]
        by_turns = itertools.zip_longest(*answers)
        return [status for turn in by_turns for status in turn if status is not None]

    return through_both


Send = Callable[[list[Request]], list[int]]


def limit(db: Database, user_id: str = quotas.WHOLE_PROJECT, /, **limits: int) -> None:
    with db.writer() as session:
        quotas.set_limits(session, "demo", user_id, limits)


def has(db: Database, user_id: str | None = None) -> int:
    """Return how many servers the project, or a user in it, has."""
    with db.reader() as session:
        return mappings.usage(session, "demo", user_id)[0]


def counted(db: Database, row: type[KeypairRow] | type[ServerGroupRow], **owner: str) -> int:
    with db.reader() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(row).filter_by(**owner)) or 0


def add_servers(db: Database, number: int, cell_uuid: str) -> list[str]:
    """Put servers into a cell, as far as the API database is concerned."""
    made = [str(uuid.uuid4()) for _ in range(number)]
    owner = {"project_id": "demo", "user_id": "carol", "vcpus": 1, "ram_mib": 512, "cell_uuid": cell_uuid}
    with db.writer() as session:
        session.add_all(InstanceMappingRow(instance_uuid=one, **owner) for one in made)
    return made


def test_of_a_hundred_servers_at_once_a_quota_of_ten_lets_ten_in(api_db: Database, send: Send) -> None:
    limit(api_db, instances=10)
    statuses = send([boot()] * AT_ONCE)
    assert (statuses.count(202), statuses.count(403)) == (10, AT_ONCE - 10), statuses
    assert has(api_db) == 10
    assert send([boot()] * 4) == [403] * 4


def test_servers_of_a_dead_cell_count_and_are_freed_at_once(api_db: Database, send: Send) -> None:
    gone = add_servers(api_db, 4, DEAD)
    limit(api_db, instances=10)
    statuses = send([boot()] * AT_ONCE)
    assert (statuses.count(202), statuses.count(403)) == (6, AT_ONCE - 6), statuses
    with api_db.writer() as session:
        for one in gone[:3]:
            mappings.queue_for_delete(session, one)
    statuses = send([boot()] * 40)
    assert (statuses.count(202), statuses.count(403)) == (3, 37), statuses


def test_a_user_stops_at_the_users_limit_while_others_fill_the_projects(api_db: Database, send: Send) -> None:
    limit(api_db, instances=10)
    limit(api_db, "alice", instances=4)
    mixed = [boot(f"{user}:demo") for user in ("alice", "bob") for _ in range(AT_ONCE // 2)]
    random.Random(1).shuffle(mixed)
    statuses = send(mixed)
    assert (statuses.count(202), statuses.count(403)) == (10, AT_ONCE - 10), statuses
    assert has(api_db, "alice") <= 4
    assert has(api_db) == 10


def test_a_user_alone_gets_exactly_the_users_limit(api_db: Database, send: Send) -> None:
    limit(api_db, instances=50)
    limit(api_db, "alice", instances=7)
    statuses = send([boot()] * AT_ONCE)
    assert (statuses.count(202), statuses.count(403)) == (7, AT_ONCE - 7), statuses
    assert has(api_db, "alice") == 7


def test_requests_for_several_servers_fill_a_quota_to_the_brim(api_db: Database, send: Send) -> None:
    limit(api_db, instances=-1, cores=37)
    statuses = send([boot(least=1, most=3)] * AT_ONCE)
    assert set(statuses) == {202, 403}
    assert has(api_db) == 37


def test_a_limit_lowered_meanwhile_is_never_below_what_is_used(api_db: Database, send: Send) -> None:
    """Whoever lowers a limit looks at the use under the same lock: so no limit in force is ever passed."""
    limit(api_db, instances=5)
    quota = "/os-quota-sets/demo"
    changes = [
        Request("PUT", quota, {"quota_set": {"instances": 5 + number % 6}}, "admin:admins") for number in range(40)
    ]
    mixed = [boot()] * 60 + changes
    random.Random(2).shuffle(mixed)
    statuses = send(mixed)
    assert set(statuses) == {200, 202, 400, 403}, statuses
    with api_db.reader() as session:
        assert has(api_db) <= quotas.limits(session, "demo").project["instances"]
    assert statuses.count(202) == has(api_db)


def test_keypairs_stop_at_the_limit_whichever_project_they_come_from(api_db: Database, send: Send) -> None:
    with api_db.writer() as session:
        quotas.set_class_limits(session, quotas.DEFAULT_CLASS, {"key_pairs": 5})
    pairs = [
        Request("POST", "/os-keypairs", {"keypair": {"name": f"k{number}", "public_key": _KEY}}, f"alice:p{number % 3}")
        for number in range(40)
    ]
    statuses = send(pairs)
    assert (statuses.count(201), statuses.count(403)) == (5, 35), statuses
    assert counted(api_db, KeypairRow, user_id="alice") == 5


def test_server_groups_stop_at_the_projects_and_the_users_limit(api_db: Database, send: Send) -> None:
    limit(api_db, server_groups=6)
    limit(api_db, "alice", server_groups=2)
    group = {"server_group": {"name": "g", "policy": "affinity"}}
    mixed = [Request("POST", "/os-server-groups", group, f"{user}:demo") for user in ("alice", "bob")] * 20
    statuses = send(mixed)
    assert (statuses.count(200), statuses.count(403)) == (6, 34), statuses
    assert counted(api_db, ServerGroupRow, project_id="demo") == 6
    assert counted(api_db, ServerGroupRow, user_id="alice") <= 2


def test_a_server_group_takes_no_more_of_a_users_servers_than_the_limit(api_db: Database, send: Send) -> None:
    """An administrator may put servers of several projects into one group: no project's lock will do."""
    with api_db.writer() as session:
        quotas.set_class_limits(session, quotas.DEFAULT_CLASS, {"server_group_members": 5, "instances": -1})
        session.add(ServerGroupRow(uuid=DEAD, project_id="demo", user_id="alice", name="g", policy="soft-affinity"))
    statuses = send([boot(f"admin:{project}", group=DEAD) for project in ("demo", "admins", "other")] * 12)
    assert (statuses.count(202), statuses.count(403)) == (5, 31), statuses
    with api_db.reader() as session:
        assert server_groups.count_members(session, DEAD, "admin") == 5


def test_limits_set_by_many_at_once_are_all_kept(api_db: Database, send: Send) -> None:
    resources = ["instances", "cores", "ram", "metadata_items", "key_pairs", "server_groups"]
    changes = [
        Request("PUT", path, {key: {resource: 50 + number}}, "admin:admins")
        for number in range(4)
        for resource in resources
        for path, key in (("/os-quota-sets/demo", "quota_set"), ("/os-quota-class-sets/default", "quota_class_set"))
    ]
    assert set(send(changes)) == {200}
    with api_db.reader() as session:
        found = quotas.limits(session, "demo")
    assert found.project.keys() == set(resources)
    assert found.default.keys() == set(resources)
