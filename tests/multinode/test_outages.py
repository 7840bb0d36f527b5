"""One part after the other is killed: the rest goes on at once, what was accepted is kept, all returns by itself."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.integration.stack.keystone import ADMIN, side_by_side
from tests.integration.stack.processes import wait_until
from tests.multinode.client import Client, cells_with, guests, limit, seconds_until
from tests.multinode.cloud import Cloud
from tests.multinode.layout import CELLS, PORTS

pytestmark = pytest.mark.timeout(300)

#: Seconds within which the cloud is whole again once what was dead is back, as all limits here on an idle machine.
_BACK_S = 5.0
#: Seconds until work goes on whose messages died with a bus: ``[rpc] call_monitor_timeout``, then all again.
_LOST_S = 5.0 + _BACK_S
#: Seconds within which every process acts on a mapping that was changed, and how often each looks.
_FOLLOWED_S = 5.0
_REFRESH_S = 3.0
#: Lists in a row after which every worker has made one: each has its own view of which cells are silent.
_LOOKS = 12
#: Seconds for which a database stands still.
_STALL_S = 10.0
#: Seconds that a question to all cells may take while one is dead: the deadline of a cell, and the work itself.
_PATIENCE_S = 2.0 + 1.5


@pytest.fixture
def servers(cloud: Cloud, client: Client) -> Iterator[dict[str, str]]:
    """Cell → an ACTIVE server in it, each on a host that imitates its guests; all parts run before and after."""
    cloud.heal()
    created = {cell: client.create(f"in-{cell}", host=f"{cell}-host2") for cell in CELLS}
    for uuid in created.values():
        client.wait_status(uuid, "ACTIVE")
    yield created
    cloud.heal()
    client.delete_all()


def works_fully(client: Client, cell: str) -> None:
    """Lead a new server of one cell through a short life."""
    uuid = client.boot(f"while-another-is-dead-{cell}", host=f"{cell}-host2")
    client.stop(uuid)
    client.start(uuid)
    client.delete(uuid)


def cells(client: Client) -> dict[str, Any]:
    """Return how every cell is, by name."""
    answer = client.http("GET", "/os-cells")
    assert answer.status == 200, answer
    return {cell["name"]: cell for cell in answer.body["cells"]}


def everybody_looks_again() -> None:
    """Wait as long as it takes the last process to do what the first has been seen to do."""
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > _REFRESH_S, "every process looking again", timeout_s=60)


def duration(work: Callable[[], object]) -> float:
    """Return how long ``work`` takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def all_whole(client: Client, servers: dict[str, str], expected: dict[str, str]) -> Callable[[], bool]:
    """Return a condition: every worker of the API lists each cell's server with the status expected."""
    shown = {uuid: expected.get(cell, "ACTIVE") for cell, uuid in servers.items()}
    return lambda: all(client.listed() == shown for _ in range(_LOOKS))


def none_unknown(client: Client) -> bool:
    """Return whether every worker of the API sees every cell."""
    return all("UNKNOWN" not in client.listed().values() for _ in range(_LOOKS))


def test_a_cell_without_database_and_bus_hurts_nobody_else(
    cloud: Cloud, client: Client, servers: dict[str, str], times: list[str]
) -> None:
    real = client.boot("real-in-cell2", host="cell2-host1")
    servers = servers | {"cell2 (real)": real}
    dead = {servers["cell2"], real}
    assert client.act(servers["cell2"], "os-stop").status == 202
    cloud.buses["cell2"].crash()
    cloud.sites["cell2"].processes.kill("mariadb")

    # Lists are partial, in time, and tell which servers they know little of.
    took = [duration(client.listed) for _ in range(6)]
    times.append(f"lists while a cell's database and bus are dead: {' '.join(f'{each:.2f}' for each in took)} s")
    assert max(took) < limit(_PATIENCE_S)
    assert client.listed() == {uuid: "UNKNOWN" if uuid in dead else "ACTIVE" for uuid in servers.values()}
    old = client.http("GET", "/servers/detail", version="compute 2.68")
    assert {server["id"] for server in old.body["servers"]} == set(servers.values()) - dead
    assert client.http("GET", f"/servers/{servers['cell2']}").body["server"]["status"] == "UNKNOWN"
    answer = client.act(real, "os-stop")
    assert answer.status in (409, 503), "what cannot be accepted is refused, not lost"

    # The others work fully, and so does an API that starts now.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda cell: works_fully(client, cell), ("cell1", "cell3")))
    cloud.programs.restart_api()
    works_fully(client, "cell3")
    uuid = client.boot("anywhere")
    assert cells_with(cloud, uuid, ["cell1", "cell3"]), "the scheduler passes the dead cell over"
    client.delete(uuid)

    side_by_side([cloud.buses["cell2"].start, cloud.databases["cell2"].start])
    whole = all_whole(client, servers, {"cell2": "SHUTOFF"})
    took_s = seconds_until(partial(none_unknown, client), "the list whole again", timeout_s=60)
    settled_s = took_s + seconds_until(whole, "the stop accepted before the accident done", timeout_s=60)
    booted_s = settled_s + duration(lambda: works_fully(client, "cell2"))
    times.append(
        f"a cell's database and bus return: list whole after {took_s:.1f} s, work kept done after {settled_s:.1f} s, "
        f"a new server led through its life after {booted_s:.1f} s"
    )
    assert took_s < limit(_BACK_S)
    assert guests(cloud) == {
        servers["cell1"]: ["cell1-host2"],
        servers["cell2"]: ["cell2-host2"],
        servers["cell3"]: ["cell3-host2"],
        real: ["cell2-host1"],
    }
    assert settled_s < limit(_LOST_S)


def test_a_cell_cut_off_without_a_word_hurts_nobody_else(
    cloud: Cloud, client: Client, servers: dict[str, str], times: list[str]
) -> None:
    cloud.network.pull_cable("cell3")
    try:
        assert max(duration(client.listed) for _ in range(3)) < limit(_PATIENCE_S)
        assert client.listed() == {
            uuid: "UNKNOWN" if cell == "cell3" else "ACTIVE" for cell, uuid in servers.items()
        }  # fmt: skip
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda cell: works_fully(client, cell), ("cell1", "cell2")))
    finally:
        cloud.network.plug_cable("cell3")
    took_s = seconds_until(all_whole(client, servers, {}), "the list whole again", timeout_s=60)
    times.append(f"a cell that was cut off returns: list whole after {took_s:.1f} s")
    assert took_s < limit(_BACK_S)
    works_fully(client, "cell3")


def test_lists_wait_for_a_silent_cell_a_few_times_only(
    cloud: Cloud, client: Client, servers: dict[str, str], times: list[str]
) -> None:
    assert len(client.listed()) == len(servers)
    cloud.network.pull_cable("cell3")
    try:
        took = [duration(client.listed) for _ in range(12)]
    finally:
        cloud.network.plug_cable("cell3")
    times.append(f"lists while a cell is cut off: {' '.join(f'{each:.2f}' for each in took)} s")
    wait_until(all_whole(client, servers, {}), "the list whole again", timeout_s=60)
    assert sorted(took[6:])[3] < limit(1.0), "but for a try now and then"


def test_a_database_that_stands_still_is_waited_for_once(
    cloud: Cloud, client: Client, servers: dict[str, str], times: list[str]
) -> None:
    """Nothing is refused and nothing is closed: whoever asks it just waits."""
    database = cloud.sites["cell1"].processes.pid("mariadb")
    assert database is not None
    assert len(client.listed()) == len(servers)
    began = time.monotonic()
    os.kill(database, signal.SIGSTOP)
    try:
        took = [duration(client.listed) for _ in range(12)]
        shown = cells(client)["cell1"]
        works_fully(client, "cell3")
        wait_until(lambda: time.monotonic() - began > _STALL_S, "the end of the stall", timeout_s=2 * _STALL_S)
    finally:
        os.kill(database, signal.SIGCONT)
    took_s = seconds_until(all_whole(client, servers, {}), "the list whole again", timeout_s=60)
    times.append(f"lists while a database stands still: {' '.join(f'{each:.2f}' for each in took)} s")
    times.append(f"it goes on after {_STALL_S:.0f} s: list whole after {took_s:.1f} s")
    assert sorted(took[6:])[3] < limit(1.0)
    assert (shown["state"], shown["instances"]) == ("down", 1)
    assert shown["down_since"]
    assert took_s < limit(_BACK_S)
    works_fully(client, "cell1")
    assert {cell["state"] for cell in cells(client).values()} == {"up"}


def test_a_mapping_changed_under_way_is_followed_within_seconds(
    cloud: Cloud, client: Client, servers: dict[str, str], times: list[str]
) -> None:
    """No process is restarted, and none is told."""
    uuid = cells(client)["cell2"]["uuid"]
    change = partial(cloud.programs.manage, "manage", "cell_v2", "update_cell", "--cell_uuid", uuid)

    change("--disable")
    wait_until(lambda: cells(client)["cell2"]["status"] == "disabled", "the cell shown disabled", timeout_s=_FOLLOWED_S)
    everybody_looks_again()
    for number in range(6):
        created = client.boot(f"anywhere-but-there-{number}")
        assert cells_with(cloud, created, ["cell1", "cell3"])
        client.delete(created)
    client.stop(servers["cell2"])
    client.start(servers["cell2"])
    change("--enable")

    good = cloud.databases["cell2"].url("nova_lite")
    change("--database_connection", good.replace(f":{PORTS['mariadb']}/", ":9/"))
    lost_s = seconds_until(lambda: "UNKNOWN" in client.listed().values(), "the cell lost", timeout_s=60)
    change("--database_connection", good)
    found_s = seconds_until(all_whole(client, servers, {}), "the cell found again", timeout_s=60)
    times.append(f"a cell's database moved away: seen after {lost_s:.1f} s; back: list whole after {found_s:.1f} s")
    assert lost_s < limit(_FOLLOWED_S)
    assert found_s < limit(_FOLLOWED_S)
    everybody_looks_again()
    works_fully(client, "cell2")


def test_work_of_a_cell_waits_for_its_conductor(
    cloud: Cloud, client: Client, servers: dict[str, str], times: list[str]
) -> None:
    programs = cloud.programs
    programs.kill("cell2-conductor")
    assert client.act(servers["cell2"], "os-stop").status == 202
    waiting = client.create("waits-for-the-conductor", host="cell2-host2")
    assert max(duration(client.listed) for _ in range(3)) < limit(_PATIENCE_S)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda cell: works_fully(client, cell), ("cell1", "cell3")))
    assert client.status(servers["cell2"]) == "ACTIVE", "nobody is there to stop it"
    assert client.status(waiting) == "BUILD"

    returned(cloud, "cell2-conductor")
    took_s = seconds_until(lambda: client.status(servers["cell2"]) == "SHUTOFF", "the stop done", timeout_s=60)
    took_s += seconds_until(lambda: client.status(waiting) == "ACTIVE", "the server built", timeout_s=60)
    times.append(f"a cell's conductor returns: waiting stop and build done after {took_s:.1f} s")
    assert took_s < limit(_BACK_S)


@pytest.mark.parametrize("name", ["scheduler", "super-conductor"])
def test_new_servers_wait_for_who_places_them(
    cloud: Cloud, client: Client, servers: dict[str, str], times: list[str], name: str
) -> None:
    cloud.programs.kill(name)
    waiting = [client.create(f"waits-{number}") for number in range(5)]
    for uuid in servers.values():
        client.stop(uuid)
        client.start(uuid)
    listed = client.listed()
    assert {listed[uuid] for uuid in waiting} == {"BUILD"}, "shown from the moment they were accepted"
    gone = waiting.pop()
    client.delete(gone)

    returned(cloud, name)
    took_s = seconds_until(
        lambda: {client.listed().get(uuid) for uuid in waiting} == {"ACTIVE"}, "all of them built", timeout_s=60
    )
    times.append(f"the {name} returns: {len(waiting)} waiting servers built after {took_s:.1f} s")
    assert took_s < limit(_BACK_S)
    assert set(client.listed()) == {*servers.values(), *waiting}
    assert set(guests(cloud)) == {*servers.values(), *waiting}, "one guest each, none of the deleted one"
    assert all(len(hosts) == 1 for hosts in guests(cloud).values())


def test_a_quota_holds_while_a_cell_is_dead(
    cloud: Cloud, client: Client, servers: dict[str, str], times: list[str]
) -> None:
    """The server of the dead cell counts as well: seven more fit beside the three that are there."""
    used = f"/os-quota-sets/{cloud.keystone.project_id(ADMIN.project)}/detail"
    cloud.programs.restart_api("instances = 10")
    cloud.buses["cell3"].crash()
    cloud.sites["cell3"].processes.kill("mariadb")
    try:
        with ThreadPoolExecutor(20) as pool:
            began = time.monotonic()
            hosts = [f"cell{number % 2 + 1}-host2" for number in range(100)]
            answers = list(pool.map(lambda host: client.try_create("one-of-100", host=host), hosts))
            times.append(f"100 parallel creates against a quota, a cell dead: {time.monotonic() - began:.1f} s")
        assert {answer.status for answer in answers} == {202, 403}
        accepted = {answer.body["server"]["id"] for answer in answers if answer.status == 202}
        assert len(accepted) == 7
        for uuid in accepted:
            client.wait_status(uuid, "ACTIVE")
        side_by_side([cloud.buses["cell3"].start, cloud.databases["cell3"].start])
        wait_until(partial(none_unknown, client), "the list whole again", timeout_s=60)
        assert set(client.listed()) == {*servers.values(), *accepted}
        assert client.http("GET", used).body["quota_set"]["instances"]["in_use"] == 10
        client.delete(accepted.pop())
        assert client.http("GET", used).body["quota_set"]["instances"]["in_use"] == 9
    finally:
        cloud.programs.restart_api()


def returned(cloud: Cloud, name: str) -> None:
    """Start a dead process; return when it says that it works."""
    since = cloud.programs.logged(name)
    cloud.programs.start(name)
    cloud.programs.wait_working(name, since=since)
