"""Asking every cell at once."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from oslo_config import cfg

from nova_lite import config
from nova_lite.cells import breaker
from nova_lite.cells import fanout as fanouts
from nova_lite.cells.fanout import Fanout, Sighting
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.api_tables import ApiBase
from nova_lite.db.repositories import mappings
from nova_lite.errors import Invalid, Unavailable
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.storage import Database

CELL1 = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def timeout_s() -> float:
    """Seconds a cell gets: more than one that answers ever needs, so tests of silent cells ask for fewer."""
    return 30.0


@pytest.fixture
def conf(timeout_s: float) -> cfg.ConfigOpts:
    made = config.load(files=[])
    made.set_override("timeout", timeout_s, group="cells")
    return made


with_silent_cells = pytest.mark.parametrize("timeout_s", [3.0])


@pytest.fixture
def cells(conf: cfg.ConfigOpts, tmp_path: Path) -> Iterator[Cells]:
    api_db = Database(f"sqlite:///{tmp_path / 'api'}")
    ApiBase.metadata.create_all(api_db.engine)
    with api_db.writer() as session:
        for uuid in (CELL0_UUID, CELL1):
            mappings.add_cell(session, Cell(uuid, uuid[:1], "none:///", f"sqlite:///{tmp_path / uuid}"))
    made = Cells(conf, api_db)
    yield made
    made.close()
    api_db.close()


@pytest.fixture
def fanout(conf: cfg.ConfigOpts, cells: Cells) -> Iterator[Fanout]:
    made = Fanout(conf, cells)
    yield made
    made.close()


def _name(cell: OpenCell) -> str:
    return cast(str, cell.cell.name)


def test_every_answer_comes_with_its_cell(fanout: Fanout) -> None:
    answers = fanout.ask(_name)
    assert answers.found == {CELL0_UUID: "0", CELL1: "1"}
    assert answers.down == {}
    assert fanout.ask(_name, with_cell0=False).found == {CELL1: "1"}


def test_all_are_asked_at_the_same_time(fanout: Fanout) -> None:
    together = threading.Barrier(2)
    assert len(fanout.ask(lambda cell: together.wait(timeout=480)).found) == 2


def test_a_cell_that_fails_is_told_and_the_others_answer(fanout: Fanout) -> None:
    def fail_in_cell1(cell: OpenCell) -> str:
        if cell.cell.uuid == CELL1:
            raise Unavailable("gone")
        return "well"

    answers = fanout.ask(fail_in_cell1)
    assert answers.found == {CELL0_UUID: "well"}
    assert answers.down == {CELL1: "gone"}


def test_a_mistake_is_no_dead_cell(fanout: Fanout) -> None:
    def refuse(cell: OpenCell) -> str:
        raise Invalid("wrong")

    with pytest.raises(Invalid):
        fanout.ask(refuse)


@with_silent_cells
def test_a_silent_cell_costs_one_deadline_and_then_nothing(
    fanout: Fanout, cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "_LOOK_EVERY_S", 600.0)
    released = threading.Event()
    asked: list[OpenCell] = []

    def hang_in_cell1(cell: OpenCell) -> str:
        if cell.cell.uuid == CELL1:
            asked.append(cell)
            released.wait(480)
        return "well"

    try:
        for _ in range(4):
            answers = fanout.ask(hang_in_cell1)
            assert list(answers.found) == [CELL0_UUID]
            assert list(answers.down) == [CELL1]
        assert len(asked) == 1
    finally:
        released.set()
    assert fanout.look_again([cells.get(CELL1)])
    assert fanout.ask(_name).down == {}


@with_silent_cells
def test_many_cells_that_fall_silent_together_keep_no_other_from_answering(
    conf: cfg.ConfigOpts, cells: Cells, tmp_path: Path
) -> None:
    api_db = Database(f"sqlite:///{tmp_path / 'api'}")
    silent = [f"{number:08d}-2222-4222-8222-222222222222" for number in range(12)]
    with api_db.writer() as session:
        for uuid in silent:
            mappings.add_cell(session, Cell(uuid, uuid[:8], "none:///", f"sqlite:///{tmp_path / uuid}"))
    cells.forget()
    fanout = Fanout(conf, cells)
    released = threading.Event()
    together = threading.Barrier(8)

    def hang_in_most(cell: OpenCell) -> str:
        if cell.cell.uuid in silent:
            released.wait(480)
        return "well"

    def ask() -> list[str]:
        together.wait(480)
        return sorted(fanout.ask(hang_in_most).down)

    try:
        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(ask) for _ in range(8)]
        assert [each.result() for each in asked] == [silent] * 8
        assert sorted(fanout.ask(_name, with_cell0=False).found) == [CELL1]
    finally:
        released.set()
        fanout.close()
        api_db.close()


@with_silent_cells
def test_a_question_that_no_thread_was_free_for_blames_no_cell(fanout: Fanout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanouts, "_THREADS", 1)
    released = threading.Event()
    try:
        assert fanout.ask(lambda cell: released.wait(480)).down.keys() == {CELL0_UUID, CELL1}
        assert [fanout._breaker.is_open(uuid) for uuid in (CELL0_UUID, CELL1)] == [True, False]
    finally:
        released.set()


def test_how_a_cell_fared_is_kept(fanout: Fanout) -> None:
    assert fanout.sighting(CELL1) == Sighting()

    def fail(cell: OpenCell) -> str:
        raise Unavailable("gone")

    fanout.ask(_name)
    assert fanout.sighting(CELL1).failure is None
    assert fanout.sighting(CELL1).silent_since is None
    latency_s = fanout.sighting(CELL1).latency_s
    assert latency_s is not None
    assert 0 <= latency_s < 480

    fanout.ask(fail)
    first = fanout.sighting(CELL1)
    assert first.silent_since is not None
    assert first == Sighting(latency_s, first.silent_since, "gone")
    fanout.ask(fail)
    assert fanout.sighting(CELL1) == first

    until_none_is_down(fanout)
    assert fanout.sighting(CELL1).silent_since is None


def until_none_is_down(fanout: Fanout) -> None:
    """Wait until a look has found every cell back."""
    until = time.monotonic() + 480
    while fanout.ask(_name).down and time.monotonic() < until:
        pass
    assert fanout.ask(_name).down == {}


@with_silent_cells
def test_a_look_finds_a_cell_back_at_once(fanout: Fanout, cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "_LOOK_EVERY_S", 600.0)
    released = threading.Event()
    try:
        assert fanout.ask(lambda cell: released.wait(480)).down.keys() == {CELL0_UUID, CELL1}
        assert fanout.ask(_name).down.keys() == {CELL0_UUID, CELL1}
        assert fanout.look_again([cells.get(CELL1)])
        assert fanout.ask(_name).found == {CELL1: "1"}
    finally:
        released.set()


def test_nobody_looks_after_a_silent_cell_once_the_cells_are_closed(
    fanout: Fanout, cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor when the API database is gone by then, so that nobody can say which cells there are."""
    monkeypatch.setattr(breaker, "_LOOK_EVERY_S", 0.01)

    def fail(cell: OpenCell) -> str:
        raise Unavailable("gone")

    monkeypatch.setattr(breaker, "_answers", lambda cell: False)
    assert fanout.ask(fail).down.keys() == {CELL0_UUID, CELL1}
    cells._api_db.close()
    (tmp_path / "api").unlink()
    cells.close()
    pool = fanout._pool
    assert pool is not None
    pool.stop()  # waits for what runs
    assert not fanout._breaker.is_open(CELL1)


def test_a_cell_that_has_just_answered_is_known_to(fanout: Fanout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanouts, "_JUST_S", 3600.0)

    def fail(cell: OpenCell) -> str:
        raise Unavailable("gone")

    assert not fanout.has_just_answered(CELL1)
    fanout.ask(_name)
    assert fanout.has_just_answered(CELL1)
    fanout.ask(fail)
    assert not fanout.has_just_answered(CELL1)
    until_none_is_down(fanout)
    assert fanout.has_just_answered(CELL1)
    monkeypatch.setattr(fanouts, "_JUST_S", 0.0)
    assert not fanout.has_just_answered(CELL1)
