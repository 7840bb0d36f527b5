"""``python -m benchmarks NAME [--quick] [--json FILE]``: run a benchmark, print its table, compare with the goals."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from benchmarks import boot, requests_sql, up
from benchmarks.placement import comparison
from benchmarks.placement.parts import PARTS
from benchmarks.placement.report import Report
from benchmarks.results import Results


class Found(Protocol):
    """What a benchmark returns."""

    def rendered(self) -> str: ...

    def verdicts(self) -> list[str]: ...

    def plain(self) -> object: ...


def main() -> int:
    """Run the benchmarks named; return 0 whatever the goals say."""
    parser = argparse.ArgumentParser(prog="tools/bench", description="Measures nova_lite and compares with its goals.")
    parser.add_argument("name", choices=("up", "boot", "statements", "placement", "all"))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="placement: write a drawing of cost over size (SVG)")
    parser.add_argument("--part", action="append", choices=PARTS, default=[], help="placement: only this")
    arguments = parser.parse_args()
    benchmarks: Mapping[str, Callable[[], Found]] = {
        "up": lambda: Results(up.run(quick=arguments.quick)),
        "boot": lambda: Results(boot.run(quick=arguments.quick)),
        "statements": lambda: Results(requests_sql.run(quick=arguments.quick)),
        "placement": partial(comparison.run, quick=arguments.quick, parts=arguments.part),
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
        _draw(found.get("placement"), arguments.plot)
    return 0


def _draw(found: Found | None, path: Path) -> None:
    drawing = comparison.drawing(found) if isinstance(found, Report) else None
    if drawing is not None:
        path.write_text(drawing)


if __name__ == "__main__":
    sys.exit(main())
