"""In which state a server is, what is asked of it then, and by whom. Pure: the real Nova's Python reads it, too."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.integration.answers import cloud

ADMIN, OWNER = cloud.CALLERS
STRANGER = "mallory:other"
#: Servers: one with a volume attached and a resize to confirm, one with a live migration, and so on.
IMAGE, LIVE, VOLUME, UNHOSTED = (cloud.SERVERS[name] for name in ("resized", "active", "volume", "error"))
WAITING, NOBODYS = "5e0000ff-0000-4000-8000-000000000000", "5e0000fe-0000-4000-8000-000000000000"
GONE = cloud.SERVERS["deleted"]
#: Volumes: of the first of these servers, the root of the third, one of nobody, none.
DATA, ROOT, FREE, NONE = (
    *("99999999-9999-4999-8999-999999999998", cloud.VOLUME),
    *("99999999-9999-4999-8999-999999999997", "99999999-9999-4999-8999-999999999990"),
)
DATA_DEVICE, DATA_ATTACHMENT = "77777777-7777-4777-8777-777777777778", "88888888-8888-4888-8888-888888888889"

VM_STATES = (
    *("active", "building", "paused", "suspended", "stopped", "rescued", "resized", "soft-delete", "error"),
    *("shelved", "shelved_offloaded"),
)
TASK_STATES = (
    *("scheduling", "spawning", "powering-off", "powering-on", "rebooting", "rebooting_hard", "pausing", "unpausing"),
    *("suspending", "resuming", "soft-deleting", "restoring", "rescuing", "unrescuing", "rebuilding"),
    *("rebuild_spawning", "resize_prep", "resize_migrating", "resize_migrated", "resize_finish", "resize_confirming"),
    *("resize_reverting", "migrating", "image_snapshot", "image_backup", "shelving", "shelving_image_pending_upload"),
    *("shelving_image_uploading", "shelving_offloading", "unshelving", "deleting"),
)
#: Those of them that are asked for every day: one of each kind.
_TASKS = ("resize_prep", "migrating", "image_snapshot", "deleting")
#: Power states as numbers: what a guest is found in there.
_POWER = {"paused": 3, "suspended": 4, "stopped": 4, "shelved": 4, "shelved_offloaded": 4, "error": 0, "building": 0}


@dataclass(frozen=True)
class Situation:
    """A server and how it is. ``changes`` are of its row, by names that both understand; ``before`` is asked first."""

    name: str
    server: str = IMAGE
    changes: dict[str, Any] = field(default_factory=dict)
    before: tuple[tuple[str, str, Any], ...] = ()


@dataclass(frozen=True)
class Request:
    """What is asked, below ``/servers/{id}``; from and up to which version 2.N.

    ``versions`` are those between at which something changes.
    """

    name: str
    method: str
    path: str
    body: Any = None
    caller: str = OWNER
    since: int = 1
    until: int = cloud.MAXIMUM
    versions: tuple[int, ...] = ()


def _act(name: str, value: Any = None, caller: str = OWNER, *, called: str = "", **more: Any) -> Request:
    return Request(called or name, "POST", "/action", {name: value}, caller, **more)


_LIVE: dict[str, Any] = {"host": None, "block_migration": "auto"}
_OLD_LIVE: dict[str, Any] = {"host": "h2", "block_migration": False, "disk_over_commit": False}
_BACKUP = {"name": "b", "backup_type": "daily", "rotation": 1}
_ATTACH = {"volumeAttachment": {"volumeId": FREE}}
_SWAP = {"volumeAttachment": {"volumeId": FREE}}
_UPDATE = {"volumeAttachment": {"volumeId": DATA, "delete_on_termination": True}}

#: What may be done to a server, each as it is meant to be.
ACTIONS: tuple[Request, ...] = (
    _act("os-start"),
    _act("os-stop"),
    _act("pause"),
    _act("unpause"),
    _act("suspend"),
    _act("resume"),
    _act("reboot", {"type": "SOFT"}, called="reboot soft"),
    _act("reboot", {"type": "HARD"}, called="reboot hard"),
    _act("resize", {"flavorRef": "1"}),
    _act("confirmResize"),
    _act("revertResize"),
    _act("rebuild", {"imageRef": cloud.IMAGE}, versions=(54, 57, 63, 93)),
    _act("rescue", versions=(86, 87)),
    _act("unrescue"),
    _act("shelve"),
    _act("shelveOffload", caller=ADMIN),
    _act("unshelve", versions=(76, 77, 91)),
    _act("migrate", caller=ADMIN, versions=(55, 56)),
    _act("migrate", {"host": "h2"}, ADMIN, called="migrate to host", since=56),
    _act("os-migrateLive", _LIVE, ADMIN, since=34, versions=(68,)),
    _act("os-migrateLive", {**_LIVE, "host": "h2"}, ADMIN, called="os-migrateLive to host", since=34),
    _act("os-migrateLive", _OLD_LIVE, ADMIN, called="os-migrateLive of old", until=24),
    _act("evacuate", {"host": "h2"}, ADMIN, since=14, versions=(29, 68, 95)),
    _act("evacuate", {"host": "h2", "onSharedStorage": "False"}, ADMIN, called="evacuate of old", until=13),
    _act("createImage", {"name": "snap"}, versions=(44, 45)),
    _act("createBackup", _BACKUP, versions=(44, 45)),
    _act("lock", versions=(73,)),
    _act("unlock"),
    _act("changePassword", {"adminPass": "opensesame"}),
    _act("os-resetState", {"state": "active"}, ADMIN),
    _act("forceDelete"),
    _act("restore"),
    _act("trigger_crash_dump", since=17),
    _act("os-getConsoleOutput", {"length": 10}),
    _act("os-getVNCConsole", {"type": "novnc"}, until=5),
    _act("injectNetworkInfo", caller=ADMIN),
    _act("resetNetwork", caller=ADMIN),
)
#: What is below a server, and the server itself.
PARTS: tuple[Request, ...] = (
    Request("show", "GET", ""),
    Request("delete", "DELETE", ""),
    Request("rename", "PUT", "", {"server": {"name": "new"}}, versions=(19, 90, 94)),
    Request("describe", "PUT", "", {"server": {"description": "text"}}, since=19),
    Request("unpin", "PUT", "", {"server": {"pinned_availability_zone": None}}, ADMIN, since=104),
    Request("metadata", "GET", "/metadata"),
    Request("add metadata", "POST", "/metadata", {"metadata": {"x": "y"}}),
    Request("replace metadata", "PUT", "/metadata", {"metadata": {"x": "y"}}),
    Request("set metadata", "PUT", "/metadata/a", {"meta": {"a": "y"}}),
    Request("delete metadata", "DELETE", "/metadata/a"),
    Request("tags", "GET", "/tags", since=26),
    Request("add tag", "PUT", "/tags/new", since=26),
    Request("replace tags", "PUT", "/tags", {"tags": ["new"]}, since=26),
    Request("delete tag", "DELETE", "/tags/x", since=26),
    Request("delete tags", "DELETE", "/tags", since=26),
    Request("volumes", "GET", "/os-volume_attachments"),
    Request("volume", "GET", f"/os-volume_attachments/{DATA}"),
    Request("attach volume", "POST", "/os-volume_attachments", _ATTACH, versions=(20, 49, 60)),
    Request("detach volume", "DELETE", f"/os-volume_attachments/{DATA}", versions=(20,)),
    Request("swap volume", "PUT", f"/os-volume_attachments/{DATA}", _SWAP, ADMIN, versions=(84, 85)),
    Request("keep volume", "PUT", f"/os-volume_attachments/{DATA}", _UPDATE, since=85),
    Request("console", "POST", "/remote-consoles", {"remote_console": {"protocol": "vnc", "type": "novnc"}}, since=6),
    Request("diagnostics", "GET", "/diagnostics", caller=ADMIN, versions=(48,)),
    Request("topology", "GET", "/topology", since=78),
    Request("password", "GET", "/os-server-password"),
    Request("forget password", "DELETE", "/os-server-password"),
    Request("migrations", "GET", "/migrations", caller=ADMIN, since=23),
    Request("ips", "GET", "/ips"),
    Request("actions", "GET", "/os-instance-actions"),
)
_COMPLETE = {"force_complete": None}
#: Of the live migration of the second server; ``{migration}`` is its number.
MIGRATIONS: tuple[Request, ...] = (
    Request("force-complete", "POST", "/migrations/{migration}/action", _COMPLETE, ADMIN, since=22),
    Request("abort", "DELETE", "/migrations/{migration}", None, ADMIN, since=24, versions=(65,)),
    Request("migration", "GET", "/migrations/{migration}", None, ADMIN, since=23),
    Request("force-complete none", "POST", "/migrations/999/action", _COMPLETE, ADMIN, since=22),
    Request("abort none", "DELETE", "/migrations/999", None, ADMIN, since=24),
)
#: What is wrong in itself: asked where the state is wrong as well, it says what is looked at first.
WRONG: tuple[Request, ...] = (
    _act("resize", {"flavorRef": "none"}, called="resize to no flavor"),
    _act("resize", {"flavorRef": "2"}, called="resize to the same"),
    _act("resize", {"flavorRef": "9"}, called="resize to a secret flavor"),
    _act("resize", {}, called="resize to nothing"),
    _act("rebuild", {"imageRef": NONE}, called="rebuild from no image"),
    _act("rebuild", {"imageRef": "x y"}, called="rebuild from no id"),
    _act("rebuild", {"imageRef": cloud.IMAGE, "key_name": "none"}, called="rebuild with no key", since=54),
    _act("rescue", {"rescue_image_ref": NONE}, called="rescue from no image"),
    _act("migrate", {"host": "none"}, ADMIN, called="migrate to no host", since=56),
    _act("migrate", {"host": "h1"}, ADMIN, called="migrate to its host", since=56),
    _act("os-migrateLive", {**_LIVE, "host": "none"}, ADMIN, called="os-migrateLive to no host", since=34),
    _act("os-migrateLive", {**_LIVE, "host": "h1"}, ADMIN, called="os-migrateLive to its host", since=34),
    _act("evacuate", {"host": "none"}, ADMIN, called="evacuate to no host", since=14),
    _act("evacuate", {"host": "h1"}, ADMIN, called="evacuate to its host", since=14),
    _act("unshelve", {"availability_zone": "none"}, called="unshelve to no zone", since=77),
    _act("unshelve", {"host": "none"}, ADMIN, called="unshelve to no host", since=91),
    _act("unshelve", {"host": "h1"}, called="unshelve to a host by its owner", since=91),
    _act("createImage", {"name": "snap", "metadata": {"a": 1}}, called="createImage with a number"),
    _act("createBackup", {"name": "b"}, called="createBackup of no kind"),
    _act("os-resetState", {"state": "paused"}, ADMIN, called="os-resetState to paused"),
    _act("reboot", {"type": "NONE"}, called="reboot of no kind"),
    _act("changePassword", {}, called="changePassword to nothing"),
    _act("none", called="no action"),
    *(
        _act(name, value, called=f"{name} by its owner", since=since)
        for name, value, since in (
            *(("migrate", None, 1), ("os-migrateLive", _LIVE, 34), ("evacuate", {"host": "h2"}, 14)),
            *(("shelveOffload", None, 1), ("os-resetState", {"state": "active"}, 1), ("injectNetworkInfo", None, 1)),
        )
    ),
    Request("swap volume by its owner", "PUT", f"/os-volume_attachments/{DATA}", _SWAP),
    Request("attach no volume", "POST", "/os-volume_attachments", {"volumeAttachment": {"volumeId": NONE}}),
    Request("attach it again", "POST", "/os-volume_attachments", {"volumeAttachment": {"volumeId": DATA}}),
    Request("attach another's", "POST", "/os-volume_attachments", {"volumeAttachment": {"volumeId": ROOT}}),
    Request("attach nothing", "POST", "/os-volume_attachments", {"volumeAttachment": {}}),
    Request("show no volume", "GET", f"/os-volume_attachments/{NONE}"),
    Request("detach no volume", "DELETE", f"/os-volume_attachments/{NONE}"),
    Request("detach a free volume", "DELETE", f"/os-volume_attachments/{FREE}"),
    Request("swap no volume", "PUT", f"/os-volume_attachments/{NONE}", _SWAP, ADMIN),
    Request(
        "swap for no volume", "PUT", f"/os-volume_attachments/{DATA}", {"volumeAttachment": {"volumeId": NONE}}, ADMIN
    ),
    Request("set no metadata", "PUT", "/metadata/a", {"meta": {"b": "y"}}),
    Request("delete no metadata", "DELETE", "/metadata/none"),
    Request("show no metadata", "GET", "/metadata/none"),
    Request("metadata of numbers", "POST", "/metadata", {"metadata": {"x": 1}}),
    Request("show no tag", "GET", "/tags/none", since=26),
    Request("delete no tag", "DELETE", "/tags/none", since=26),
    Request("rename to nothing", "PUT", "", {"server": {"name": ""}}),
    Request(
        "console of no kind",
        "POST",
        "/remote-consoles",
        {"remote_console": {"protocol": "vnc", "type": "none"}},
        since=6,
    ),
    Request("show no migration", "GET", "/migrations/999", caller=ADMIN, since=23),
)
EVERYTHING = (*ACTIONS, *PARTS)
#: What depends on states: of what reads, only what asks a host.
_CHANGING = (*ACTIONS, *(each for each in PARTS if each.method != "GET" or each.name == "diagnostics"))
_SOME = EVERYTHING[::5]


def _in(vm_state: str, task_state: str | None = None, **more: Any) -> Situation:
    changes: dict[str, Any] = {"vm_state": vm_state, "task_state": task_state, "power_state": _POWER.get(vm_state, 1)}
    if vm_state == "shelved_offloaded":
        changes["host"] = None
    name = " ".join([vm_state, *([] if task_state is None else [task_state]), *more])
    return Situation(name, changes={**changes, **more})


_ACTIVE = _in("active")
_LOCKED = _in("active", locked=True)
_LOCKED_BY_ADMIN = Situation(
    "locked by an administrator", changes=_ACTIVE.changes, before=((ADMIN, "/action", {"lock": None}),)
)
_LOCKED_AND_WRONG = _in("suspended", locked=True)
_NEVER_LAUNCHED = _in("error", host=None, launched=False)
_ON_VOLUME = Situation("on a volume", VOLUME, _ACTIVE.changes)
_OFFLOADED_ON_VOLUME = Situation("on a volume, offloaded", VOLUME, _in("shelved_offloaded").changes)
_OTHERS = (
    (_LOCKED, _CHANGING),
    (_LOCKED_BY_ADMIN, tuple(each for each in ACTIONS if each.name in ("unlock", "lock", "pause", "createImage"))),
    (_NEVER_LAUNCHED, _CHANGING),
    (_ON_VOLUME, ACTIONS),
    (_OFFLOADED_ON_VOLUME, ACTIONS),
    (Situation("waiting for a cell", WAITING), EVERYTHING),
    (Situation("in cell0", UNHOSTED), _CHANGING),
    (Situation("gone", GONE), _SOME),
    (Situation("none", NOBODYS), _SOME),
)
#: A live migration in its states.
_MOVING = (("active", "migrating"), ("active", None), ("paused", "migrating"), ("active", "resize_migrating"))

#: Who asks what, at which version 2.N, in which situation.
Asked = tuple[Situation, Request, str, int]


def everything(*, is_all: bool) -> Iterator[Asked]:
    """Yield what is asked every day, or all there is."""
    usual = EVERYTHING if is_all else _CHANGING
    for vm_state in VM_STATES:
        yield from _newest(_in(vm_state), usual)
    for task_state in TASK_STATES if is_all else _TASKS:
        for vm_state in VM_STATES if is_all else ("active",):
            yield from _newest(_in(vm_state, task_state), usual)
    for situation, requests in _OTHERS:
        yield from _newest(situation, EVERYTHING if is_all else requests)
    for situation in (_ACTIVE, _in("suspended"), _LOCKED_AND_WRONG):
        yield from _newest(situation, WRONG)
    for vm_state, task in _MOVING:
        name = f"live migration, {vm_state} {task}"
        yield from _newest(Situation(name, LIVE, _in(vm_state, task).changes), MIGRATIONS)
    for request in EVERYTHING:
        for version in sorted({request.since, *request.versions} - {request.until}):
            yield _ACTIVE, request, request.caller, version
    for request in EVERYTHING if is_all else _SOME:
        yield _ACTIVE, request, STRANGER, request.until


def _newest(situation: Situation, requests: tuple[Request, ...]) -> Iterator[Asked]:
    for request in requests:
        yield situation, request, request.caller, request.until


def key(asked: Asked) -> str:
    """Return under which name an answer is kept."""
    situation, request, caller, version = asked
    return f"{situation.name}: {request.name} by {caller} at 2.{version}"
