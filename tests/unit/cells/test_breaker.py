"""A silent cell is waited for once, then looked after in the background until it is back."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite import config
from nova_lite.cells import breaker as breakers
from nova_lite.cells.breaker import Breaker
from nova_lite.cells.registry import OpenCell
from nova_lite.cells.unusable import UnusableDatabase
from nova_lite.model.host import Cell
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database

UUID = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakers, "_LOOK_EVERY_S", 0.01)


@pytest.fixture
def threads() -> Iterator[list[threading.Thread]]:
    started: list[threading.Thread] = []
    yield started
    for thread in started:
        thread.join(timeout=480)
        assert not thread.is_alive()


def cell_at(path: Path) -> OpenCell:
    url = f"sqlite:///file:{path}?mode=rw&uri=true"
    return OpenCell(Cell(UUID, "a", "none:///", url), Database(url), Bus(config.load(files=[]), "none:///"))


def new_breaker(threads: list[threading.Thread], *, is_current: bool = True) -> Breaker:
    def run(work: object, cell: OpenCell) -> None:
        assert callable(work)
        threads.append(threading.Thread(target=work, args=(cell,), daemon=True))
        threads[-1].start()

    return Breaker(run, lambda _: is_current)


def test_a_silent_cell_is_open_until_it_answers_again(tmp_path: Path, threads: list[threading.Thread]) -> None:
    breaker = new_breaker(threads)
    cell = cell_at(tmp_path / "cell")
    assert not breaker.is_open(UUID)
    breaker.trip(cell)
    breaker.trip(cell)
    assert breaker.is_open(UUID)
    assert len(threads) == 1
    # Not before there is a database to be opened.
    assert threads[0].is_alive()
    assert breaker.is_open(UUID)
    (tmp_path / "cell").touch()
    threads[0].join(timeout=480)
    assert not breaker.is_open(UUID)


def test_after_a_refusal_the_cell_is_looked_at_at_once(
    tmp_path: Path, threads: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breakers, "_LOOK_EVERY_S", 600.0)
    (tmp_path / "cell").touch()
    breaker = new_breaker(threads)
    breaker.trip(cell_at(tmp_path / "cell"), look_at_once=True)
    threads[0].join(timeout=480)
    assert not breaker.is_open(UUID)
    breaker.trip(cell_at(tmp_path / "nothing"), look_at_once=True)
    assert breaker.is_open(UUID)
    breaker.stop()


def test_an_answer_that_was_only_late_closes_it(tmp_path: Path, threads: list[threading.Thread]) -> None:
    breaker = new_breaker(threads)
    breaker.trip(cell_at(tmp_path / "nothing"))
    breaker.reset(UUID)
    assert not breaker.is_open(UUID)
    threads[0].join(timeout=480)
    assert not threads[0].is_alive()


def test_a_cell_that_was_removed_is_looked_for_no_more(tmp_path: Path, threads: list[threading.Thread]) -> None:
    breaker = new_breaker(threads, is_current=False)
    breaker.trip(cell_at(tmp_path / "nothing"))
    threads[0].join(timeout=480)
    assert not threads[0].is_alive()
    assert not breaker.is_open(UUID)


def test_a_cell_whose_mapping_cannot_be_used_does_not_answer(tmp_path: Path, threads: list[threading.Thread]) -> None:
    breaker = new_breaker(threads)
    broken = replace(cell_at(tmp_path / "nothing"), db=UnusableDatabase("Its URL has holes."))
    assert not breaker.look(broken)
    breaker.trip(broken, look_at_once=True)
    assert breaker.is_open(UUID)
    breaker.stop()


def test_a_mapping_that_was_mended_is_forgotten(tmp_path: Path, threads: list[threading.Thread]) -> None:
    breaker = new_breaker(threads, is_current=False)
    broken = replace(cell_at(tmp_path / "nothing"), db=UnusableDatabase("Its URL has holes."))
    breaker.trip(broken, look_at_once=True)
    threads[0].join(timeout=480)
    assert not breaker.is_open(UUID)


def test_stopping_ends_the_looks(tmp_path: Path, threads: list[threading.Thread]) -> None:
    breaker = new_breaker(threads)
    breaker.trip(cell_at(tmp_path / "nothing"))
    breaker.stop()
    threads[0].join(timeout=480)
    assert not threads[0].is_alive()
    breaker.reset(UUID)
    breaker.trip(cell_at(tmp_path / "nothing"))
    assert len(threads) == 1
