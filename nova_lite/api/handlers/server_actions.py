"""``/servers/{id}/action``: a table of what can be done, each with its schema and its service method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import falcon

from nova_lite import errors
from nova_lite.api import idempotency
from nova_lite.api.handlers import rebuilds
from nova_lite.api.handlers.passwords import Passwords
from nova_lite.api.handlers.rebuilds import Rebuilding
from nova_lite.api.handlers.remote_consoles import open_console
from nova_lite.api.policies import remote_consoles as console_rules
from nova_lite.api.policies import server_networks as network_rules
from nova_lite.api.policies import server_scheduling as scheduling_rules
from nova_lite.api.policies import servers as rules
from nova_lite.api.schemas import server_actions as schemas
from nova_lite.api.schemas.servers import CREATE_QUERY
from nova_lite.api.schemas.values import read_boolean, read_whole_number
from nova_lite.api.services.evacuations import EvacuationService
from nova_lite.api.services.live_migrations import LiveMigrationService
from nova_lite.api.services.moves import MoveService
from nova_lite.api.services.rebuilds import RebuildService
from nova_lite.api.services.rehearsals import Rehearsal
from nova_lite.api.services.remote_consoles import RemoteConsoleService
from nova_lite.api.services.server_actions import ServerActionService
from nova_lite.api.services.server_deletion import ServerDeletionService
from nova_lite.api.services.server_networks import ServerNetworkService
from nova_lite.api.services.server_snapshots import Rotation, ServerSnapshotService
from nova_lite.api.services.shelving import ShelvingService, Wanted
from nova_lite.api.services.state_resets import StateResetService
from nova_lite.api.views import server_scheduling as scheduling_views
from nova_lite.api.views.links import bookmark
from nova_lite.model.caller import Caller
from nova_lite.model.states import VmState
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import Answers, endpoint
from nova_lite.web.validation import Kinds, Schemas
from nova_lite.web.versions import Version


@dataclass(frozen=True, slots=True)
class NewImage:
    """The image an action makes; from 2.45 on told in the body, before in a header unless it is not kept."""

    image_id: str
    is_kept: bool = True


#: What an action answers with 200, if it is no model object of its own; None is an empty answer.
Answer = dict[str, object] | NewImage | Rebuilding | None


@dataclass(frozen=True)
class Services:
    """What actions are done by."""

    actions: ServerActionService
    deletion: ServerDeletionService
    moves: MoveService
    live: LiveMigrationService
    rebuilds: RebuildService
    evacuations: EvacuationService
    snapshots: ServerSnapshotService
    shelving: ShelvingService
    resets: StateResetService
    consoles: RemoteConsoleService
    networks: ServerNetworkService
    passwords: Passwords


#: Told who asks, which server, and what stands under the action's name.
Do = Callable[[Services, Caller, str, Any], Answer]
#: Told the same; returns what the action would come to. Only actions that choose a host can be rehearsed.
Rehearse = Callable[[Services, Caller, str, Any], Rehearsal]
#: What was an action in old times → the last version that says so.
GONE: Mapping[str, Version | None] = {"resetNetwork": None, "os-getRDPConsole": Version(2, 5)}
_LAST_WITH_CONSOLES = Version(2, 5)
_FIRST = Version(2, 1)
_TELLS_IMAGE = Version(2, 45)
#: The first version in which an image's metadata is the image service's to limit.
_UNLIMITED = Version(2, 39)
#: The last version in which a server's addresses are given and taken by actions.
_ADDRESSES_END = Version(2, 43)


@dataclass(frozen=True)
class Action:
    """One action: the rule it needs, the body it takes, what it does, and the status of an empty answer.

    Before version ``since`` and after ``until`` it is not there; before ``reads_since`` anything may stand under its
    name, and nothing is made of it. ``later`` is what it does instead from other versions on, oldest first.
    """

    policy: str
    schema: Schemas
    do: Do
    reads_since: Version = _FIRST
    since: Version = _FIRST
    until: Version | None = None
    status: str = falcon.HTTP_202
    later: tuple[tuple[Version, Do], ...] = ()
    rehearse: Rehearse | None = None
    #: Whether its answer is a key to something.
    opens: bool = False

    def is_known(self, version: Version) -> bool:
        """Return whether a caller who speaks ``version`` finds it."""
        return self.since <= version and (self.until is None or version <= self.until)

    def done_by(self, version: Version) -> Do:
        """Return what does it for a caller who speaks ``version``."""
        return next((do for since, do in reversed(self.later) if version >= since), self.do)


def _operation(policy: str, schema: Schemas, name: str) -> Action:
    """Return an action that takes nothing and begins the operation ``name`` of the table of states."""

    def do(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
        services.actions.begin(caller, server_id, policy, name)
        return None

    return Action(policy, schema, do)


def _imaging(policy: str, schema: Schemas, do: Callable[..., Answer]) -> Action:
    """Return an action that makes an image; how much metadata that may have is limited up to a version."""
    return Action(policy, schema, partial(do, is_limited=True), later=((_UNLIMITED, partial(do, is_limited=False)),))


def _of_networks(policy: str, schema: Schemas, until: Version | None = None) -> Action:
    """Return an action that wants a network of a server, and is refused."""

    def do(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
        services.networks.refuse(caller, server_id, policy)
        return None

    return Action(policy, schema, do, until=until)


def _reboot(services: Services, caller: Caller, server_id: str, body: Mapping[str, str]) -> Answer:
    is_hard = body["type"].upper() == "HARD"
    services.actions.begin(caller, server_id, rules.REBOOT, "reboot-hard" if is_hard else "reboot")
    return None


def _lock(services: Services, caller: Caller, server_id: str, body: Mapping[str, str] | None) -> Answer:
    services.actions.lock(caller, server_id, body.get("locked_reason") if body else None)
    return None


def _unlock(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
    services.actions.unlock(caller, server_id)
    return None


def _reset_state(services: Services, caller: Caller, server_id: str, body: Mapping[str, str]) -> Answer:
    services.resets.reset(caller, server_id, VmState(body["state"]))
    return None


def _inject_network_info(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
    services.actions.inject_network_info(caller, server_id)
    return None


def _rescue(
    services: Services,
    caller: Caller,
    server_id: str,
    body: Mapping[str, str] | None,
    *,
    may_boot_from_volume: bool = False,
) -> Answer:
    asked = body or {}
    image_id = asked.get("rescue_image_ref")
    services.actions.rescue(caller, server_id, image_id, may_boot_from_volume=may_boot_from_volume)
    return services.passwords.told(asked.get("adminPass"))


def _rescue_volumes_too(services: Services, caller: Caller, server_id: str, body: Mapping[str, str] | None) -> Answer:
    return _rescue(services, caller, server_id, body, may_boot_from_volume=True)


def _rebuild(
    services: Services, caller: Caller, server_id: str, body: Mapping[str, Any], *, reimages: bool = False
) -> Answer:
    server = services.rebuilds.rebuild(caller, server_id, rebuilds.asked(body, reimages=reimages))
    return Rebuilding(server, services.passwords.told(body.get("adminPass")))


def _rebuild_volumes_too(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Answer:
    return _rebuild(services, caller, server_id, body, reimages=True)


def _change_password(services: Services, caller: Caller, server_id: str, body: Mapping[str, str]) -> Answer:
    services.actions.change_password(caller, server_id, body["adminPass"])
    return None


def _trigger_crash_dump(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
    services.actions.trigger_crash_dump(caller, server_id)
    return None


def _evacuate(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Answer:
    """Evacuate as before 2.14, when clients had to know whether disks are shared."""
    is_shared = _on_shared_storage(body)
    services.evacuations.evacuate(
        caller, server_id, body.get("host"), is_forced=False, stops=False, on_shared_storage=is_shared
    )
    return (services.passwords.none() if is_shared else services.passwords.told(body.get("adminPass"))) or None


def _on_shared_storage(body: Mapping[str, Any]) -> bool:
    """Return whether the new host is to find the old disks; raises Invalid for a password that these cannot get."""
    is_shared = read_boolean(body.get("onSharedStorage", False))
    if is_shared and "adminPass" in body:
        raise errors.Invalid("adminPass: the password on disks that are kept cannot be changed")
    return is_shared


def _evacuate_silently(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Answer:
    is_forced = read_boolean(body.get("force", False))
    services.evacuations.evacuate(caller, server_id, body.get("host"), is_forced=is_forced, stops=False)
    return None


def _evacuate_stopped(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Answer:
    services.evacuations.evacuate(caller, server_id, body.get("host"), is_forced=False, stops=True)
    return None


def _rehearse_evacuate(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Rehearsal:
    _on_shared_storage(body)
    is_forced = read_boolean(body.get("force", False))
    return services.evacuations.rehearse(caller, server_id, body.get("host"), is_forced=is_forced)


def _restore(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
    services.deletion.restore(caller, server_id)
    return None


def _force_delete(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
    services.deletion.force_delete(caller, server_id)
    return None


def _console_output(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Answer:
    length = body.get("length")
    lines = None if length is None or int(length) < 0 else int(length)
    return {"output": services.actions.console_output(caller, server_id, lines)}


def _console(protocol: str, schema: Schemas) -> Action:
    """Return an action that opens a console; from 2.6 on that is a URL of its own."""

    def do(services: Services, caller: Caller, server_id: str, body: Mapping[str, str]) -> Answer:
        return open_console(services.consoles, caller, server_id, protocol, body)

    return Action(console_rules.CREATE, schema, do, until=_LAST_WITH_CONSOLES, opens=True)


def _rehearse_resize(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Rehearsal:
    return services.moves.rehearse_resize(caller, server_id, _flavor_id(body))


def _flavor_id(body: Mapping[str, Any]) -> str:
    return str(body["flavorRef"]).rpartition("/")[2]


def _resize(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Answer:
    services.moves.resize(caller, server_id, _flavor_id(body), body.get("OS-DCF:diskConfig"))
    return None


def _confirm_resize(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
    services.moves.confirm(caller, server_id)
    return None


def _revert_resize(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
    services.moves.revert(caller, server_id)
    return None


def _rehearse_migrate(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any] | None) -> Rehearsal:
    return services.moves.rehearse_migrate(caller, server_id, (body or {}).get("host"))


def _migrate(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any] | None) -> Answer:
    services.moves.migrate(caller, server_id, (body or {}).get("host"))
    return None


def _migrate_live(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Answer:
    """Migrate as before 2.30, when a host that was named was not looked at by the scheduler."""
    copies = _copies_disks(body)
    services.live.migrate(caller, server_id, body["host"], copies_disks=copies, skips_filters=True, waits=True)
    return None


def _rehearse_migrate_live(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Rehearsal:
    return services.live.rehearse(caller, server_id, body["host"])


def _migrate_live_as_asked(
    services: Services, caller: Caller, server_id: str, body: Mapping[str, Any], *, waits: bool
) -> None:
    is_forced = read_boolean(body.get("force", False))
    if is_forced and not body["host"]:
        raise errors.Invalid("Can't force to a non-provided destination")
    copies = _copies_disks(body)
    services.live.migrate(caller, server_id, body["host"], copies_disks=copies, skips_filters=is_forced, waits=waits)


def _copies_disks(body: Mapping[str, Any]) -> bool | None:
    """Return whether disks are to be copied; None is: if they must."""
    asked = body["block_migration"]
    return None if asked == "auto" else read_boolean(asked)


def _create_image(
    services: Services, caller: Caller, server_id: str, body: Mapping[str, Any], *, is_limited: bool
) -> Answer:
    asked = (body["name"], body.get("metadata", {}))
    return NewImage(services.snapshots.create_image(caller, server_id, *asked, is_limited=is_limited))


def _create_backup(
    services: Services, caller: Caller, server_id: str, body: Mapping[str, Any], *, is_limited: bool
) -> Answer:
    rotation = Rotation(body["backup_type"], read_whole_number(body, "rotation", 0))
    asked = (body["name"], body.get("metadata", {}), rotation)
    image_id = services.snapshots.create_backup(caller, server_id, *asked, is_limited=is_limited)
    return NewImage(image_id, is_kept=rotation.keep > 0)


def _shelve(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
    services.shelving.shelve(caller, server_id)
    return None


def _shelve_offload(services: Services, caller: Caller, server_id: str, body: object) -> Answer:
    services.shelving.offload(caller, server_id)
    return None


def _unshelve(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any] | None) -> Answer:
    services.shelving.unshelve(caller, server_id, _wanted(body))
    return None


def _rehearse_unshelve(services: Services, caller: Caller, server_id: str, body: Mapping[str, Any] | None) -> Rehearsal:
    return services.shelving.rehearse_unshelve(caller, server_id, _wanted(body))


def _wanted(body: Mapping[str, Any] | None) -> Wanted:
    asked = body or {}
    return Wanted("availability_zone" in asked, asked.get("availability_zone"), asked.get("host"))


ACTIONS: Mapping[str, Action] = {
    "os-start": _operation(rules.START, schemas.START, "start"),
    "os-stop": _operation(rules.STOP, schemas.STOP, "stop"),
    "reboot": Action(rules.REBOOT, schemas.REBOOT, _reboot),
    "pause": _operation(rules.PAUSE, schemas.PAUSE, "pause"),
    "unpause": _operation(rules.UNPAUSE, schemas.UNPAUSE, "unpause"),
    "suspend": _operation(rules.SUSPEND, schemas.SUSPEND, "suspend"),
    "resume": _operation(rules.RESUME, schemas.RESUME, "resume"),
    "rescue": Action(rules.RESCUE, schemas.RESCUE, _rescue, later=((Version(2, 87), _rescue_volumes_too),)),
    "unrescue": _operation(rules.UNRESCUE, schemas.UNRESCUE, "unrescue"),
    "rebuild": Action(rules.REBUILD, schemas.REBUILD, _rebuild, later=((Version(2, 93), _rebuild_volumes_too),)),
    "evacuate": Action(
        rules.EVACUATE,
        schemas.EVACUATE,
        _evacuate,
        status=falcon.HTTP_200,
        later=((Version(2, 14), _evacuate_silently), (Version(2, 95), _evacuate_stopped)),
        rehearse=_rehearse_evacuate,
    ),
    "changePassword": Action(rules.CHANGE_PASSWORD, schemas.CHANGE_PASSWORD, _change_password),
    "trigger_crash_dump": Action(
        rules.TRIGGER_CRASH_DUMP, schemas.TRIGGER_CRASH_DUMP, _trigger_crash_dump, since=Version(2, 17)
    ),
    "restore": Action(rules.RESTORE, schemas.RESTORE, _restore),
    "forceDelete": Action(rules.FORCE_DELETE, schemas.FORCE_DELETE, _force_delete),
    "lock": Action(rules.LOCK, schemas.LOCK, _lock, reads_since=Version(2, 73)),
    "unlock": Action(rules.UNLOCK, schemas.UNLOCK, _unlock),
    "os-resetState": Action(rules.RESET_STATE, schemas.RESET_STATE, _reset_state),
    "injectNetworkInfo": Action(rules.INJECT_NETWORK_INFO, schemas.INJECT_NETWORK_INFO, _inject_network_info),
    "resize": Action(rules.RESIZE, schemas.RESIZE, _resize, rehearse=_rehearse_resize),
    "confirmResize": Action(rules.CONFIRM_RESIZE, schemas.CONFIRM_RESIZE, _confirm_resize, status=falcon.HTTP_204),
    "revertResize": Action(rules.REVERT_RESIZE, schemas.REVERT_RESIZE, _revert_resize),
    "migrate": Action(rules.MIGRATE, schemas.MIGRATE, _migrate, reads_since=Version(2, 56), rehearse=_rehearse_migrate),
    "os-migrateLive": Action(
        rules.MIGRATE_LIVE,
        schemas.MIGRATE_LIVE,
        _migrate_live,
        later=(
            (Version(2, 30), partial(_migrate_live_as_asked, waits=True)),
            (Version(2, 34), partial(_migrate_live_as_asked, waits=False)),
        ),
        rehearse=_rehearse_migrate_live,
    ),
    "createImage": _imaging(rules.CREATE_IMAGE, schemas.CREATE_IMAGE, _create_image),
    "createBackup": _imaging(rules.CREATE_BACKUP, schemas.CREATE_BACKUP, _create_backup),
    "shelve": Action(rules.SHELVE, schemas.SHELVE, _shelve),
    "shelveOffload": Action(rules.SHELVE_OFFLOAD, schemas.SHELVE_OFFLOAD, _shelve_offload),
    "unshelve": Action(
        rules.UNSHELVE, schemas.UNSHELVE, _unshelve, reads_since=Version(2, 77), rehearse=_rehearse_unshelve
    ),
    "addFixedIp": _of_networks(network_rules.FIXED_IPS_ADD, schemas.ADD_FIXED_IP, _ADDRESSES_END),
    "removeFixedIp": _of_networks(network_rules.FIXED_IPS_REMOVE, schemas.REMOVE_FIXED_IP, _ADDRESSES_END),
    "addFloatingIp": _of_networks(network_rules.FLOATING_IPS_ADD, schemas.ADD_FLOATING_IP, _ADDRESSES_END),
    "removeFloatingIp": _of_networks(network_rules.FLOATING_IPS_REMOVE, schemas.REMOVE_FLOATING_IP, _ADDRESSES_END),
    "addSecurityGroup": _of_networks(network_rules.SECURITY_GROUPS_ADD, schemas.ADD_SECURITY_GROUP),
    "removeSecurityGroup": _of_networks(network_rules.SECURITY_GROUPS_REMOVE, schemas.REMOVE_SECURITY_GROUP),
    "os-getConsoleOutput": Action(rules.CONSOLE_OUTPUT, schemas.CONSOLE_OUTPUT, _console_output),
    "os-getVNCConsole": _console("vnc", schemas.VNC_CONSOLE),
    "os-getSPICEConsole": _console("spice", schemas.SPICE_CONSOLE),
    "os-getSerialConsole": _console("serial", schemas.SERIAL_CONSOLE),
}


class ServerAction:
    """``/servers/{id}/action``"""

    def __init__(self, services: Services) -> None:
        self._services = services

    def rule_of(self, body: object) -> str | None:
        """Return the rule of the action that ``body`` names."""
        action = ACTIONS.get(next(iter(body), "")) if isinstance(body, dict) else None
        return None if action is None else action.policy

    @endpoint(
        policy=(*(action.policy for action in ACTIONS.values()), scheduling_rules.SHOW_HOSTS),
        query=CREATE_QUERY,
        body=Kinds(schemas.ANY, ((action.since, action.until, action.schema) for action in ACTIONS.values())),
        answers=Answers((202, 200, 204)),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        is_rehearsal = read_boolean(req.context.query.one("dry_run") or False)
        body: Mapping[str, Any] = req.context.body
        name = next(iter(body))
        if name in GONE:
            _refuse_gone(name, req.context.version)
        action = ACTIONS.get(name)
        if action is None:
            raise errors.Invalid(f"There is no such action: {name[:64]}")
        if not action.is_known(req.context.version):
            raise falcon.HTTPNotFound(title="Not Found", description="The resource could not be found.")
        action.schema.check(body, req.context.version, is_relaxed=req.context.is_relaxed)
        if action.opens:
            idempotency.refuse(req)
        value = body[name] if req.context.version >= action.reads_since else None
        if is_rehearsal:
            self._rehearse(req, resp, action, server_id, value)
            return
        answer = action.done_by(req.context.version)(self._services, req.context.caller, server_id, value)
        if isinstance(answer, dict):
            send_json(resp, answer)
            return
        if isinstance(answer, Rebuilding):
            rebuilds.send(req, resp, answer)
            return
        resp.status = action.status
        if isinstance(answer, NewImage):
            _tell_image(req, resp, answer)

    def _rehearse(
        self, req: falcon.Request, resp: falcon.Response, action: Action, server_id: str, value: object
    ) -> None:
        if action.rehearse is None:
            raise errors.Invalid("dry_run: only what chooses a host can be rehearsed. Nothing was done.")
        caller: Caller = req.context.caller
        found = action.rehearse(self._services, caller, server_id, value)
        with_hosts = caller.may(scheduling_rules.SHOW_HOSTS)
        send_json(resp, scheduling_views.rehearsal(found, with_hosts=with_hosts))


def _refuse_gone(name: str, version: Version) -> None:
    until = GONE[name]
    if until is not None and version > until:
        raise falcon.HTTPNotFound(title="Not Found")
    raise falcon.HTTPGone(title="Gone", description=f"There is no {name} any more.")


def _tell_image(req: falcon.Request, resp: falcon.Response, made: NewImage) -> None:
    if req.context.version >= _TELLS_IMAGE:
        send_json(resp, {"image_id": made.image_id}, falcon.HTTP_202)
    elif made.is_kept:
        resp.location = bookmark(req, "images", made.image_id)["href"]
