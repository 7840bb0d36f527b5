"""Every route of the Compute API with a request that is good for it, for stories that go through them all."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nova_lite.api import app
from nova_lite.api.handlers.server_actions import ACTIONS
from nova_lite.api.policies import aggregates as aggregate_rules
from nova_lite.api.policies import remote_consoles as console_rules
from nova_lite.api.policies import server_networks as network_rules
from nova_lite.api.policies import servers as server_rules
from nova_lite.api.policies import volume_attachments as volume_rules
from nova_lite.api.services.notices import Notices
from nova_lite.cells.fanout import Fanout
from nova_lite.rpc.notifications import Notifier
from nova_lite.web.endpoint import Endpoint, declared_endpoint
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Cloud

NEWEST = "2.104"
#: What waits for the answer of a host.
ASK_A_HOST = ("changePassword", "Console", "remote-consoles")
_PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOY0H+Lq7kMIY/gfuyvmQbIEG16qI4jJ/qNBdDXVTCC/ me@here"


@dataclass(frozen=True)
class Request:
    """A good request: ``rule`` is the one that opens its door, ``path`` has the names of its parts in braces."""

    method: str
    path: str
    rule: str
    body: Any = None
    version: str = NEWEST
    endpoint: Endpoint = field(compare=False, kw_only=True)

    @property
    def name(self) -> str:
        """Return what tells this request from the others."""
        action = f" {next(iter(self.body))}" if self.path.endswith("/action") else ""
        return f"{self.method} {self.path}{action}"


#: Route → good bodies: one of each kind, with the rule that opens the door where the route declares several.
_BODIES: dict[str, list[tuple[Any, str | None]]] = {
    "POST /servers": [
        (
            {
                "server": {
                    "name": "vm",
                    "flavorRef": "1",
                    "imageRef": IMAGE_ID,
                    "networks": "none",
                    "metadata": {"a": "b"},
                    "tags": ["x"],
                    "min_count": 1,
                    "max_count": "1",
                    "availability_zone": "nova",
                    "description": "text",
                    "accessIPv4": "192.0.2.1",
                    "accessIPv6": "2001:db8::1",
                    "config_drive": True,
                    "user_data": "Zm9v",
                    "hostname": "vm",
                    "OS-DCF:diskConfig": "AUTO",
                    "adminPass": "secret",
                    "block_device_mapping_v2": [
                        {
                            "uuid": IMAGE_ID,
                            "source_type": "image",
                            "destination_type": "local",
                            "boot_index": 0,
                            "delete_on_termination": True,
                        }
                    ],
                    "security_groups": [{"name": "default"}],
                    "deletion_protection": True,
                },
                "os:scheduler_hints": {"query": "x"},
            },
            None,
        )
    ],
    "PUT /servers/{server_id}": [
        (
            {
                "server": {
                    "name": "new",
                    "description": "text",
                    "hostname": "new",
                    "accessIPv4": "192.0.2.1",
                    "accessIPv6": "2001:db8::1",
                    "OS-DCF:diskConfig": "AUTO",
                    "pinned_availability_zone": None,
                }
            },
            None,
        )
    ],
    "POST /servers/{server_id}/migrations/{migration_id}/action": [({"force_complete": None}, None)],
    "POST /servers/{server_id}/action": [
        ({"os-start": None}, server_rules.START),
        ({"os-stop": None}, server_rules.STOP),
        ({"reboot": {"type": "SOFT"}}, server_rules.REBOOT),
        ({"pause": None}, server_rules.PAUSE),
        ({"unpause": None}, server_rules.UNPAUSE),
        ({"suspend": None}, server_rules.SUSPEND),
        ({"resume": None}, server_rules.RESUME),
        ({"rescue": {"adminPass": "opensesame", "rescue_image_ref": IMAGE_ID}}, server_rules.RESCUE),
        ({"unrescue": None}, server_rules.UNRESCUE),
        ({"rebuild": {"imageRef": IMAGE_ID, "name": "anew"}}, server_rules.REBUILD),
        ({"evacuate": {"host": "h1", "adminPass": "opensesame"}}, server_rules.EVACUATE),
        ({"changePassword": {"adminPass": "opensesame"}}, server_rules.CHANGE_PASSWORD),
        ({"trigger_crash_dump": None}, server_rules.TRIGGER_CRASH_DUMP),
        ({"restore": None}, server_rules.RESTORE),
        ({"forceDelete": None}, server_rules.FORCE_DELETE),
        ({"lock": {"locked_reason": "mine"}}, server_rules.LOCK),
        ({"unlock": None}, server_rules.UNLOCK),
        ({"os-resetState": {"state": "active"}}, server_rules.RESET_STATE),
        ({"injectNetworkInfo": None}, server_rules.INJECT_NETWORK_INFO),
        ({"resize": {"flavorRef": "2"}}, server_rules.RESIZE),
        ({"confirmResize": None}, server_rules.CONFIRM_RESIZE),
        ({"revertResize": None}, server_rules.REVERT_RESIZE),
        ({"migrate": None}, server_rules.MIGRATE),
        ({"os-migrateLive": {"host": None, "block_migration": "auto"}}, server_rules.MIGRATE_LIVE),
        ({"createImage": {"name": "snap"}}, server_rules.CREATE_IMAGE),
        ({"shelve": None}, server_rules.SHELVE),
        ({"shelveOffload": None}, server_rules.SHELVE_OFFLOAD),
        ({"unshelve": None}, server_rules.UNSHELVE),
        ({"createBackup": {"name": "b", "backup_type": "daily", "rotation": 1}}, server_rules.CREATE_BACKUP),
        ({"os-getConsoleOutput": {"length": 10}}, server_rules.CONSOLE_OUTPUT),
        ({"os-getVNCConsole": {"type": "novnc"}}, console_rules.CREATE),
        ({"os-getSPICEConsole": {"type": "spice-html5"}}, console_rules.CREATE),
        ({"os-getSerialConsole": {"type": "serial"}}, console_rules.CREATE),
        ({"addSecurityGroup": {"name": "default"}}, network_rules.SECURITY_GROUPS_ADD),
        ({"removeSecurityGroup": {"name": "default"}}, network_rules.SECURITY_GROUPS_REMOVE),
    ],
    "POST /servers/{server_id}/remote-consoles": [({"remote_console": {"protocol": "vnc", "type": "novnc"}}, None)],
    "POST /servers/{server_id}/metadata": [({"metadata": {"a": "b"}}, None)],
    "PUT /servers/{server_id}/metadata": [({"metadata": {"key": "b"}}, None)],
    "PUT /servers/{server_id}/metadata/{key}": [({"meta": {"key": "b"}}, None)],
    "POST /images/{image_id}/metadata": [({"metadata": {"a": "b"}}, None)],
    "PUT /images/{image_id}/metadata": [({"metadata": {"key": "b"}}, None)],
    "PUT /images/{image_id}/metadata/{key}": [({"meta": {"key": "b"}}, None)],
    "PUT /servers/{server_id}/deletion-protection": [({"deletion_protection": True}, None)],
    "PUT /servers/{server_id}/tags": [({"tags": ["red", "green"]}, None)],
    "POST /flavors": [
        (
            {
                "flavor": {
                    "name": "f",
                    "id": "f",
                    "ram": 64,
                    "vcpus": "1",
                    "disk": 1,
                    "swap": 0,
                    "OS-FLV-EXT-DATA:ephemeral": 0,
                    "os-flavor-access:is_public": True,
                    "description": "text",
                }
            },
            None,
        )
    ],
    "PUT /flavors/{flavor_id}": [({"flavor": {"description": "text"}}, None)],
    "POST /flavors/{flavor_id}/action": [
        ({"addTenantAccess": {"tenant": "demo"}}, "os_compute_api:os-flavor-access:add_tenant_access"),
        ({"removeTenantAccess": {"tenant": "guest"}}, "os_compute_api:os-flavor-access:remove_tenant_access"),
    ],
    "POST /flavors/{flavor_id}/os-extra_specs": [({"extra_specs": {"hw:cpu_policy": "shared"}}, None)],
    "PUT /flavors/{flavor_id}/os-extra_specs/{key}": [({"key": "b"}, None)],
    "POST /os-keypairs": [({"keypair": {"name": "k", "type": "ssh", "public_key": _PUBLIC_KEY}}, None)],
    "PUT /os-quota-sets/{project_id}": [({"quota_set": {"metadata_items": 128, "force": True}}, None)],
    "PUT /os-quota-class-sets/{class_name}": [({"quota_class_set": {"metadata_items": 128}}, None)],
    "POST /os-server-groups": [
        ({"server_group": {"name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": 2}}}, None)
    ],
    "POST /os-aggregates": [({"aggregate": {"name": "racks", "availability_zone": "east"}}, None)],
    "PUT /os-aggregates/{aggregate_id}": [({"aggregate": {"name": "racks", "availability_zone": "east"}}, None)],
    "POST /os-aggregates/{aggregate_id}/images": [({"cache": [{"id": IMAGE_ID}]}, None)],
    "POST /os-aggregates/{aggregate_id}/action": [
        ({"add_host": {"host": "h2"}}, aggregate_rules.ADD_HOST),
        ({"remove_host": {"host": "h2"}}, aggregate_rules.REMOVE_HOST),
        ({"set_metadata": {"metadata": {"ssd": "true", "floor": None}}}, aggregate_rules.SET_METADATA),
    ],
    "POST /servers/{server_id}/os-volume_attachments": [
        (
            {
                "volumeAttachment": {
                    "volumeId": IMAGE_ID,
                    "device": "/dev/vdb",
                    "tag": "data",
                    "delete_on_termination": True,
                }
            },
            None,
        )
    ],
    "PUT /servers/{server_id}/os-volume_attachments/{volume_id}": [
        ({"volumeAttachment": {"volumeId": IMAGE_ID, "delete_on_termination": True}}, volume_rules.UPDATE),
        ({"volumeAttachment": {"volumeId": CELL1}}, volume_rules.SWAP),
    ],
    "POST /os-assisted-volume-snapshots": [
        (
            {
                "snapshot": {
                    "volume_id": IMAGE_ID,
                    "create_info": {"snapshot_id": CELL1, "type": "qcow2", "new_file": "volume.snap", "id": CELL1},
                }
            },
            None,
        )
    ],
    "POST /servers/{server_id}/os-interface": [({"interfaceAttachment": {"net_id": IMAGE_ID}}, None)],
    "POST /servers/{server_id}/shares": [({"share": {"share_id": IMAGE_ID, "tag": "data"}}, None)],
    "POST /os-floating-ips": [({"pool": "public"}, None)],
    "POST /os-security-groups": [({"security_group": {"name": "web"}}, None)],
    "PUT /os-security-groups/{security_group_id}": [({"security_group": {"name": "web"}}, None)],
    "POST /os-security-group-rules": [({"security_group_rule": {"ip_protocol": "tcp"}}, None)],
    "POST /os-baremetal-nodes": [({"node": {"service_host": "h1"}}, None)],
    "POST /os-baremetal-nodes/{node_id}/action": [({"add_interface": {"address": "52:54:00:00:00:01"}}, None)],
    "PUT /os-hosts/{host}": [({"status": "enable"}, None)],
    "POST /os-volumes": [
        (
            {
                "volume": {
                    "size": "1",
                    "display_name": "v",
                    "display_description": "text",
                    "availability_zone": "nova",
                    "metadata": {"a": "b"},
                }
            },
            None,
        )
    ],
    "POST /os-snapshots": [({"snapshot": {"volume_id": IMAGE_ID, "display_name": "s", "force": True}}, None)],
    "POST /os-server-external-events": [
        ({"events": [{"name": "volume-extended", "server_uuid": CELL1, "tag": IMAGE_ID}]}, None)
    ],
    "PUT /os-services/{service_id}": [({"status": "disabled", "disabled_reason": "text", "forced_down": False}, None)],
}

# Servers under their former name, up to 2.102; of actions a few will do.
_BODIES |= {
    "POST /os-volumes_boot": _BODIES["POST /servers"],
    "PUT /os-volumes_boot/{server_id}": [({"server": {"name": "new"}}, None)],
    "POST /os-volumes_boot/{server_id}/action": _BODIES["POST /servers/{server_id}/action"][:2],
}

#: Flavors' extra specs are checked against known names from 2.86 on.
_VERSIONS = {"PUT /flavors/{flavor_id}/os-extra_specs/{key}": "2.85"}


def table(cloud: Cloud) -> dict[str, object]:
    """Return the URL table of the application."""
    fanout = Fanout(cloud.conf, cloud.cells)
    notices = Notices(cloud.conf, Notifier(cloud.conf))
    backing = app.Backing(
        cloud.conf, cloud.api_db, cloud.cells, cloud.api_bus, cloud.images, cloud.volumes, fanout, notices
    )
    return dict(app.routes(backing))


def every_request(cloud: Cloud) -> Iterator[Request]:
    """Yield a good request for every route and, where its body can be of several kinds, for each kind."""
    for path, handler in table(cloud).items():
        for name, responder in inspect.getmembers(handler, callable):
            endpoint = declared_endpoint(responder)
            if not name.startswith("on_") or endpoint is None:
                continue
            method = name.removeprefix("on_").upper()
            route = f"{method} {path}"
            assert (endpoint.body is None) == (route not in _BODIES), f"{route}: give it a good body here"
            for body, rule in _BODIES.get(route, [(None, None)]):
                until = endpoint.until
                if path.endswith("/servers/{server_id}/action"):
                    until = ACTIONS[next(iter(body))].until or until
                version = str(until or _VERSIONS.get(route, NEWEST))
                yield Request(method, path, rule or endpoint.policy[0], body, version, endpoint=endpoint)
