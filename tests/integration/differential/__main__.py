# ruff: noqa: T201 - it talks to a person
"""Sends random stories to the real Placement and to ours until told to stop, and prints every difference::

python -m tests.integration.differential --seeds 0-500       these stories
python -m tests.integration.differential --seconds 600       stories from --seeds on, for ten minutes
python -m tests.integration.differential --seeds 17 --upto 9 one story, up to its tenth request
python -m tests.integration.differential --seeds 17 --tell   what would be sent, without sending it
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.integration.differential.driver import Difference
from tests.integration.differential.servers import Servers
from tests.integration.differential.stories import tell
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.site import Site

#: More seeds than an hour can play.
_MANY = 100_000


def main() -> int:
    """Run the command; the exit code is 1 when something differed."""
    options = _options()
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or (_MANY if options.seconds else first)) + 1)
    if options.tell:
        for seed in seeds:
            for index, request in enumerate(tell(seed).requests):
                print(f"{seed}.{index}  {request.method} {request.path} at {request.version}  {request.body}")
        return 0
    directory = Path(tempfile.mkdtemp(prefix="nova-lite-differential-"))
    site = Site(directory)
    mariadb = MariaDB(site)
    servers = Servers(site, mariadb)
    try:
        mariadb.start()
        servers.start()
        found = _play(servers, seeds, options)
    finally:
        servers.stop()
        mariadb.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.differential", description=__doc__)
    parser.add_argument("--seeds", default="0", help="one seed, or the first and the last with a dash between")
    parser.add_argument("--seconds", type=float, help="stop after the story that ends later than this")
    parser.add_argument("--upto", type=int, help="send no more of a story than up to this request")
    parser.add_argument("--plot", help="only stories of this kind, as the differences name it")
    parser.add_argument("--watch", action="store_true", help="compare what they hold after every write")
    parser.add_argument("--each", type=int, default=2, help="how many differences of one kind to print")
    parser.add_argument("--tell", action="store_true", help="print the stories instead of sending them")
    return parser.parse_args()


def _play(servers: Servers, seeds: range, options: argparse.Namespace) -> int:
    """Play stories; return how many differences there were."""
    kinds: Counter[str] = Counter()
    began = time.monotonic()
    played = 0
    for seed in seeds:
        if options.plot not in (None, tell(seed).plot):
            continue
        for difference in servers.pair.play(tell(seed), upto=options.upto, watch=options.watch):
            for kind in _kinds(difference):
                kinds[kind] += 1
            if any(kinds[kind] <= options.each for kind in _kinds(difference)):
                print(difference, end="\n\n", flush=True)
        played += 1
        if options.seconds and time.monotonic() - began > options.seconds:
            break
    for reason, count in servers.pair.meant.most_common():
        print(f"{count:5} meant: {reason}")
    for kind, count in kinds.most_common():
        print(f"{count:5} {kind}")
    seconds = time.monotonic() - began
    print(f"{played} stories, {servers.pair.sent} requests, {kinds.total()} differences, {seconds:.0f} s")
    return kinds.total()


def _kinds(difference: Difference) -> list[str]:
    """Return what differences of one cause have in common."""
    if difference.request is None:
        return ["state"]
    path = difference.request.path.partition("?")[0].split("/")
    noun = "/".join(piece if len(piece) != 36 else "{uuid}" for piece in path)
    return [f"{difference.request.method} {noun}: {str(problem)[:80]}" for problem in difference.problems]


if __name__ == "__main__":
    sys.exit(main())
