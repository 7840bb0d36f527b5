"""Servers and what their guests are told, for tests that need no cloud."""

import base64
import datetime
from dataclasses import replace

from nova_lite.model.flavor import Flavor
from nova_lite.model.guest_documents import Told, Vendordata, drive_files
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState

_MADE_AT = datetime.datetime.fromisoformat("2026-01-01T00:00:00")
INSTANCE = Instance(
    uuid="6f1ba2a1-83f3-4df4-bd4d-3f3f21ab3e52",
    project_id="demo",
    user_id="alice",
    display_name="vm one",
    hostname="vm-one",
    vm_state=VmState.ACTIVE,
    task_state=None,
    flavor=Flavor(flavor_id="1", name="m1.tiny", vcpus=1, ram_mib=512, root_gib=1),
    image_id="0cafe000-1111-4222-8333-444455556666",
    created_at=_MADE_AT,
    updated_at=_MADE_AT,
    availability_zone="nova",
    reservation_id="r-abcdefgh",
)
#: What vendors say in tests.
VENDORDATA = Vendordata(lambda: {"motd": "hello"}, lambda: {"static": {"motd": "hello"}, "inventory": {"rack": 4}})


def told(instance: Instance = INSTANCE, **values: object) -> Told:
    """Return what a guest is told."""
    return replace(Told(instance, VENDORDATA, seed=b"seed" * 128), **values)  # type: ignore[arg-type]


def config_files(user_data: bytes, **changes: object) -> dict[str, bytes]:
    """Return a whole config drive of a server that is like INSTANCE but for ``changes``."""
    encoded = base64.b64encode(user_data).decode()
    return drive_files(told(replace(INSTANCE, user_data=encoded, **changes)))  # type: ignore[arg-type]
