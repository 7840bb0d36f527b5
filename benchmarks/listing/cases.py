"""What is measured, and the goals: a ratio of the real one's cost to ours. Data only."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.listing.asking import request
from benchmarks.listing.cloud import Server, host_name
from benchmarks.placement.cases import Goal

#: The clouds: cells and servers of each.
PAIR = (3, 10_000)
#: So many that there is a whole page.
SMALL = (1, 1_100)
WIDE = (20, 100_000)
LIMIT = 1000
#: A later page, by its number.
LATE = 9
DETAIL = Goal(25)
PLAIN = Goal(20)
SHOW = Goal(8)
#: How much dearer than the first page a late one may be.
LATE_PAGE = 1.2
#: How much longer a page may take with a hundred times the servers in twenty times the cells.
WIDE_GROWTH = 3.0
#: How much longer a page may take while a cell is dead: what is left of noise.
DEAD_GROWTH = 1.1
#: Milliseconds that a quota check may take at the database.
QUOTA_MS = 5.0


@dataclass(frozen=True, slots=True)
class Case:
    """Requests to send in turn, all of them reads; slow: the real one takes seconds, and it tells little new."""

    name: str
    requests: Sequence[bytes]
    goal: Goal | None = None
    is_slow: bool = False


def detail(marker: str | None = None, goal: Goal | None = DETAIL) -> Case:
    """Return the case of a page of servers with everything about them."""
    return _page("detail", "/servers/detail", marker, goal, is_slow=marker is not None)


def plain(marker: str | None = None, goal: Goal | None = PLAIN) -> Case:
    """Return the case of a page of servers with their names only."""
    return _page("plain", "/servers", marker, goal)


def _page(name: str, path: str, marker: str | None, goal: Goal | None, *, is_slow: bool = False) -> Case:
    after = "" if marker is None else f"&marker={marker}"
    number = 1 if marker is None else LATE
    return Case(f"{name} page {number}", (request(f"{path}?limit={LIMIT}{after}"),), goal, is_slow)


def marker(shown: Sequence[Server], page: int = LATE) -> str:
    """Return the server that ``page`` begins after; ``shown`` are all that its caller sees, in order."""
    return shown[LIMIT * (page - 1) - 1].uuid


def filtered() -> list[Case]:
    """Return the cases that find some servers among all."""
    return [
        Case(f"detail {name}", (request(f"/servers/detail?limit={LIMIT}&{query}"),), is_slow=name == "by status")
        for name, query in (
            ("by name", "name=web-0071"),
            ("by status", "status=SHUTOFF"),
            ("by host", f"host={host_name(1, 4)}&all_tenants=1"),
        )
    ]


def show(shown: Sequence[Server]) -> Case:
    """Return the case that looks at single servers, another one each time."""
    some = shown[:: max(1, len(shown) // 50)]
    return Case("show", [request(f"/servers/{server.uuid}") for server in some], SHOW)


def in_turn(shown: Sequence[Server]) -> list[Case]:
    """Return all cases that both servers are asked."""
    late = marker(shown)
    return [detail(), detail(late, None), plain(), plain(late, None), *filtered(), show(shown)]
