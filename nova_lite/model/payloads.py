"""What notifications say of servers, flavors and all else: values in, payloads as on the wire out. No secret gets in:

only what is named here is told, and no user data, password, token or connection is.
"""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from nova_lite import errors
from nova_lite.model import image_properties
from nova_lite.model import notifications as shapes
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import PowerState
from nova_lite.model.host import Service
from nova_lite.model.instance import Instance
from nova_lite.model.notifications import Shape, Who
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.server_group import ServerGroup

Payload = dict[str, object]

_POWER: Mapping[PowerState, str] = {
    PowerState.NOSTATE: "pending",
    PowerState.RUNNING: "running",
    PowerState.PAUSED: "paused",
    PowerState.SHUTDOWN: "shutdown",
    PowerState.CRASHED: "crashed",
    PowerState.SUSPENDED: "suspended",
}
#: What is said of an error that is not one of ours, for its own words may hold anything.
_INTERNAL = "An internal error happened."


@dataclass(frozen=True, slots=True)
class Transition:
    """A server's states before something was done: ``vm_state`` and ``task_state``."""

    old_state: str | None
    old_task_state: str | None


def date(when: datetime | None) -> str | None:
    """Return a moment, naive UTC, as payloads have it."""
    return None if when is None else f"{when.replace(microsecond=0).isoformat()}Z"


def flavor(of: Flavor, projects: Sequence[str] | None = None) -> Payload:
    """Tell of a flavor; ``projects`` are those that may use a private one."""
    return shapes.FLAVOR.filled(
        flavorid=of.flavor_id,
        name=of.name,
        memory_mb=of.ram_mib,
        vcpus=of.vcpus,
        root_gb=of.root_gib,
        ephemeral_gb=of.ephemeral_gib,
        swap=of.swap_mib,
        rxtx_factor=of.rxtx_factor,
        vcpu_weight=0,
        disabled=of.is_disabled,
        is_public=of.is_public,
        extra_specs=dict(of.extra_specs),
        projects=None if projects is None else list(projects),
        description=of.description,
    )


def instance(shape: Shape, of: Instance, who: Who, *, with_volumes: bool, **more: object) -> Payload:
    """Tell of a server in ``shape``; ``more`` is what that has beside a server's own."""
    return shape.filled(
        uuid=of.uuid,
        user_id=of.user_id,
        tenant_id=of.project_id,
        reservation_id=of.reservation_id,
        display_name=of.display_name,
        display_description=of.description,
        host_name=of.hostname,
        host=of.host,
        node=of.node_name,
        os_type=of.image_properties.get("os_type"),
        architecture=of.image_properties.get("hw_architecture") or of.image_properties.get("architecture"),
        availability_zone=of.availability_zone,
        flavor=flavor(of.flavor),
        image_uuid=of.image_id,
        key_name=of.key_name,
        kernel_id=of.image_properties.get("kernel_id", ""),
        ramdisk_id=of.image_properties.get("ramdisk_id", ""),
        created_at=date(of.created_at),
        launched_at=date(of.launched_at),
        terminated_at=date(of.terminated_at),
        deleted_at=date(of.deleted_at),
        updated_at=date(of.updated_at),
        state=of.vm_state.value,
        power_state=_POWER[of.power_state],
        task_state=None if of.task_state is None else of.task_state.value,
        progress=0,
        ip_addresses=[],
        block_devices=_volumes(of) if with_volumes else None,
        metadata=dict(of.metadata),
        locked=of.is_locked,
        auto_disk_config=of.disk_config,
        request_id=who.request_id,
        action_initiator_user=who.user_id,
        action_initiator_project=who.project_id,
        locked_reason=of.locked_reason,
        shares=None,
        **more,
    )


def _volumes(of: Instance) -> list[Payload]:
    return [
        shapes.BLOCK_DEVICE.filled(
            device_name=each.device_name,
            boot_index=each.boot_index,
            delete_on_termination=each.delete_on_termination,
            volume_id=each.volume_id,
            tag=each.tag,
        )
        for each in of.volumes
        if each.volume_id is not None
    ]


def created(of: Instance) -> dict[str, object]:
    """Return what is told of a server that is made, beside its own."""
    key = keypair(user_id=of.user_id, name=of.key_name, fingerprint=None, public_key=of.key_data, kind="ssh")
    return {
        "keypairs": [] if of.key_name is None else [key],
        "tags": sorted(of.tags),
        "trusted_image_certificates": None,
        "instance_name": f"instance-{of.uuid}",
    }


def instance_update(
    of: Instance, who: Who, before: Transition, *, with_volumes: bool, now: datetime, old_name: str | None = None
) -> Payload:
    """Tell that a server changed, and from what."""
    task = None if of.task_state is None else of.task_state.value
    states = shapes.STATE_UPDATE.filled(
        old_state=before.old_state, state=of.vm_state.value, old_task_state=before.old_task_state, new_task_state=task
    )
    return instance(
        shapes.INSTANCE_UPDATE,
        of,
        who,
        with_volumes=with_volumes,
        state_update=states,
        audit_period=_month_so_far(now),
        old_display_name=old_name,
        tags=sorted(of.tags),
    )


def instance_exists(of: Instance, who: Who, *, with_volumes: bool, now: datetime) -> Payload:
    """Tell what a server is, before something is done that may change what it costs."""
    period = _month_so_far(now)
    return instance(shapes.INSTANCE_EXISTS, of, who, with_volumes=with_volumes, audit_period=period)


def _month_so_far(now: datetime) -> Payload:
    """Return the period that is told, for listeners expect one."""
    beginning = now.replace(day=1, hour=0, minute=0, second=0)
    return shapes.AUDIT_PERIOD.filled(audit_period_beginning=date(beginning), audit_period_ending=date(now))


def failure(error: BaseException | None, reason: str | None = None) -> Payload:
    """Tell of an error: of one of ours what users may read, of any other only its kind and where it was raised.

    Without an error it is what was recorded of it: ``reason``.
    """
    where = None if error is None else _innermost(error.__traceback__)
    frames = [] if error is None else traceback.extract_tb(error.__traceback__)
    message = error.message if isinstance(error, errors.NovaLiteError) else reason or _INTERNAL
    return shapes.EXCEPTION.filled(
        module_name="unknown" if where is None else where[0],
        function_name="unknown" if where is None else where[1],
        exception="NovaLiteError" if error is None else type(error).__name__,
        exception_message=message,
        # Where, and never with which values: those may be secrets.
        traceback="\n".join(f"{frame.name}:{frame.lineno}" for frame in frames),
    )


def _innermost(at: TracebackType | None) -> tuple[str, str] | None:
    """Return module and function in which an error was raised."""
    if at is None:
        return None
    while at.tb_next is not None:
        at = at.tb_next
    return str(at.tb_frame.f_globals.get("__name__", "unknown")), at.tb_frame.f_code.co_name


def keypair(*, user_id: str, name: str | None, fingerprint: str | None, public_key: str | None, kind: str) -> Payload:
    """Tell of a keypair: its public half."""
    return shapes.KEYPAIR.filled(user_id=user_id, name=name, fingerprint=fingerprint, public_key=public_key, type=kind)


def aggregate(
    *, number: int | None, uuid: str | None, name: str, hosts: Sequence[str], metadata: Mapping[str, str]
) -> Payload:
    """Tell of an aggregate."""
    return shapes.AGGREGATE.filled(id=number, uuid=uuid, name=name, hosts=list(hosts), metadata=dict(metadata))


def server_group(of: ServerGroup, members: Sequence[str]) -> Payload:
    """Tell of a server group, and which servers are concerned."""
    return shapes.SERVER_GROUP.filled(
        uuid=of.uuid,
        name=of.name,
        user_id=of.user_id,
        project_id=of.project_id,
        policies=[of.policy],
        members=list(members),
        hosts=None,
        policy=of.policy,
        rules={name: str(value) for name, value in of.rules.items()},
    )


def image_fetch(
    *, number: int, uuid: str, name: str, host: str, cached: Sequence[str], failed: Sequence[str], turn: tuple[int, int]
) -> Payload:
    """Tell which images a host of an aggregate got; ``turn`` says how many hosts have had theirs, of how many."""
    index, total = turn
    return shapes.AGGREGATE_CACHE.filled(
        id=number,
        uuid=uuid,
        name=name,
        host=host,
        images_cached=list(cached),
        images_failed=list(failed),
        index=index,
        total=total,
    )


def request_spec(of: RequestSpec, instance_uuid: str, *, count: int, group: ServerGroup | None) -> Payload:
    """Tell for what hosts are sought: for ``count`` servers, of which one is named."""
    is_named = of.wanted_host is not None and not of.skips_filters
    return shapes.REQUEST_SPEC.filled(
        instance_uuid=instance_uuid,
        project_id=of.project_id,
        user_id=of.user_id,
        availability_zone=of.availability_zone,
        flavor=flavor(of.flavor),
        force_hosts=of.wanted_host if of.skips_filters else None,
        force_nodes=of.wanted_node if of.skips_filters else None,
        ignore_hosts=list(of.not_on) or None,
        image_meta=None,
        instance_group=None if group is None else server_group(group, group.members),
        image=_image(of),
        numa_topology=None,
        pci_requests=None,
        num_instances=count,
        requested_destination=shapes.DESTINATION.filled(
            host=of.wanted_host, node=of.wanted_node, cell=None, aggregates=None
        )
        if is_named
        else None,
        retry=None,
        scheduler_hints={name: _texts(value) for name, value in of.hints.items()},
        security_groups=[],
    )


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, (list, tuple)) else [str(value)]


def _image(of: RequestSpec) -> Payload | None:
    """Tell of the image that servers are made from what is kept of it."""
    if not of.image_id:
        return None
    unknown = dict.fromkeys(shapes.IMAGE.keys)
    known = {"id": of.image_id, "disk_format": of.image_disk_format, "properties": _image_properties(of)}
    return shapes.IMAGE.filled(**(unknown | known))


def _image_properties(of: RequestSpec) -> Payload:
    told: dict[str, object] = {}
    for name, value in of.image_properties.items():
        if name in image_properties.NUMBERS and value.isdecimal():
            told[name] = int(value)
        elif name in image_properties.FLAGS:
            told[name] = value.lower() in ("1", "t", "true", "on", "y", "yes")
        elif name in image_properties.TEXTS:
            told[name] = value
    return shapes.IMAGE_PROPERTIES.partly(**told)


def compute_task(instance_uuid: str, state: str | None, spec: Payload | None, reason: Payload) -> Payload:
    """Tell that a server found no host, in which state it is therefore, and why."""
    return shapes.COMPUTE_TASK.filled(instance_uuid=instance_uuid, request_spec=spec, state=state, reason=reason)


def service(of: Service) -> Payload:
    """Tell of a service."""
    return shapes.SERVICE.filled(
        host=of.host,
        binary=of.binary,
        topic=of.binary.removeprefix("nova-"),
        report_count=0,
        disabled=of.is_disabled,
        disabled_reason=of.disabled_reason,
        availability_zone=None,
        last_seen_up=date(of.updated_at),
        forced_down=of.is_forced_down,
        version=of.version,
        uuid=of.uuid,
    )
