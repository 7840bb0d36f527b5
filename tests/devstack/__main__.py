"""``tools/devstack``: nova_lite beside real neighbours on this machine, its suites, and its end."""

# ruff: noqa: T201 - a command speaks to people.

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.devstack import tempest
from tests.devstack.cloud import PORTS, Cloud
from tests.integration.stack.processes import StackError
from tests.integration.stack.site import Site, alone

_REPOSITORY = Path(__file__).resolve().parents[2]
_BEGAN = float(os.environ.get("PROGRESS_BEGAN", time.time()))


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{time.time() - _BEGAN:4.0f} s] {text}", flush=True)


def main() -> int:
    """Run one command; 0: done, 1: failed, or (status) something does not run, 2: bad options, 130: interrupted."""
    parser = argparse.ArgumentParser(prog="tools/devstack", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "test", "tempest"])
    parser.add_argument("--state-dir", required=True, type=Path)
    parser.add_argument("--port-base", type=int)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--regex", default=tempest.EVERYTHING)
    parser.add_argument("--workers", type=int, default=8)
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:end], argparse.Namespace(rest=given[end + 1 :]))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory: Path = arguments.state_dir
    directory.mkdir(parents=True, exist_ok=True)
    commands = {"up": _up, "down": _down, "status": _status, "test": _test, "tempest": _tempest}
    try:
        with alone(directory):
            return commands[arguments.command](Site(directory), arguments)
    except StackError as exc:
        say(f"FAILED: {exc}")
        return 1
    except KeyboardInterrupt:
        say(f"interrupted; end what was started with: tools/devstack down --state-dir {directory}")
        return 130


def _up(site: Site, arguments: argparse.Namespace) -> int:
    if arguments.fresh and _down(site, arguments):
        return 1
    if arguments.port_base is not None:
        _take_ports(site, arguments.port_base)
    cloud = Cloud(site, say)
    cloud.start()
    say(f"up: {len(cloud.site.processes.names())} processes; logs are in {cloud.site.path('log')}")
    print(f"""
    export OS_CLIENT_CONFIG_FILE={cloud.clouds_file} OS_CLOUD=demo     # or admin, other, reader
    PATH={sys.prefix}/bin:$PATH
    openstack server create --flavor tiny-1 --image tiny-1 --nic none --wait server1
    . {cloud.openrc}     # instead of the first line: the administrator

    tools/devstack test --state-dir {cloud.site.directory}      the openstack command and openstacksdk against it
    tools/devstack down --state-dir {cloud.site.directory}      ends it; up goes on with it, up --fresh begins anew
""")
    return 0


def _take_ports(site: Site, base: int) -> None:
    """Record which ports are whose; raises StackError where the cloud has others already."""
    wanted = {name: base + number for number, name in enumerate(PORTS)}
    record = site.path("ports.json")
    # From its first start on, Keystone's catalog names them.
    if (site.directory / "data" / "keystone").exists() and json.loads(record.read_text()) != wanted:
        raise StackError("it has other ports already; up --fresh begins anew")
    record.write_text(json.dumps(wanted))


def _down(site: Site, arguments: argparse.Namespace) -> int:
    cloud = Cloud(site)
    left = cloud.end()
    if left:
        say(f"still there: {', '.join(left)}")
        return 1
    if arguments.fresh:
        cloud.forget()
    say("everything has ended")
    return 0


def _status(site: Site, _: argparse.Namespace) -> int:
    processes = site.processes
    services = Cloud(site).services
    wanted, urls = dict.fromkeys([*processes.names(), *services.names]), services.urls
    all_run = True
    for name in wanted:
        pid = processes.pid(name)
        all_run = all_run and pid is not None
        print(f"{name:20} {f'runs, pid {pid}' if pid is not None else 'does not run'}   {processes.log(name)}")
        if pid is not None and name in urls:
            print(f"{'':20} {urls[name]}")
    return 0 if all_run else 1


def _test(site: Site, arguments: argparse.Namespace) -> int:
    suite = [sys.executable, "-m", "pytest", "tests/devstack", "-p", "no:cacheprovider", *arguments.rest]
    environment = os.environ | {"NOVA_LITE_DEVSTACK": str(site.directory)}
    return subprocess.run(suite, cwd=_REPOSITORY, env=environment, check=False).returncode


def _tempest(site: Site, arguments: argparse.Namespace) -> int:
    return tempest.run(Cloud(site), say, regex=arguments.regex, workers=arguments.workers)


if __name__ == "__main__":
    sys.exit(main())
