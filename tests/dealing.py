"""Dealing tests out to workers of pytest-xdist (``-n 2 --dist loadfile``) by groups that a folder names itself."""

from collections.abc import Callable

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]


class Dealer(LoadScopeScheduling):  # type: ignore[misc]  # xdist leaves some of its types out
    """Gives each group to one worker, those with the most tests first."""

    def __init__(self, config: pytest.Config, log: Producer, group_of: Callable[[str], str]) -> None:
        """``group_of`` says of a test, by its node id, in which group it is."""
        super().__init__(config, log)
        self._group_of = group_of

    def _split_scope(self, nodeid: str) -> str:
        return self._group_of(nodeid)


def dealer(config: pytest.Config, log: Producer, group_of: Callable[[str], str]) -> Dealer | None:
    """Return who deals the tests out where ``--dist loadfile`` was asked for, else None: xdist's own."""
    return Dealer(config, log, group_of) if config.getvalue("dist") == "loadfile" else None
