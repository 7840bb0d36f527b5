"""``python -m benchmarks NAME [--quick] [--json FILE]``: run a benchmark, print its table, compare with the goals."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import boot, requests_sql, up
from benchmarks.results import Result, rendered, verdicts

BENCHMARKS = {"up": up.run, "boot": boot.run, "statements": requests_sql.run}


def main() -> int:
    """Run the benchmarks named; return 0 whatever the goals say."""
    parser = argparse.ArgumentParser(prog="tools/bench", description="Measures nova_lite and compares with its goals.")
    parser.add_argument("name", choices=(*BENCHMARKS, "all"))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    arguments = parser.parse_args()
    results: list[Result] = []
    for name in BENCHMARKS if arguments.name == "all" else (arguments.name,):
        found = BENCHMARKS[name](quick=arguments.quick)
        print(f"\n{name}\n{rendered(found)}", flush=True)
        results += found
    print()
    for line in verdicts(results):
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps([result.plain() for result in results], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
