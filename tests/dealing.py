"""Dealing tests out to workers of pytest-xdist (``-n 3 --dist loadfile``) by groups that a folder names itself.

Groups are dealt out in an order that a folder names, too: what is long begins early, so that no worker is still at it
when all others are done, and what shares something slow to start comes on end.
"""

from collections import Counter
from collections.abc import Callable

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]


class Dealer(LoadScopeScheduling):  # type: ignore[misc]  # xdist leaves some of its types out
    """Gives each group to one worker, in the order in which the workers found them."""

    def __init__(self, config: pytest.Config, log: Producer, group_of: Callable[[str], str]) -> None:
        """``group_of`` says of a test, by its node id, in which group it is."""
        config.option.loadscopereorder = False
        super().__init__(config, log)
        self._group_of = group_of

    def _split_scope(self, nodeid: str) -> str:
        return self._group_of(nodeid)


def dealer(config: pytest.Config, log: Producer, group_of: Callable[[str], str]) -> Dealer | None:
    """Return who deals the tests out where ``--dist loadfile`` was asked for, else None: xdist's own."""
    return Dealer(config, log, group_of) if config.getvalue("dist") == "loadfile" else None


def put_in_turn(
    config: pytest.Config,
    items: list[pytest.Item],
    group_of: Callable[[str], str],
    turn_of: Callable[[str], tuple[int, ...]],
) -> None:
    """Sort the tests of a worker by the turns of their groups; those of one turn by how many tests they have."""
    if not hasattr(config, "workerinput"):
        return
    sizes = Counter(group_of(item.nodeid) for item in items)

    def key(item: pytest.Item) -> tuple[tuple[int, ...], int, str]:
        group = group_of(item.nodeid)
        return turn_of(item.nodeid), -sizes[group], group

    items.sort(key=key)
