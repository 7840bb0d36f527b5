"""What lists of servers should hold, worked out in memory from the words of the API reference; and random worlds.

Nothing here uses what it checks: filters are told in Python, names are matched by ``re``, order is one sort.
"""

import random
import re
import uuid as uuids
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from nova_lite.model.flavor import Flavor
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState
from tests.functional.compute_api.factories import NOON, make_instance

NAMES = ("", "a", "A", "b", "B", "ä", "web-1", "web-10", "web-2", "my web", "_", "%", "日本", "ß", "z z")
IMAGES = ("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb")
#: What a server is and what is done to it → the status that is shown.
STATUSES = {
    (VmState.ACTIVE, None): "ACTIVE",
    (VmState.ACTIVE, TaskState.REBOOTING): "REBOOT",
    (VmState.ACTIVE, TaskState.DELETING): "ACTIVE",
    (VmState.STOPPED, None): "SHUTOFF",
    (VmState.ERROR, None): "ERROR",
    (VmState.BUILDING, TaskState.SCHEDULING): "BUILD",
    (VmState.BUILDING, TaskState.SPAWNING): "BUILD",
    (VmState.DELETED, None): "DELETED",
}
_SETTLED = [pair for pair in STATUSES if pair[0] is not VmState.BUILDING]
_BIRTH = datetime.fromisoformat("1970-01-01")

SORT_KEYS: Mapping[str, Callable[[Instance], Any]] = {
    "created_at": lambda server: server.created_at,
    "updated_at": lambda server: server.updated_at,
    "launched_at": lambda server: server.launched_at or _BIRTH,
    "display_name": lambda server: server.display_name,
    "key_name": lambda server: server.key_name or "",
    "image_ref": lambda server: server.image_id,
    "launch_index": lambda server: server.launch_index,
    "config_drive": lambda server: server.has_config_drive,
    "vm_state": lambda server: str(server.vm_state),
    "task_state": lambda server: str(server.task_state or ""),
    "user_id": lambda server: server.user_id,
    "uuid": lambda server: server.uuid,
}


@dataclass
class Placed:
    """A server and where it is: a cell, or None while it waits in its build request."""

    server: Instance
    place: str | None


@dataclass(frozen=True)
class Question:
    """A list to ask for."""

    is_admin: bool
    filters: Mapping[str, Sequence[str]]
    sort_keys: Sequence[str] = ()
    sort_dirs: Sequence[str] = ()

    @property
    def parameters(self) -> dict[str, list[str]]:
        """Return the query string's parameters."""
        asked = {name: list(values) for name, values in self.filters.items()}
        if self.is_admin:
            asked["all_tenants"] = ["1"]
        if self.sort_keys:
            asked["sort_key"] = list(self.sort_keys)
        if self.sort_dirs:
            asked["sort_dir"] = list(self.sort_dirs)
        return asked


@dataclass
class World:
    """Every server there is."""

    servers: list[Placed] = field(default_factory=list)

    def answer(self, question: Question) -> list[str]:
        """Return the UUIDs of the servers the whole list holds, in order."""
        found = [placed.server for placed in self.servers if _wanted(placed.server, question)]
        directions = [*question.sort_dirs, *[question.sort_dirs[0] if question.sort_dirs else "desc"] * 9]
        keys = list(question.sort_keys or ["created_at"])
        order = [(key, direction == "desc") for key, direction in zip(keys, directions, strict=False)]
        # Ties go up by UUID; by time alone they go as time does.
        order.append(("uuid", order[0][1] if keys == ["created_at"] else False))
        for key, is_descending in reversed(order):
            found.sort(key=SORT_KEYS[key], reverse=is_descending)
        return [server.uuid for server in found]


def _wanted(server: Instance, question: Question) -> bool:
    if not question.is_admin and server.project_id != "demo":
        return False
    asked = {name: values[-1] for name, values in question.filters.items()}
    changes = asked.keys() & {"changes-since", "changes-before"}
    is_deleted = server.vm_state is VmState.DELETED
    if "deleted" in asked:
        fits = is_deleted == (asked["deleted"] == "1")
    elif "DELETED" in question.filters.get("status", ()):
        fits = is_deleted
    else:
        fits = not is_deleted or bool(changes)
    status = STATUSES[server.vm_state, server.task_state]
    tags = set(server.tags)
    checks: dict[str, Callable[[str], bool]] = {
        "name": lambda text: re.search(text, server.display_name) is not None,
        "status": lambda text: status in question.filters["status"],
        "flavor": lambda text: server.flavor.flavor_id == text,
        "image": lambda text: server.image_id == text,
        "project_id": lambda text: server.project_id == text,
        "user_id": lambda text: server.user_id == text,
        "host": lambda text: server.host == text,
        "locked": lambda text: server.is_locked == (text == "true"),
        "tags": lambda text: tags >= set(text.split(",")),
        "tags-any": lambda text: bool(tags & set(text.split(","))),
        "not-tags": lambda text: not tags >= set(text.split(",")),
        "not-tags-any": lambda text: not tags & set(text.split(",")),
        "changes-since": lambda text: server.updated_at >= datetime.fromisoformat(text),
        "changes-before": lambda text: server.updated_at <= datetime.fromisoformat(text),
    }
    return fits and all(checks[name](text) for name, text in asked.items() if name in checks)


def random_server(dice: random.Random, cells: Sequence[str], **facts: Any) -> Placed:
    """Return a server anywhere: waiting, in cell0, in one of ``cells``; one in ten in a cell is deleted."""
    place = dice.choice([None, CELL0_UUID, *cells, *cells])
    vm_state, task = dice.choice(_SETTLED)
    if place is None:
        vm_state, task = VmState.BUILDING, TaskState.SCHEDULING
    elif place == CELL0_UUID and vm_state is not VmState.DELETED:
        vm_state, task = VmState.ERROR, None
    values = {
        "uuid": str(uuids.UUID(int=dice.getrandbits(128), version=4)),
        "project_id": dice.choice(["demo", "demo", "demo", "other"]),
        "user_id": dice.choice(["alice", "bob"]),
        "display_name": dice.choice(NAMES),
        "vm_state": vm_state,
        "task_state": task,
        "host": dice.choice(["h1", "h2"]) if place in cells else None,
        "flavor": Flavor(dice.choice(["1", "7"]), "f", 1, 512, 1),
        "image_id": dice.choice(IMAGES),
        "key_name": dice.choice([None, "k", "K", "ä"]),
        "tags": tuple(dice.sample(["x", "y", "ü"], dice.randrange(4))),
        "launch_index": dice.randrange(3),
        "is_locked": dice.random() < 0.3,
        "has_config_drive": dice.random() < 0.5,
        "created_at": NOON + timedelta(microseconds=dice.randrange(9)),
        "updated_at": NOON + timedelta(minutes=dice.randrange(9)),
        "launched_at": dice.choice([None, NOON, NOON + timedelta(days=1, microseconds=7)]),
    }
    return Placed(make_instance(**(values | facts)), place)


def random_question(dice: random.Random) -> Question:
    """Return some filters and some order; often none of either."""
    times = [(NOON + timedelta(minutes=minute)).isoformat() for minute in sorted(dice.sample(range(9), 2))]
    is_admin = dice.random() < 0.4
    filters = {
        "name": [
            dice.choice(["web", "^web", "w.b", "^web-1$", "m.*b", "^.$", "%", "_", "A", "^$", "ß", r"web\-1", "b$"])
        ],
        "status": dice.choice([["ACTIVE"], ["active".upper(), "ERROR"], ["REBOOT"], ["BUILD"], ["SHUTOFF", "BUILD"]]),
        "flavor": [dice.choice("17")],
        "image": [dice.choice(IMAGES)],
        "user_id": ["bob"],
        "locked": [dice.choice(["true", "false"])],
        "tags": [dice.choice(["x", "x,y"])],
        "tags-any": [dice.choice(["ü", "x,y"])],
        "not-tags": [dice.choice(["x", "x,y"])],
        "not-tags-any": [dice.choice(["ü", "x,y"])],
        "changes-since": [times[0]],
        "changes-before": [times[1]],
    }
    if is_admin:
        filters |= {"project_id": [dice.choice(["demo", "other"])], "host": ["h1"], "deleted": [dice.choice("01")]}
    chosen = dice.sample(sorted(filters), dice.choice([0, 0, 0, 1, 1, 2]))
    keys = dice.sample(sorted(SORT_KEYS), dice.choice([0, 0, 1, 1, 2, 3]))
    # Names are what most lists are asked by.
    if dice.random() < 0.3 and "name" not in chosen:
        chosen.append("name")
    dirs = [dice.choice(["asc", "desc"]) for _ in range(dice.randrange(max(1, len(keys)) + 1))]
    return Question(is_admin, {name: filters[name] for name in chosen}, keys, dirs)
