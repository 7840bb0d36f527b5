"""``nova-lite up``: a whole cloud in one process, for trying, developing and testing."""

import argparse
import logging
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nova_lite import errors
from nova_lite.cmd.signals import Signals
from nova_lite.embedded.settings import DEFAULT_LIBVIRT_URI, DEFAULT_PORT_BASE, MAX_PORT_BASE, CloudSettings

if TYPE_CHECKING:
    from nova_lite.embedded.cloud import Cloud

PROG = "nova-lite"
_ABOUT = """\
Start a cloud and run it until told to stop.

All services run in this one process, on 127.0.0.1; what there is and how to use it is printed. The next start finds
what the last one left.
"""
_EXIT_CODES = """\
Exit codes: 0 stopped when asked to (SIGTERM, SIGINT); 1 could not start; 2 wrong command line or state directory;
3 a port is taken; 4 the state directory is in use; 5 libvirt does not work here; 6 a newer release made the state
directory.
"""
_PORT_TAKEN, _IN_USE, _NO_LIBVIRT, _TOO_NEW = 3, 4, 5, 6
#: Lines in the log, and warnings of libraries that say what we know.
_LOG_FORMAT = "%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"
_NOISY = (
    *("alembic", "keystoneauth", "openstack", "oslo.messaging", "oslo_policy", "oslo_service.backend"),
    *("stevedore", "urllib3", "waitress"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = _parser().parse_args(argv)
    began = time.monotonic()
    try:
        settings = _settings(arguments)
        return _up(settings, began, is_verbose=arguments.debug)
    except errors.NovaLiteError as exc:
        cause = exc.facts.get("cause")
        print(f"{PROG}: {exc.message}" + (f" ({cause})" if cause else ""), file=sys.stderr)
        return _exit_code(exc)


def _up(settings: CloudSettings, began: float, *, is_verbose: bool) -> int:
    signals = Signals(reloads=False)
    _log_to(settings.log_file, is_verbose=is_verbose)
    # Imported here: it brings the whole system in, which --help and a wrong word on the command line do not need.
    from nova_lite.embedded.cloud import Cloud  # noqa: PLC0415

    cloud = Cloud(settings)
    cloud.start()
    try:
        _say(cloud, time.monotonic() - began)
        signals.until_end()
        print("stopping", flush=True)
    finally:
        cloud.stop()
    return 0


def _say(cloud: "Cloud", took_s: float) -> None:
    """Print what there is and how to use it."""
    settings = cloud.settings
    images = cloud.image_names()
    image = shlex.quote(images[0]) if images else "IMAGE"
    print(f"""\
Your cloud answers after {took_s:.1f} s: {settings.cells} cells with {settings.hosts} hosts each; {cloud.driver_reason}.

    compute    {cloud.compute_url}
    placement  {cloud.placement_url}
    images     {cloud.image_url}    (files in {settings.image_dir})
    volumes    {cloud.volume_url}/v3    (files in {settings.volume_dir})
    identity   {cloud.identity_url}/v3    (knows where all is, checks no password)
    metadata   {cloud.metadata_url}    (what guests are told; asked as their proxies ask)
    consoles   {cloud.console_url or "none"}
    state      {settings.state_dir}    (log: {settings.log_file})

To go on, in another terminal:

    export OS_CLIENT_CONFIG_FILE={settings.clouds_file}
    openstack --os-cloud nova-lite server create --flavor m1.tiny --image {image} --nic none --wait vm1
    openstack --os-cloud nova-lite server list
    nova-lite-manage --config-file {settings.config_file("nova-lite")} cell_v2 list_hosts

Stop it with Ctrl-C or: kill {os.getpid()}
""")
    if not images:
        print(
            f"There is no image yet: put a qcow2 or raw file into {settings.image_dir}, or start with --image FILE.\n"
        )
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog=PROG, description="Run a whole cloud in one process.")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    up = commands.add_parser(
        "up",
        help="start a cloud and run it until told to stop",
        description=_ABOUT,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    up.add_argument(
        "--driver",
        choices=("auto", "libvirt", "fake"),
        default="auto",
        help="real guests through libvirt, imitated ones, or libvirt where it works (default)",
    )
    up.add_argument("--cells", type=_count, default=2, metavar="N", help="number of cells, 1 to 100; default 2")
    up.add_argument("--hosts", type=_count, default=2, metavar="N", help="hosts in each cell, 1 to 100; default 2")
    up.add_argument(
        "--state-dir",
        type=Path,
        default=_default_state_dir(),
        metavar="DIR",
        help="where databases, images, guests and the log are; default %(default)s",
    )
    up.add_argument(
        "--port-base",
        type=_port,
        default=DEFAULT_PORT_BASE,
        metavar="N",
        help="port of the Compute API; the others take the next; 0 takes free ones; default %(default)s",
    )
    up.add_argument(
        "--libvirt-uri",
        default=DEFAULT_LIBVIRT_URI,
        metavar="URI",
        help="libvirt that runs the guests; default %(default)s",
    )
    up.add_argument(
        "--virt-type",
        choices=("qemu", "kvm"),
        default="qemu",
        help="run guests in software (default, works anywhere) or with hardware virtualisation",
    )
    up.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="a qcow2 or raw file to offer as an image, by default called as the file is; may be given again",
    )
    up.add_argument(
        "--set",
        action="append",
        default=[],
        dest="options",
        metavar="[GROUP.]OPTION=VALUE",
        help="an option of the configuration for every process of the cloud; may be given again",
    )
    up.add_argument("--debug", action="store_true", help="write more into the log")
    return top


def _settings(arguments: argparse.Namespace) -> CloudSettings:
    images: dict[str, Path] = {}
    for text in arguments.image:
        name, is_named, file = text.partition("=")
        whole = Path(text)
        path = whole if whole.is_file() or not is_named else Path(file)
        if not path.is_file():
            raise errors.Misconfigured(f"--image {text}: there is no file {path.absolute()}")
        images[path.stem if path is whole else name] = path.absolute()
    return CloudSettings(
        state_dir=arguments.state_dir.expanduser().absolute(),
        driver=arguments.driver,
        cells=arguments.cells,
        hosts=arguments.hosts,
        port_base=arguments.port_base,
        libvirt_uri=arguments.libvirt_uri,
        virt_type=arguments.virt_type,
        images=images,
        options=_options(arguments.options),
    )


def _options(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return group → option → value; raises Misconfigured for what is no option, or no value of it."""
    # Imported here, and not for a command line without: see _up().
    from nova_lite.embedded.configuration import check_option  # noqa: PLC0415

    found: dict[str, dict[str, str]] = {}
    for text in texts:
        name, is_given, value = text.partition("=")
        group, _, option = name.rpartition(".")
        if not is_given:
            raise errors.Misconfigured(f"--set {text}: write [GROUP.]OPTION=VALUE")
        try:
            check_option(group or "DEFAULT", option, value)
        except errors.Misconfigured as exc:
            raise errors.Misconfigured(f"--set {text}: {exc.message}") from exc
        found.setdefault(group or "DEFAULT", {})[option] = value
    return found


def _default_state_dir() -> Path:
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "nova_lite" / "cloud"


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT_BASE):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to {MAX_PORT_BASE}")
    return int(text)


def _log_to(path: Path, *, is_verbose: bool) -> None:
    level = logging.DEBUG if is_verbose else logging.INFO
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(filename=path, level=level, format=_LOG_FORMAT)
    except OSError as exc:
        message = f"The state directory {path.parent} cannot be written: {exc.strerror}. Choose another: --state-dir."
        raise errors.Misconfigured(message) from exc
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.INFO if is_verbose else logging.ERROR)
    logging.captureWarnings(True)


def _exit_code(exc: errors.NovaLiteError) -> int:
    from nova_lite.embedded import http, hypervisors, state  # noqa: PLC0415 - see _up()

    for kind, code in (
        (http.PortTaken, _PORT_TAKEN),
        (state.InUse, _IN_USE),
        (hypervisors.NoLibvirt, _NO_LIBVIRT),
        (state.TooNew, _TOO_NEW),
        (errors.Misconfigured, 2),
    ):
        if isinstance(exc, kind):
            return code
    return 1


if __name__ == "__main__":
    sys.exit(main())
