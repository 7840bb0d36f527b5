"""``tools/multinode``: a cloud of three cells on network namespaces of this machine, its client suite, and its end."""

# ruff: noqa: T201 - a command speaks to people.

import argparse
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from tests.integration.stack.libvirt import guest_image
from tests.integration.stack.processes import StackError
from tests.integration.stack.site import Site, alone
from tests.integration.stack.venv import neighbours_venv
from tests.multinode.cloud import Cloud
from tests.multinode.layout import CLIENT
from tests.multinode.network import check_rights

_REPOSITORY = Path(__file__).resolve().parents[2]
_BEGAN = float(os.environ.get("PROGRESS_BEGAN", time.time()))
#: Set in the second half of a command, which runs on the client machine.
_ON_CLIENT = "NOVA_LITE_MULTINODE_IMAGE"


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{time.time() - _BEGAN:4.0f} s] {text}", flush=True)


def main() -> int:
    """Run one command; 0: done, 1: failed, 2: wrong command line, 130: interrupted."""
    parser = argparse.ArgumentParser(prog="tools/multinode", description=__doc__)
    parser.add_argument("command", choices=["up", "test", "down"])
    parser.add_argument("--dir", required=True, type=Path)
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:end], argparse.Namespace(pytest=given[end + 1 :]))
    arguments.dir.mkdir(parents=True, exist_ok=True)
    cloud = Cloud(arguments.dir, say)
    try:
        # The second half belongs to the first.
        with nullcontext() if _ON_CLIENT in os.environ else alone(cloud.directory):
            return {"up": _up, "test": _test, "down": _down}[arguments.command](cloud, arguments)
    except StackError as exc:
        say(f"FAILED: {exc}")
        return 1
    except KeyboardInterrupt:
        if _ON_CLIENT not in os.environ:
            say(f"interrupted; end what was started with: tools/multinode down --dir {cloud.directory}")
        return 130


def _up(cloud: Cloud, arguments: argparse.Namespace) -> int:
    if _ON_CLIENT not in os.environ:
        check_rights()
        # What comes from outside the machine comes before the machines that have no way out.
        neighbours_venv()
        image = guest_image(Site(cloud.directory / "image"))
        say(f"{len(cloud.network.machines)} machines: network namespaces {cloud.network.namespace('*')}")
        cloud.network.lay()
        second_half = ["tests.multinode", arguments.command, "--dir", str(cloud.directory)]
        return _at_client(cloud, second_half, {_ON_CLIENT: str(image), "PROGRESS_BEGAN": str(_BEGAN)})
    cloud.start(Path(os.environ[_ON_CLIENT]))
    say("up")
    print(f"  logs are in {cloud.directory}/MACHINE/log; a command on the client machine:")
    settings = f"OS_CLIENT_CONFIG_FILE={cloud.clouds_file} OS_CLOUD=admin"
    print(f"  {' '.join(cloud.network.within(CLIENT))} env {settings} {sys.prefix}/bin/openstack server list")
    return 0


def _test(cloud: Cloud, arguments: argparse.Namespace) -> int:
    if not cloud.network.is_laid():
        raise StackError("it is not up; begin with: tools/multinode up")
    suite = ["pytest", "tests/multinode", "-p", "no:cacheprovider", *arguments.pytest]
    return _at_client(cloud, suite, {"NOVA_LITE_MULTINODE": str(cloud.directory)})


def _down(cloud: Cloud, _: argparse.Namespace) -> int:
    say("end everything")
    left = cloud.stop()
    say("everything has ended" if not left else f"still there: {', '.join(left)}")
    return 1 if left else 0


def _at_client(cloud: Cloud, module: list[str], variables: dict[str, str]) -> int:
    """Run a Python module on the client machine, whence everything can be reached; return its exit code."""
    argv = [*cloud.network.within(CLIENT), sys.executable, "-m", *module]
    child = subprocess.Popen(argv, cwd=_REPOSITORY, env=os.environ | variables)
    try:
        return child.wait()
    except KeyboardInterrupt:
        # It was interrupted as well, and may have something to put in order.
        child.wait()
        raise


if __name__ == "__main__":
    sys.exit(main())
