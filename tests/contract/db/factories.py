"""Rows' model objects for the suites."""

import uuid as uuids
from datetime import datetime
from typing import Any

from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import HostResources
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import Workflow

NOON = datetime.fromisoformat("2026-01-02T12:00:00.123456")
FLAVOR = Flavor("1", "m1.tiny", vcpus=2, ram_mib=512, root_gib=3, ephemeral_gib=4)
SPEC = RequestSpec("demo", "alice", FLAVOR, "image", hints={"group": "g"})


def new_uuid() -> str:
    return str(uuids.uuid4())


def make_instance(**values: Any) -> Instance:
    """Return a server that is being built; ``values`` say what is special about it."""
    facts: dict[str, Any] = {
        "uuid": new_uuid(),
        "project_id": "demo",
        "user_id": "alice",
        "display_name": "vm",
        "hostname": "vm",
        "vm_state": VmState.BUILDING,
        "task_state": TaskState.SPAWNING,
        "flavor": FLAVOR,
        "image_id": "image",
        "created_at": NOON,
        "updated_at": NOON,
        "host": "host1",
        "node": "11111111-1111-4111-8111-111111111111",
        "epoch": 1,
    }
    return Instance(**(facts | values))


def make_workflow(**values: Any) -> Workflow:
    """Return a workflow nobody has begun."""
    facts: dict[str, Any] = {
        "uuid": new_uuid(),
        "kind": "create",
        "subject": new_uuid(),
        "project_id": "demo",
        "user_id": "alice",
        "request_id": "req-1",
        "inputs": {"hosts": ["a", "b"]},
        "deadline": 0.0,
    }
    return Workflow(**(facts | values))


def make_resources(**values: Any) -> HostResources:
    facts: dict[str, Any] = {
        "vcpus": 8,
        "ram_mib": 1024,
        "disk_gib": 10,
        "hypervisor_type": "fake",
        "hypervisor_version": 1,
        "hypervisor_hostname": "host1.example",
        "host_ip": "127.0.0.1",
    }
    return HostResources(**(facts | values))
