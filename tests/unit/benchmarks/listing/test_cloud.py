"""The described servers are the same in every run, and of every kind there are some."""

from collections import Counter

from benchmarks.listing import cases, cloud


def test_the_same_servers_every_time() -> None:
    assert list(cloud.servers(200, 3)) == list(cloud.servers(200, 3))
    assert len({server.uuid for server in cloud.servers(500, 3)}) == 500


def test_every_cell_gets_its_part() -> None:
    cells = Counter(server.cell for server in cloud.servers(3000, 3))
    assert set(cells) == {0, 1, 2}
    assert min(cells.values()) > 900


def test_lists_are_newest_first_without_the_deleted_and_those_of_others() -> None:
    shown = cloud.shown(1000, 3)
    assert [server.created_at for server in shown] == sorted((server.created_at for server in shown), reverse=True)
    assert {server.project_id for server in shown} == {cloud.PROJECT}
    assert not any(server.is_deleted for server in shown)
    everyone = list(cloud.servers(1000, 3))
    assert any(server.is_deleted for server in everyone)
    assert {server.project_id for server in everyone} == {cloud.PROJECT, *cloud.OTHERS}
    assert {server.state for server in shown} == {"active", "stopped", "error"}


def test_a_server_is_on_a_host_of_its_cell() -> None:
    assert all(server.host.startswith(f"compute-{server.cell}-") for server in cloud.servers(100, 4))


def test_every_measured_cloud_has_the_pages_that_are_asked_for() -> None:
    cells, count = cases.PAIR
    shown = cloud.shown(count, cells)
    assert len(shown) > cases.LIMIT * cases.LATE
    assert cases.marker(shown) == shown[cases.LIMIT * (cases.LATE - 1) - 1].uuid
    few_cells, few = cases.SMALL
    assert len(cloud.shown(few, few_cells)) >= cases.LIMIT
