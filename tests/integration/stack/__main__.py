"""``python -m tests.integration.stack up|down|status --dir DIR``: a real deployment on this machine, by hand.

``up`` starts what does not run and says how to use it; ``down`` ends what was started, by its recorded number and start
time; what is on disk stays until the directory is removed.
"""

# ruff: noqa: T201 - a command speaks to people.

import argparse
import sys
import time
from pathlib import Path

from tests.integration.stack.deployment import Deployment
from tests.integration.stack.processes import StackError
from tests.integration.stack.site import Site


def main() -> int:
    """Run one command; 0: done, 1: failed, or (status) something does not run."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.stack", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--dir", required=True, type=Path, help="directory of the deployment; keep its path short")
    arguments = parser.parse_args()
    deployment = Deployment(Site(arguments.dir))
    try:
        return {"up": _up, "down": _down, "status": _status}[arguments.command](deployment)
    except StackError as exc:
        print(f"{arguments.command} failed: {exc}", file=sys.stderr)
        return 1


def _up(deployment: Deployment) -> int:
    began = time.monotonic()
    deployment.start()
    print(f"up after {time.monotonic() - began:.0f} s; logs are in {deployment.site.path('log')}")
    print(f"  export OS_CLIENT_CONFIG_FILE={deployment.clouds_file}")
    print("  openstack --os-cloud demo server list        (clouds: admin, demo, other, reader)")
    return 0


def _down(deployment: Deployment) -> int:
    deployment.stop()
    left = deployment.site.processes.names()
    print("everything has ended" if not left else f"still recorded: {', '.join(left)}")
    return 1 if left else 0


def _status(deployment: Deployment) -> int:
    processes = deployment.site.processes
    all_run = True
    for name in processes.names():
        pid = processes.pid(name)
        all_run = all_run and pid is not None
        print(f"{name:20} {f'runs, pid {pid}' if pid is not None else 'ENDED'}   {processes.log(name)}")
    libvirt_runs = deployment.neighbours.libvirt.is_running()
    print(f"{'libvirtd':20} {'runs' if libvirt_runs else 'does not run'}")
    return 0 if all_run and libvirt_runs and processes.names() else 1


if __name__ == "__main__":
    sys.exit(main())
