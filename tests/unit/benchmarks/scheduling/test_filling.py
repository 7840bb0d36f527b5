"""How many slots each host of a large cloud gives."""

import pytest

from benchmarks.scheduling.filling import shares


@pytest.mark.parametrize(
    ("held", "part", "given"),
    [
        pytest.param([0, 0, 0, 0], 0.5, [1, 1, 1, 1], id="evenly"),
        pytest.param([0, 0, 0, 0], 0.75, [2, 2, 1, 1], id="a rest for the first"),
        pytest.param([1, 0, 2, 0], 0.75, [1, 1, 0, 1], id="emptiest first"),
        pytest.param([2, 2, 2, 1], 0.75, [0, 0, 0, 0], id="fuller already"),
        pytest.param([0, 2, 0, 2], 1.0, [2, 0, 2, 0], id="all"),
    ],
)
def test_shares(held: list[int], part: float, given: list[int]) -> None:
    assert shares(2, held, part) == given
