"""Servers of groups whose builds go on to other hosts: no policy is broken, no place is lost or kept in vain."""

import random
import threading
import uuid as uuids
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.compute.virt.faults import FaultScript, Gate
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow, ComputeNodeRow
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.sabotage import Place
from tests.functional.workflows.site import Site, opened

CELL = "cell1"
HOSTS = 4
BROKEN = "The host could not start the server: The disk broke"


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with opened(tmp_path_factory.mktemp("cell"), cells=1, hosts_per_cell=HOSTS) as site:
        yield site


@pytest.fixture
def site(one_cell: Site) -> Iterator[Site]:
    one_cell.saboteur.clear()
    yield one_cell
    one_cell.clean()
    for group in one_cell.ask("GET", "/os-server-groups")[1]["server_groups"]:
        assert one_cell.ask("DELETE", f"/os-server-groups/{group['id']}")[0] == 204
    with closing(clouds.database(one_cell.cloud, CELL)) as database, database.writer() as session:
        session.execute(sa.update(ComputeNodeRow).values(failed_builds=0, last_failed_build=None))


class Group:
    """A server group of one story."""

    def __init__(self, site: Site, policy: str, **rules: int) -> None:
        self._site = site
        document = {"name": f"g-{uuids.uuid4()}", "policy": policy} | ({"rules": rules} if rules else {})
        status, body = site.ask("POST", "/os-server-groups", {"server_group": document})
        assert status == 200, body
        self.uuid = str(body["server_group"]["id"])

    def boot(self, count: int = 1, **more: object) -> list[str]:
        """Ask for servers in one request and return the UUIDs of all."""
        server = {
            "name": f"vm-{uuids.uuid4()}", "flavorRef": "1", "imageRef": self._site.image, "networks": "none",
            "min_count": count, "max_count": count, **more,
        }  # fmt: skip
        known = self.members()
        hints = {"group": self.uuid}
        status, body = self._site.ask("POST", "/servers", {"server": server, "os:scheduler_hints": hints})
        assert status == 202, body
        made = sorted(self.members() - known) if count > 1 else [str(body["server"]["id"])]
        self._site.used += made
        return made

    def members(self) -> set[str]:
        _, body = self._site.ask("GET", f"/os-server-groups/{self.uuid}")
        return set(body["server_group"]["members"])

    def delete(self) -> None:
        assert self._site.ask("DELETE", f"/os-server-groups/{self.uuid}")[0] == 204


class Spawns(FaultScript):
    """The spawn with the number ``held`` waits behind ``gate``, and the one with the number ``failing`` fails."""

    def __init__(self, *, held: int, failing: int = 1) -> None:
        super().__init__()
        self.gate = Gate()
        self._held, self._failing = held, failing
        self._counted = threading.Lock()
        self._count = 0

    def play(self, method: str, *, after: bool = False) -> None:
        super().play(method, after=after)
        if method != "spawn" or after:
            return
        with self._counted:
            self._count += 1
            number = self._count
        if number == self._held:
            self.gate.pass_through()
        if number == self._failing:
            raise errors.Unavailable("The disk broke")


def alternates(site: Site, server: str) -> set[str]:
    """Return the hosts that the build of a server may still come to."""
    with closing(clouds.database(site.cloud, CELL)) as database, database.reader() as session:
        inputs = session.scalar(sa.select(CellWorkflowRow.inputs).filter_by(subject=server, kind="create"))
    assert inputs is not None
    return {each["host"] for each in inputs["selections"][1:]}


def tries(site: Site, server: str) -> int:
    """Return how often the placing of a server was begun."""
    with closing(clouds.database(site.cloud, "api")) as database, database.reader() as session:
        return session.scalar(sa.select(ApiWorkflowRow.attempt).filter_by(subject=server, kind="schedule")) or 0


def host_of(site: Site, server: str) -> str:
    _, body = site.ask("GET", f"/servers/{server}")
    assert body["server"]["status"] == "ACTIVE", body
    return str(body["server"]["OS-EXT-SRV-ATTR:host"])


def active(site: Site, server: str) -> None:
    eventually(lambda: site.status(server) == "ACTIVE", f"server {server} active")


def test_a_server_kept_apart_goes_on_to_another_host(site: Site) -> None:
    group = Group(site, "anti-affinity")
    site.break_hosts(2)
    (first,) = group.boot()
    site.rest()
    events = site.events(first)
    assert [result for result, _ in events] == ["Error", "Error", "Success"]
    others = [group.boot()[0] for _ in range(HOSTS)]
    site.rest()
    # The hosts that failed are places like all others, and there is none for one of them.
    (refused,) = [server for server in others if site.status(server) == "ERROR"]
    assert sorted(host_of(site, each) for each in [first, *others] if each != refused) == sorted(site.cloud.agents)
    assert "server group" in site.reason(refused)


def test_servers_of_one_request_have_alternates_of_their_own(site: Site) -> None:
    group = Group(site, "anti-affinity")
    script = site.break_hosts(0)
    gate = script.hold("spawn")
    servers = group.boot(2)
    assert gate.reached.wait(480)
    eventually(lambda: script.calls("spawn") == 2, "both being built")
    # Two hosts are left over, and the first server may have both.
    assert sorted(len(alternates(site, server)) for server in servers) == [0, 2]
    gate.open()
    site.rest()
    all_of_them = Group(site, "anti-affinity").boot(HOSTS)
    site.rest()
    assert sorted(host_of(site, server) for server in all_of_them) == sorted(site.cloud.agents)


def test_a_server_that_needs_a_place_gets_it_from_one_that_may_not_need_it(site: Site) -> None:
    group = Group(site, "anti-affinity")
    script = Spawns(held=1)
    site.faults(script)
    (first,) = group.boot()
    assert script.gate.reached.wait(480)
    assert len(alternates(site, first)) == 2
    others = [group.boot()[0] for _ in range(HOSTS - 1)]
    for server in others:
        eventually(lambda server=server: site.status(server) == "ACTIVE", "active")  # type: ignore[misc]
    assert alternates(site, first) == set()
    script.gate.open()
    site.rest()
    # Its host failed and no other was left to it; now its place is free.
    assert (site.status(first), site.reason(first)) == ("ERROR", BROKEN)
    (last,) = group.boot()
    site.rest()
    assert sorted(host_of(site, server) for server in [*others, last]) == sorted(site.cloud.agents)


def test_the_place_of_a_server_that_is_being_moved_is_waited_for(site: Site) -> None:
    group = Group(site, "anti-affinity")
    script = Spawns(held=2)
    site.faults(script)
    (first,) = group.boot()
    assert script.gate.reached.wait(480)
    # It has left one host, is on another and may yet come to a third. The first and the fourth are free.
    others = [group.boot()[0] for _ in range(HOSTS - 2)]
    for server in others:
        eventually(lambda server=server: site.status(server) == "ACTIVE", "active")  # type: ignore[misc]
    (last,) = group.boot()
    eventually(lambda: tries(site, last) > 2, "a server that waits")
    script.gate.open()
    site.rest()
    assert sorted(host_of(site, server) for server in [first, *others, last]) == sorted(site.cloud.agents)


def test_servers_kept_together_follow_the_first_one(site: Site) -> None:
    group = Group(site, "affinity")
    site.break_hosts(1)
    servers = group.boot()
    site.rest()
    assert len(site.events(servers[0])) == 2
    servers += group.boot(2)
    site.rest()
    assert len({host_of(site, server) for server in servers}) == 1


@pytest.mark.parametrize("held", [1, 2])
def test_servers_kept_together_while_the_first_one_is_built(site: Site, held: int) -> None:
    group = Group(site, "affinity")
    script = Spawns(held=held)
    site.faults(script)
    (first,) = group.boot()
    assert script.gate.reached.wait(480)
    (second,) = group.boot()
    if held == 1:
        # The second one goes to the first one's host, so the first one may not leave it any more.
        eventually(lambda: site.status(second) == "ACTIVE", "active")
        script.gate.open()
        site.rest()
        assert (site.status(first), site.reason(first)) == ("ERROR", BROKEN)
        host_of(site, second)
    else:
        # The first one is on its way, and the second waits to hear where it ends.
        eventually(lambda: tries(site, second) > 2, "a server that waits")
        script.gate.open()
        site.rest()
        assert host_of(site, first) == host_of(site, second)


def test_soft_policies_look_where_servers_ended(site: Site) -> None:
    together = Group(site, "soft-affinity")
    site.break_hosts(1)
    servers = together.boot()
    site.rest()
    assert len(site.events(servers[0])) == 2
    servers += together.boot(2)
    site.rest()
    assert len({host_of(site, server) for server in servers}) == 1


@pytest.mark.parametrize(
    "place",
    [
        Place("super", "schedule", "choose hosts", "before"),
        Place("super", "schedule", "choose hosts", "middle"),
        Place("super", "schedule", "create in cells", "after"),
        Place("super", "schedule", "point mappings", "after"),
    ],
    ids=str,
)
def test_a_group_deleted_while_its_servers_are_placed_binds_nobody(site: Site, place: Place) -> None:
    group = Group(site, "anti-affinity")
    site.saboteur.plan(place, group.delete)
    site.break_hosts(1)
    (server,) = group.boot()
    site.rest()
    assert site.status(server) == "ACTIVE"


def test_a_group_deleted_while_its_server_is_built_binds_nobody(site: Site) -> None:
    group = Group(site, "anti-affinity")
    script = Spawns(held=1)
    site.faults(script)
    (server,) = group.boot()
    assert script.gate.reached.wait(480)
    group.delete()
    script.gate.open()
    site.rest()
    assert len(site.events(server)) == 2
    assert site.status(server) == "ACTIVE"


def test_boots_into_a_group_that_is_being_deleted(site: Site) -> None:
    """Each is accepted as a member or refused, and those accepted live."""
    group = Group(site, "soft-anti-affinity")

    def boot(number: int) -> tuple[int, str]:
        if number == 3:
            group.delete()
        server = {"name": f"vm-{number}", "flavorRef": "1", "imageRef": site.image, "networks": "none"}
        hints = {"group": group.uuid}
        status, body = site.ask("POST", "/servers", {"server": server, "os:scheduler_hints": hints})
        return status, str(body["server"]["id"]) if status == 202 else str(body)

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(boot, range(8)))
    accepted = [said for status, said in answers if status == 202]
    site.used += accepted
    assert {status for status, _ in answers} <= {202, 400}
    assert answers[3][0] == 400
    site.rest()
    assert [site.status(server) for server in accepted] == ["ACTIVE"] * len(accepted)


class Watched(FaultScript):
    """Hosts that fail at random; whenever a guest was made, the guests of every group are counted."""

    def __init__(self, site: Site, dice: random.Random) -> None:
        super().__init__()
        self._site = site
        self._dice = dice
        self.most: Counter[tuple[str, str]] = Counter()
        self.members: dict[str, str] = {}

    def play(self, method: str, *, after: bool = False) -> None:
        super().play(method, after=after)
        if method != "spawn":
            return
        if after:
            self.count()
        elif self._dice.random() < 0.25:
            raise errors.Unavailable("The disk broke")

    def count(self) -> None:
        for host in self._site.cloud.agents:
            there = Counter(
                self.members.get(guest.uuid) for guest in clouds.fake_driver(self._site.cloud, host).guests()
            )
            for group, number in there.items():
                if group is not None:
                    self.most[group, host] = max(self.most[group, host], number)


def test_many_groups_with_hosts_and_conductors_failing_at_random(site: Site) -> None:
    dice = random.Random(1)
    script = Watched(site, dice)
    site.faults(script)
    deaths_left = 20

    def dies_here(place: Place) -> bool:
        nonlocal deaths_left
        deaths_left -= (is_fatal := deaths_left > 0 and dice.random() < 0.04)
        return is_fatal

    site.saboteur.anywhere = dies_here
    apart, pairs, together = groups = [
        Group(site, "anti-affinity"),
        Group(site, "anti-affinity", max_server_per_host=2),
        Group(site, "affinity"),
    ]

    def boot(number: int) -> None:
        group = groups[number % 3]
        for server in group.boot():
            script.members[server] = group.uuid
            if number % 7 == 6:
                assert site.delete(server) == 204

    with ThreadPoolExecutor(6) as clients:
        list(clients.map(boot, range(18)))
    site.rest()
    script.count()
    assert all(number <= 1 for (group, _), number in script.most.items() if group == apart.uuid)
    assert all(number <= 2 for (group, _), number in script.most.items() if group == pairs.uuid)
    found = {server: site.status(server) for server in together.members()}
    assert len({host_of(site, server) for server, status in found.items() if status == "ACTIVE"}) <= 1
    assert {site.status(server) for server in site.used} <= {"ACTIVE", "ERROR", "GONE"}
