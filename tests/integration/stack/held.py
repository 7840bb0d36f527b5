"""A program that stands still at a named moment: ``python -m tests.integration.stack.held MOMENT FILE MODULE …``.

Moments are those of ``doomed.py``. Who comes to it makes ``FILE.reached``, and goes on as soon as ``FILE`` is there.
"""

import runpy
import sys
import time
from pathlib import Path

from tests.integration.stack.doomed import doom

_LOOK_S = 0.05


def hold(gate: Path) -> None:
    """Wait until the gate is open."""
    Path(f"{gate}.reached").touch()
    while not gate.exists():
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    moment, file, module = sys.argv[1:4]
    doom(moment, lambda: hold(Path(file)))
    sys.argv = [module, *sys.argv[4:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
