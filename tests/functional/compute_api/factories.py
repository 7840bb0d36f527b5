"""Servers for stories."""

import uuid as uuids
from datetime import datetime
from typing import Any

from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.migration import Migration, MigrationKind, Place
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.states import VmState

NOON = datetime.fromisoformat("2026-01-02T12:00:00")


def make_instance(**values: Any) -> Instance:
    """Return a server at rest; ``values`` say what is special about it."""
    facts: dict[str, Any] = {
        "uuid": str(uuids.uuid4()),
        "project_id": "demo",
        "user_id": "alice",
        "display_name": "vm",
        "hostname": "vm",
        "vm_state": VmState.ACTIVE,
        "task_state": None,
        "flavor": Flavor("1", "m1.tiny", 1, 512, 1),
        "image_id": "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Instance(**(facts | values))


def make_spec(instance: Instance, **values: Any) -> RequestSpec:
    """Return what was asked of the scheduler for ``instance``."""
    facts: dict[str, Any] = {
        "project_id": instance.project_id,
        "user_id": instance.user_id,
        "flavor": instance.flavor,
        "image_id": instance.image_id,
    }
    return RequestSpec(**(facts | values))


def make_migration(instance: Instance, **values: Any) -> Migration:
    """Return a live migration of ``instance`` from h1 to h2; ``values`` say what is special about it."""
    facts: dict[str, Any] = {
        "uuid": str(uuids.uuid4()),
        "instance_uuid": instance.uuid,
        "kind": MigrationKind.LIVE,
        "status": "running",
        "user_id": instance.user_id,
        "project_id": instance.project_id,
        "source": Place("h1", "11110000-0000-4000-8000-000000000001", "h1.lan"),
        "dest": Place("h2", "11110000-0000-4000-8000-000000000002", "h2.lan"),
        "dest_ip": "192.0.2.2",
        "old_flavor": instance.flavor,
        "new_flavor": instance.flavor,
        "old_flavor_number": 5,
        "new_flavor_number": 5,
        "created_at": NOON,
    }
    return Migration(**(facts | values))
