"""What the scheduler knows of hosts when cells do not answer."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nova_lite import config, errors
from nova_lite.cells.fanout import Answers, Fanout
from nova_lite.cells.registry import Cells
from nova_lite.db.api_tables import ApiBase
from nova_lite.scheduler.hosts import Hosts
from nova_lite.storage import Database


class SilentCells:
    """Two cells, of which ``down`` say nothing and the others know no host."""

    def __init__(self, *down: str) -> None:
        self._down = down

    def all(self, *, with_cell0: bool) -> list[Any]:
        assert not with_cell0
        return [SimpleNamespace(cell=SimpleNamespace(uuid=uuid, is_disabled=False)) for uuid in ("a", "b")]

    def of_hosts(self) -> dict[str, str]:
        return {}

    def ask(self, _: object, *, of: list[Any]) -> Answers[list[Any]]:
        uuids = {cell.cell.uuid for cell in of}
        return Answers({uuid: [] for uuid in uuids - {*self._down}}, dict.fromkeys(self._down, "silent"))


def hosts(tmp_path: Path, cells: SilentCells) -> Hosts:
    database = Database(f"sqlite:///{tmp_path / 'api.sqlite'}")
    ApiBase.metadata.create_all(database.engine)
    return Hosts(config.load(files=[]), database, cast(Cells, cells), cast(Fanout, cells))


def test_servers_ended_in_error_because_all_cells_were_slow_once(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable):
        hosts(tmp_path, SilentCells("a", "b")).load({})


def test_one_silent_cell_is_passed_over(tmp_path: Path) -> None:
    assert hosts(tmp_path, SilentCells("a")).load({}) == {}
