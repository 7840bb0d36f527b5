"""New hosts are mapped by themselves, where that is wanted."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite import config
from nova_lite.cells import setup
from nova_lite.cells.registry import Cells
from nova_lite.conductor.spanning.host_discovery import HostDiscovery
from nova_lite.db import migrate
from nova_lite.storage import Database
from tests.functional.commands.cell_site import add_node


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    made = config.load(files=[])
    made.set_override("timeout", 60.0, "cells")
    return made


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """The API's and a cell's, which is mapped."""
    api_db, cell_db = (Database(f"sqlite:///{tmp_path / name}.db") for name in ("api", "cell"))
    migrate.sync(api_db, "api")
    migrate.sync(cell_db, "cell")
    setup.create_cell(api_db, name="one", transport_url="rabbit://h/v", connection=str(cell_db.url))
    yield api_db, cell_db
    api_db.close()
    cell_db.close()


def test_new_hosts_are_mapped_and_known_at_once(conf: cfg.ConfigOpts, databases: tuple[Database, Database]) -> None:
    api_db, cell_db = databases
    conf.set_override("refresh_interval", 3600.0, group="cells")
    cells = Cells(conf, api_db)
    discovery = HostDiscovery(conf, api_db, cells)
    assert cells.of_hosts() == {}
    add_node(cell_db, "alpha", 1)
    discovery.look()
    discovery.look()
    assert list(cells.of_hosts()) == ["alpha"]
    cells.close()


@pytest.mark.parametrize(("interval", "looks"), [(-1, False), (0, False), (1, True)])
def test_it_looks_only_where_that_is_wanted(
    conf: cfg.ConfigOpts, databases: tuple[Database, Database], interval: int, looks: bool
) -> None:
    api_db, cell_db = databases
    add_node(cell_db, "alpha", 1)
    conf.set_override("discover_hosts_in_cells_interval", interval, group="scheduler")
    cells = Cells(conf, api_db)
    discovery = HostDiscovery(conf, api_db, cells)
    discovery.start()
    deadline = time.monotonic() + 480
    while looks and not setup.hosts_of(api_db) and time.monotonic() < deadline:
        time.sleep(0.01)
    discovery.stop()
    assert bool(setup.hosts_of(api_db)) is looks
    cells.close()


def test_a_silent_cell_is_told_of_and_the_others_are_looked_at(
    conf: cfg.ConfigOpts, databases: tuple[Database, Database], caplog: pytest.LogCaptureFixture
) -> None:
    api_db, cell_db = databases
    dead = "mysql+pymysql://nova:hunter2@127.0.0.1:9/nova"
    setup.create_cell(api_db, name="two", transport_url="rabbit://h/two", connection=dead)
    add_node(cell_db, "alpha", 1)
    cells = Cells(conf, api_db)
    with caplog.at_level(logging.INFO):
        HostDiscovery(conf, api_db, cells).look()
    assert list(setup.hosts_of(api_db)) == ["alpha"]
    [told] = [record for record in caplog.messages if "could not be looked at" in record]
    assert told.startswith("Cell two ")
    assert any(record.startswith("Host alpha is mapped to cell one ") for record in caplog.messages)
    assert "hunter2" not in caplog.text
    cells.close()
