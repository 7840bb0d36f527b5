"""``volume_attachment``: how this host reaches volumes, what a server's volume is attached by, and making that anew."""

import argparse
import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nova_lite import errors
from nova_lite.cells import volume_refresh
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.cells.volume_refresh import Refusal, Refused
from nova_lite.clients.volumes import VolumesAs
from nova_lite.cmd.arguments import Parser, add_command, add_format, uuid
from nova_lite.cmd.installation import Installation
from nova_lite.cmd.output import complain, reason, rendered
from nova_lite.compute import service as compute
from nova_lite.db import migrate
from nova_lite.db.repositories import instances, mappings
from nova_lite.model import block_device
from nova_lite.rpc.compute import ComputeClient
from nova_lite.storage import Database

_STARS = "****"
#: What the name of a part of a connection has that is a secret.
_SECRETS = ("password", "secret", "keyring", "token", "key")
_NO_SERVER, _NO_VOLUME = 2, 3
_NO_FILE, _BAD_FILE = 2, 3
_REFUSALS = {Refusal.NO_SERVER: 4, Refusal.BAD_STATE: 5, Refusal.NO_VOLUME: 6, Refusal.OTHER_HOST: 7}


def add_commands(categories: Any) -> None:
    """Add the category."""
    commands = categories.add_parser("volume_attachment", help="attachments of volumes to servers").add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )
    command = add_command(
        commands,
        "get_connector",
        _get_connector,
        "print what the block storage service must know of this host to give it volumes",
        description="Run it on the host, with the configuration of its agent. Its result, as JSON, is what "
        "'volume_attachment refresh' takes.",
        codes="0 done; 1 failed",
        example="volume_attachment get_connector --json > connector.json",
    )
    _add_formats(command)

    command = add_command(
        commands,
        "show",
        _show,
        "print a volume of a server, and what it is attached by",
        description="What its host is told to reach it, connection_info, is asked of the block storage service, and "
        "kept nowhere. Secrets in it are shown as ****, unless --connection_info asks for it alone.",
        codes="0 done; 1 failed; 2 there is no such server; 3 the server has no such volume",
        example="volume_attachment show 6bb5f1f0-3a5b-4c6d-8e7f-102030405060 0b5b4c6e-6d54-4d0e-9d5b-1f2f3a4b5c6d",
    )
    _add_place(command)
    command.add_argument(
        "--connection_info",
        "--connection-info",
        action="store_true",
        help="print only the connection_info, with its secrets",
    )
    _add_formats(command)

    command = add_command(
        commands,
        "refresh",
        _refresh,
        "make the attachment of a server's volume anew",
        description="For a back end that is reached otherwise now: other monitors, portals, credentials. The server "
        "must be stopped, and its host's agent be up; the server is locked meanwhile, the volume is never free. The "
        "host tells its connector by itself when it connects; the file says which host is meant. May be run again when "
        "it failed or was stopped: the server keeps the volume.",
        codes="0 done; 1 failed; 2 there is no such file; 3 the file cannot be read, or is no connector; 4 there is no "
        "such server; 5 the server is not stopped, or somebody is at work on it; 6 the server has no such volume; 7 "
        "the connector is another host's than the server's",
        example="volume_attachment refresh 6bb5f1f0-3a5b-4c6d-8e7f-102030405060 "
        "0b5b4c6e-6d54-4d0e-9d5b-1f2f3a4b5c6d connector.json",
    )
    _add_place(command)
    command.add_argument(
        "connector_path", metavar="CONNECTOR_FILE", type=Path, help="what get_connector printed on the server's host"
    )


def _add_place(command: argparse.ArgumentParser) -> None:
    command.add_argument("instance_uuid", metavar="SERVER", type=uuid, help="the UUID of the server")
    command.add_argument("volume_id", metavar="VOLUME", type=uuid, help="the UUID of the volume")


def _add_formats(command: argparse.ArgumentParser) -> None:
    add_format(command)
    command.add_argument("--json", dest="format", action="store_const", const="json", help="the same as -f json")


def _get_connector(installation: Installation, arguments: argparse.Namespace) -> int:
    driver = compute.make_driver(installation.configuration)
    _print(driver.connector(), arguments.format)
    return 0


def _show(installation: Installation, arguments: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        api_db = stack.enter_context(installation.api_db())
        cells = stack.enter_context(installation.cells(api_db))
        try:
            cell = _cell(api_db, cells, arguments.instance_uuid)
            with cell.db.reader() as session:
                instance = instances.get(session, arguments.instance_uuid)
        except errors.NotFound as exc:
            complain(exc.message)
            return _NO_SERVER
        device = block_device.of_volume(instance.volumes, arguments.volume_id)
        if device is None:
            complain(f"Volume {arguments.volume_id} is not attached to server {instance.uuid}.")
            return _NO_VOLUME
        shown: dict[str, object] = {"instance_uuid": instance.uuid, "host": instance.host, **asdict(device)}
        if device.attachment_id is not None:
            attachment = _block_storage(installation).attachment(device.attachment_id)
            if arguments.connection_info:
                _print(attachment.connection_info, arguments.format)
                return 0
            shown |= {
                "attachment_status": attachment.status,
                "attach_mode": attachment.mode,
                "connection_info": masked(attachment.connection_info),
            }
        _print({} if arguments.connection_info else shown, arguments.format)
    return 0


def _refresh(installation: Installation, arguments: argparse.Namespace) -> int:
    try:
        host = _host_of(arguments.connector_path)
    except FileNotFoundError:
        complain(f"There is no file {arguments.connector_path}.")
        return _NO_FILE
    except (OSError, ValueError) as exc:
        complain(f"The connector in {arguments.connector_path} cannot be read: {exc}")
        return _BAD_FILE
    server = arguments.instance_uuid
    with contextlib.ExitStack() as stack:
        api_db = stack.enter_context(installation.api_db())
        cells = stack.enter_context(installation.cells(api_db))
        try:
            cell = _cell(api_db, cells, server)
        except errors.NotFound as exc:
            complain(exc.message)
            return _REFUSALS[Refusal.NO_SERVER]
        try:
            device = volume_refresh.refresh(
                cell,
                ComputeClient(cell.bus),
                _block_storage(installation),
                server,
                arguments.volume_id,
                host,
                timeout_s=installation.configuration.operation_timeout,
            )
        except Refused as exc:
            complain(reason(exc))
            return _REFUSALS[exc.refusal]
    print(f"Volume {device.volume_id} is attached to server {server} by {device.attachment_id}.")
    return 0


def _cell(api_db: Database, cells: Cells, server: str) -> OpenCell:
    """Return the cell of a server; raises NotFound, Unavailable."""
    migrate.require(api_db, "api")
    with api_db.reader() as session:
        cell_uuid = mappings.instance(session, server).cell_uuid
    if cell_uuid is None:
        raise errors.NotFound(f"Server {server} is in no cell yet.")
    return cells.get(cell_uuid)


def _block_storage(installation: Installation) -> VolumesAs:
    volumes = installation.volumes()
    if volumes is None:
        raise errors.Misconfigured("[cinder] is not configured here; is this the right configuration?")
    return volumes.as_service()


def _host_of(path: Path) -> str:
    """Return the host that a file's connector is of; raises OSError, ValueError."""
    connector = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(connector, dict) or not isinstance(connector.get("host"), str):
        raise ValueError("it names no host")
    return str(connector["host"])


def masked(connection: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a host reaches a volume, without its secrets."""

    def one(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return masked(value)
        is_secret = any(word in name.lower() for word in _SECRETS)
        return _STARS if is_secret and value not in (None, "", False, True) else value

    return {name: one(name, value) for name, value in connection.items()}


def _print(shown: Mapping[str, object], form: str) -> None:
    if form == "json":
        print(json.dumps(shown, default=str))
        return
    rows = [
        (name, json.dumps(value) if isinstance(value, Mapping | list) else "" if value is None else value)
        for name, value in shown.items()
    ]
    print(rendered(("Property", "Value"), rows, form))
