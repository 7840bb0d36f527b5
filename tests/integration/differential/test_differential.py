"""The same random requests to the real Placement and to ours: the answers mean the same, and so does what they leave.

Which stories are told is fixed, so that a run repeats the last. ``NOVA_LITE_DIFFERENTIAL_SEEDS=100-400`` tells others;
``python -m tests.integration.differential`` does so without pytest, for as long as one likes.
"""

import os

import pytest

from tests.integration.differential.driver import Pair
from tests.integration.differential.stories import tell


def _seeds() -> range:
    first, _, last = os.environ.get("NOVA_LITE_DIFFERENTIAL_SEEDS", "0-17").partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("seed", _seeds())
def test_both_answer_alike(pair: Pair, seed: int) -> None:
    found = list(pair.play(tell(seed)))

    assert not found, "\n\n".join(map(str, found[:5]))
