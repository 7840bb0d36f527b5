"""Values made from plain data in many threads at once."""

import subprocess
import sys
from pathlib import Path

import pytest

#: A process whose first sixteen conversions come at the same moment.
_STAMPEDE = """
import sys, threading
from datetime import datetime
import msgspec
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState

sys.setswitchinterval(1e-6)
now = datetime(2026, 1, 1)
flavor = Flavor(flavor_id="1", name="a", vcpus=1, ram_mib=1, root_gib=1)
instance = Instance(uuid="u", project_id="p", user_id="u", display_name="d", hostname="h", vm_state=VmState.BUILDING,
                    task_state=None, flavor=flavor, image_id="i", created_at=now, updated_at=now)
plain = msgspec.to_builtins(instance)
gate = threading.Barrier(16)
same = []

def convert():
    gate.wait()
    same.append(msgspec.convert(plain, Instance) == instance)

threads = [threading.Thread(target=convert) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(0 if same == [True] * 16 else 1)
"""


@pytest.mark.parametrize("attempt", range(8))
def test_threads_that_convert_first_do_not_crash_the_process(attempt: int) -> None:
    """msgspec learning a dataclass in two threads at once was a segmentation fault in every third process."""
    tree = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", _STAMPEDE], cwd=tree, timeout=480, check=False)
    assert done.returncode == 0
