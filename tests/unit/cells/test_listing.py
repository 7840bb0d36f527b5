"""One page over many cells, without any: what is asked of them, and what is made of their answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_lite.cells.listing import Batches, Key, Merge, Row, Wanted, comes_after

NOBODY = Wanted[str](read=lambda cell, after, limit: [], identity=str, descends=(False,))


@dataclass
class World:
    """Cells with their keys; every key's last part is unique."""

    cells: dict[str, list[Key]]
    beside: list[Key]
    descends: tuple[bool, ...]
    rows_read: int = 0
    rounds: int = 0

    def sorted(self) -> list[Key]:
        found = {key for keys in self.cells.values() for key in keys} | set(self.beside)
        return self.in_order(sorted(found))

    def in_order(self, keys: Sequence[Key]) -> list[Key]:
        found = list(keys)
        for part in reversed(range(len(self.descends))):
            found.sort(key=lambda key, part=part: key[part], reverse=self.descends[part])  # type: ignore[misc]
        return found

    def read(self, name: str, after: Key | None, limit: int | None) -> list[Row[str]]:
        """Answer as a cell's database does."""
        keys = [
            key for key in self.in_order(self.cells[name]) if after is None or comes_after(key, after, self.descends)
        ]
        self.rows_read += len(keys[:limit])
        return [Row(key, str(key[-1]), name) for key in keys[:limit]]

    def page(
        self, limit: int | None, after: Key | None, batches: Batches, silent: Sequence[tuple[str, int]] = ()
    ) -> Merge[str]:
        """Make a page; ``silent`` are cells that say nothing from a round on."""
        wanted = Wanted[str](NOBODY.read, NOBODY.identity, self.descends, limit, after)
        merge = Merge(wanted, self.cells, [Row(key, str(key[-1])) for key in self.beside], batches)
        self.rows_read = self.rounds = 0
        while questions := merge.questions():
            mute = {name for name, since in silent if self.rounds >= since}
            assert all(asked is None or asked > 0 for _, asked in questions.values())
            answers = {
                name: (self.read(name, behind, asked), asked)
                for name, (behind, asked) in questions.items()
                if name not in mute
            }
            merge.answer(answers, mute & questions.keys())
            self.rounds += 1
            assert self.rounds < 500
        return merge


@st.composite
def worlds(draw: st.DrawFn) -> World:
    descends = tuple(draw(st.lists(st.booleans(), min_size=1, max_size=3)))
    names = [f"cell{number}" for number in range(draw(st.integers(0, 4)))]
    place = st.sampled_from([*names, None])
    rows = draw(st.lists(st.tuples(place, st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=30))
    numbers = draw(st.permutations(range(len(rows))))
    world = World({name: [] for name in names}, [], descends)
    for unique, (where, first, second, is_moving) in zip(numbers, rows, strict=True):
        key = (*(first, second)[: len(descends) - 1], unique)
        (world.beside if where is None else world.cells[where]).append(key)
        if where is None and names and is_moving:
            world.cells[names[0]].append(key)
    return world


BATCHES = st.sampled_from([Batches(), Batches(1), Batches(3), Batches(100)])


@settings(deadline=None, max_examples=150)
@given(worlds(), st.integers(1, 9), BATCHES)
def test_pages_make_the_sorted_union(world: World, limit: int, batches: Batches) -> None:
    expected = world.sorted()
    found: list[Key] = []
    after = None
    for _ in range(len(expected) // limit + 1):
        page = world.page(limit, after, batches)
        found += [row.key for row in page.rows[:limit]]
        assert (len(page.rows) > limit) == (len(found) < len(expected))
        if len(page.rows) <= limit:
            break
        after = found[-1]
    assert found == expected
    assert [row.key for row in world.page(None, None, batches).rows] == expected


@settings(deadline=None, max_examples=150)
@given(worlds(), st.integers(1, 9), BATCHES, st.data())
def test_a_cell_falling_silent_loses_nothing_and_doubles_nothing(
    world: World, limit: int, batches: Batches, data: st.DataObject
) -> None:
    """It is silent in one page, from its first or a later answer on."""
    silent = [(name, data.draw(st.integers(0, 3))) for name in world.cells if data.draw(st.booleans())]
    page = world.page(limit, None, batches, silent)
    found = [row.key for row in page.rows[:limit]]
    left_out = [key for name in page.down for key in world.cells[name] if key not in world.beside]
    expected = [key for key in world.sorted() if key not in left_out]
    assert found == expected[: len(found)]
    assert len(found) == min(limit, len(expected)) or page.is_cut
    if page.is_cut:
        assert found, "a page that is cut has a last row for the next to begin behind"


SHAPES = [
    pytest.param({"a": range(5000)}, id="one cell"),
    pytest.param({"a": range(0, 9000, 3), "b": range(1, 9000, 3), "c": range(2, 9000, 3)}, id="even"),
    pytest.param({"a": range(3000), "b": range(3000, 6000), "c": range(6000, 9000)}, id="one cell after another"),
    pytest.param({"a": range(6000), "b": range(6000, 6050), "c": [], "d": []}, id="nearly all in one"),
    pytest.param({f"c{n}": range(n, 20000, 20) for n in range(20)}, id="twenty"),
    pytest.param({f"c{n}": range(n * 500, n * 500 + 500) for n in range(20)}, id="twenty in a row"),
]


@pytest.mark.parametrize("limit", [1, 20, 100, 999, 1000])
@pytest.mark.parametrize("cells", SHAPES)
def test_no_more_rows_are_read_than_a_page_costs(cells: dict[str, Sequence[int]], limit: int) -> None:
    world = World({name: [(number,) for number in numbers] for name, numbers in cells.items()}, [], (False,))
    for after in (None, (2000,), (5990,)):
        page = world.page(limit, after, Batches())
        assert world.rows_read <= limit * 1.1 + 100 * len(cells)
        assert [row.key for row in page.rows] == [key for key in world.sorted() if after is None or key > after][
            : limit + 1
        ]


@settings(deadline=None, max_examples=100)
@given(worlds(), st.integers(1, 40))
def test_no_more_rows_are_read_whatever_lies_where(world: World, limit: int) -> None:
    world.beside = []
    page = world.page(limit, None, Batches())
    assert world.rows_read <= limit * 1.1 + 100 * max(1, len(world.cells))
    page = world.page(limit, None, Batches(2))
    assert world.rows_read <= len(page.rows) + 2 * max(0, len(world.cells) - 1)


def test_evenly_spread_rows_come_in_few_rounds() -> None:
    """Cells are asked again all together, not each when its turn comes."""
    world = World({f"c{n}": [(number,) for number in range(n, 20000, 20)] for n in range(20)}, [], (False,))
    world.page(1000, None, Batches())
    assert world.rounds == 1
    world = World({f"c{n}": [(number,) for number in range(n, 20000, 4)] for n in range(4)}, [], (False,))
    world.page(1000, None, Batches())
    assert world.rounds <= 3


@pytest.mark.parametrize(
    ("key", "other", "descends", "expected"),
    [
        pytest.param((1, 2), (1, 1), (False, False), True, id="later in the last part"),
        pytest.param((1, 2), (1, 1), (False, True), False, id="earlier where it descends"),
        pytest.param((2, 0), (1, 1), (True, False), False, id="the first part decides"),
        pytest.param((1, 1), (1, 1), (True, False), False, id="the same"),
    ],
)
def test_order_of_keys(key: Key, other: Key, descends: Sequence[bool], expected: bool) -> None:
    assert comes_after(key, other, descends) is expected
