"""``python -m benchmarks NAME [--quick] [--json FILE]``: run a benchmark, print its table, compare with the goals."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from benchmarks import boot, requests_sql, up
from benchmarks.api import comparison as api
from benchmarks.api.parts import PARTS as API_PARTS
from benchmarks.listing import comparison as listing
from benchmarks.listing.parts import PARTS as LISTING_PARTS
from benchmarks.moves import comparison as moves
from benchmarks.moves.parts import PARTS as MOVES_PARTS
from benchmarks.placement import comparison as placement
from benchmarks.placement.parts import PARTS as PLACEMENT_PARTS
from benchmarks.placement.report import Report
from benchmarks.results import Results
from benchmarks.scheduling import comparison as scheduling
from benchmarks.scheduling.parts import PARTS as SCHEDULING_PARTS
from benchmarks.volumes import comparison as volumes
from benchmarks.volumes.parts import PARTS as VOLUMES_PARTS

_NAMES = ("up", "boot", "statements", "placement", "listing", "scheduling", "moves", "volumes", "api", "all")
#: Benchmark → its parts.
_PARTS = {
    "placement": PLACEMENT_PARTS,
    "listing": LISTING_PARTS,
    "scheduling": SCHEDULING_PARTS,
    "moves": MOVES_PARTS,
    "volumes": VOLUMES_PARTS,
    "api": API_PARTS,
}


class Found(Protocol):
    """What a benchmark returns."""

    def rendered(self) -> str: ...

    def verdicts(self) -> list[str]: ...

    def plain(self) -> object: ...


def main() -> int:
    """Run the benchmarks named; return 0 whatever the goals say."""
    parser = argparse.ArgumentParser(prog="tools/bench", description="Measures nova_lite and compares with its goals.")
    parser.add_argument("name", choices=_NAMES)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="placement, listing: write a drawing (SVG)")
    parser.add_argument(
        "--part", action="append", default=[], help="placement, listing, scheduling, moves, api: only this"
    )
    arguments = parser.parse_args()
    for part in arguments.part:
        if part not in _PARTS.get(arguments.name, ()):
            parser.error(f"--part {part}: {arguments.name} has {', '.join(_PARTS.get(arguments.name, ('none',)))}")
    benchmarks: Mapping[str, Callable[[], Found]] = {
        "up": lambda: Results(up.run(quick=arguments.quick)),
        "boot": lambda: Results(boot.run(quick=arguments.quick)),
        "statements": lambda: Results(requests_sql.run(quick=arguments.quick)),
        "placement": partial(placement.run, quick=arguments.quick, parts=arguments.part),
        "listing": partial(listing.run, quick=arguments.quick, parts=arguments.part),
        "scheduling": partial(scheduling.run, quick=arguments.quick, parts=arguments.part),
        "moves": partial(moves.run, quick=arguments.quick, parts=arguments.part),
        "volumes": partial(volumes.run, quick=arguments.quick, parts=arguments.part),
        "api": partial(api.run, quick=arguments.quick, parts=arguments.part),
    }
    found = {}
    for name in benchmarks if arguments.name == "all" else (arguments.name,):
        found[name] = benchmarks[name]()
        print(f"\n{name}\n{found[name].rendered()}", flush=True)
    print()
    for results in found.values():
        for line in results.verdicts():
            print(line)
    if arguments.json:
        plain = {name: results.plain() for name, results in found.items()}
        arguments.json.write_text(json.dumps(plain, indent=2) + "\n")
    if arguments.plot:
        _draw(found, arguments.plot)
    return 0


def _draw(found: Mapping[str, Found], path: Path) -> None:
    """Write the drawing of the last benchmark that has one."""
    for name, drawing in (("placement", placement.drawing), ("listing", listing.drawing)):
        report = found.get(name)
        drawn = drawing(report) if isinstance(report, Report) else None
        if drawn is not None:
            path.write_text(drawn)


if __name__ == "__main__":
    sys.exit(main())
