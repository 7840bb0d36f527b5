"""Making servers: check everything, write everything down in one transaction, answer; conductors do the rest."""

import contextlib
import uuid as uuids
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import deletion_protection as protection_rules
from nova_lite.api.policies import servers as rules
from nova_lite.api.services import destinations, image_mappings
from nova_lite.api.services.block_device_mappings import BLANK, IMAGE, Asked, refuse_misfits, refuse_too_many_local
from nova_lite.api.services.boot_holdings import BootHoldings, Holding
from nova_lite.api.services.boot_volumes import BootVolumes, Plan
from nova_lite.api.services.destinations import Destination
from nova_lite.api.services.extra_specs import refuse_aliases
from nova_lite.api.services.guest_data import (
    needs_config_drive,
    refuse_bad_files,
    refuse_bad_user_data,
    refuse_too_many_files,
)
from nova_lite.api.services.images import Images
from nova_lite.api.services.notices import Notices
from nova_lite.api.services.quotas import Limits, Quotas, how_many_fit, limits_servers, used_by_servers
from nova_lite.api.services.rehearsals import Rehearsal
from nova_lite.api.services.server_copies import copies
from nova_lite.api.services.server_metadata import refuse_too_much
from nova_lite.cells.registry import Cells
from nova_lite.clients.volumes import Volumes
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import (
    build_requests,
    flavors,
    keypairs,
    mappings,
    quotas,
    server_groups,
    workflows,
    zones,
)
from nova_lite.model.caller import Caller
from nova_lite.model.flavor import Flavor, rootless
from nova_lite.model.image import Image
from nova_lite.model.instance import InjectedFile, Instance
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.rpc.scheduler import SchedulerClient
from nova_lite.storage import Database, Handle, retried

_GIB = 1 << 30
#: Servers one request may ask for, where no quota says less.
_MAX_COUNT = 1000
#: Servers that are rehearsed of a request that is over quota, at most: nobody may have them anyway.
_REHEARSED_OVER_QUOTA = 10


@dataclass(frozen=True)
class NewServers:
    """What a client asked for: one server, or from ``min_count`` to ``max_count`` equal ones.

    ``devices`` are its block device mappings, None without any. ``knows_shared_volumes``: its version of the API has
    volumes that several servers may have.
    """

    name: str
    flavor_id: str
    image_id: str
    description: str | None = None
    hostname: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    key_name: str | None = None
    user_data: str | None = None
    personality: tuple[InjectedFile, ...] = ()
    has_config_drive: bool = False
    availability_zone: str | None = None
    host: str | None = None
    hypervisor_hostname: str | None = None
    min_count: int = 1
    max_count: int = 1
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    disk_config: str = "MANUAL"
    tags: tuple[str, ...] = ()
    hints: Mapping[str, object] = field(default_factory=dict)
    devices: tuple[Asked, ...] | None = None
    knows_shared_volumes: bool = False
    is_protected: bool = False


@dataclass(frozen=True)
class Accepted:
    """Servers written down, with the id that all of one request share."""

    instances: tuple[Instance, ...]
    reservation_id: str


class _Limited(Exception):
    """Servers must be counted under a lock that nobody shares."""


class ServerCreationService:
    """Accepts new servers."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        api_db: Database,
        cells: Cells,
        api_bus: Bus,
        images: Images,
        volumes: Volumes,
        notices: Notices,
    ) -> None:
        self._conf = conf
        self._notices = notices
        self._quotas = Quotas(conf)
        self._api_db = api_db
        self._cells = cells
        self._api_bus = api_bus
        self._images = images
        self._volumes = BootVolumes(conf, volumes)
        self._holdings = BootHoldings(conf, api_db, api_bus, self._volumes)

    def create(self, caller: Caller, new: NewServers) -> Accepted:
        """Write down the servers asked for and have them built.

        Raises Invalid for what can never work, Forbidden, OverQuota, Unavailable; then nothing was written.
        """
        template, spec, plan = self._planned(caller, new)
        if plan.devices:
            accepted, workflow = self._record_with_volumes(caller, new, template, spec, plan)
        else:
            accepted, workflow = self._record(caller, new, template, spec)
        ConductorClient(self._api_bus).wake(workflow.uuid)
        if spec.group is not None and self._notices.are_told:
            with self._api_db.reader() as session, contextlib.suppress(errors.NotFound):  # gone since: told of, too
                self._notices.server_group(caller, "add_member", server_groups.get(session, spec.group))
        return accepted

    def rehearse(self, caller: Caller, new: NewServers) -> Rehearsal:
        """Return what ``create`` would come to, and write nothing; raises as it does, but for OverQuota."""
        template, spec, _ = self._planned(caller, new)
        over_quota, count = None, min(new.min_count, _REHEARSED_OVER_QUOTA)
        with self._api_db.reader() as session:
            try:
                count = self._allowed(session, caller, new, template.flavor)
                if spec.group is not None:
                    self._refuse_full_group(session, caller, spec.group, count)
            except errors.OverQuota as exc:
                over_quota = exc.message
        return Rehearsal(over_quota, SchedulerClient(self._api_bus).rehearse(spec, count))

    def _planned(self, caller: Caller, new: NewServers) -> tuple[Instance, RequestSpec, Plan]:
        """Return what each of the new servers will be like, what is asked of the scheduler, and of volumes."""
        caller.require(rules.CREATE)
        if not caller.project_id:
            raise errors.Forbidden("The token is for no project, and a server must belong to one.")
        _refuse_bad_counts(new)
        refuse_bad_user_data(new.user_data)
        refuse_bad_files(new.personality)
        if new.is_protected:
            caller.require(protection_rules.SET)
        flavor, key_data, destination, group = self._look_up(caller, new)
        image, plan = self._disks(caller, new, flavor)
        if plan.root is None and flavor.root_gib == 0:
            caller.require(rules.CREATE_ZERO_DISK)
        destination = destination.beside(plan.zone, self._conf.default_availability_zone)
        template = self._template(caller, new, flavor, image, key_data, destination)
        spec = RequestSpec(
            project_id=caller.project_id,
            user_id=caller.user_id,
            flavor=flavor,
            image_id=image.id,
            image_properties=image.properties,
            availability_zone=destination.zone,
            wanted_host=destination.host,
            wanted_node=destination.node,
            skips_filters=destination.is_forced,
            hints=dict(new.hints),
            group=group,
            image_disk_format=image.disk_format if plan.root is None else None,
            boots_from_volume=plan.root is not None,
            shares_volumes=plan.shares_volumes,
        )
        return template, spec, plan

    def _disks(self, caller: Caller, new: NewServers, flavor: Flavor) -> tuple[Image, Plan]:
        """Return the image, or what stands for it where a volume is booted from, and what is planned of volumes."""
        asked = new.devices
        if asked is not None:
            caller.require(rules.CREATE_WITH_VOLUMES)
        booted, images_own = self._booted(caller, new)
        devices = image_mappings.merged(asked, images_own, new.image_id)
        refuse_too_many_local(devices, flavor, self._conf.max_local_block_devices)
        if asked is None and not images_own:
            image = booted or self._image(caller, new.image_id)
            refuse_unfit(image, flavor)
            return image, Plan()
        refuse_misfits(devices, flavor, count=new.max_count)
        boots_from_volume = any(one.is_root and one.is_volume for one in devices)
        # A volume that is booted from though nothing is on it is of a server that is to be as imageRef says.
        boots_nothing = any(one.is_root and one.source == BLANK for one in devices)
        stands = booted is not None and (boots_nothing or any(one.is_root for one in images_own))
        plan = self._volumes.plan(
            caller.token,
            devices,
            flavor,
            image=booted if stands or not boots_from_volume else None,
            show_image=lambda image_id: (
                booted if booted is not None and booted.id == image_id else self._image(caller, image_id)
            ),
            has_config_drive=new.has_config_drive or self._conf.force_config_drive,
            shares=new.knows_shared_volumes,
        )
        image = plan.root or booted or self._image(caller, new.image_id)
        refuse_unfit(image, rootless(flavor) if plan.root is not None else flavor)
        return image, plan

    def _booted(self, caller: Caller, new: NewServers) -> tuple[Image | None, tuple[Asked, ...]]:
        """Return the image that a server boots from, or whose volume, and the devices that it asks for.

        None for a server that boots from a volume that is there, or is made of a snapshot.
        """
        image_id = new.image_id or next(
            (one.source_id for one in new.devices or () if one.is_root and one.source == IMAGE), None
        )
        if not image_id:
            return None, ()
        image = self._image(caller, image_id)
        own = image_mappings.of_image(image)
        return replace(image, properties=image_mappings.without_mappings(image.properties)), own

    def _look_up(self, caller: Caller, new: NewServers) -> tuple[Flavor, str | None, Destination, str | None]:
        """Return the flavor, the public key, the place and the server group asked for."""
        visible_to = None if caller.is_admin else caller.project_id
        with self._api_db.reading() as connection:
            try:
                flavor = flavors.get(connection, new.flavor_id, visible_to=visible_to)
            except errors.NotFound as exc:
                raise errors.Invalid(exc.message) from exc
            if flavor.is_disabled:
                raise errors.Invalid(f"Flavor {flavor.flavor_id} could not be found.")
            refuse_aliases(flavor)
            key_data = None
            if new.key_name is not None:
                try:
                    key_data = keypairs.get(connection, caller.user_id, new.key_name).public_key
                except errors.NotFound as exc:
                    raise errors.Invalid(f"Invalid key_name provided: {exc.message}") from exc
            known_zones = zones.of_hosts(connection) if new.availability_zone or new.host else {}
        group = None
        if "group" in new.hints:
            try:
                with self._api_db.reader() as session:
                    group = server_groups.get(session, str(new.hints["group"]).lower(), visible_to=visible_to).uuid
            except errors.NotFound as exc:
                raise errors.Invalid(exc.message) from exc
        return flavor, key_data, self._destination(caller, new, known_zones), group

    def _destination(self, caller: Caller, new: NewServers, zone_of: Mapping[str, str]) -> Destination:
        wanted = destinations.parsed(new.availability_zone)
        if wanted.is_forced:
            caller.require(rules.CREATE_ON_HOST)
        elif new.host or new.hypervisor_hostname:
            caller.require(rules.CREATE_FOR_HOST)
        wanted = wanted.named(new.host, new.hypervisor_hostname)
        is_host_known = wanted.host is not None and wanted.host in self._cells.of_hosts(named=[wanted.host])
        wanted.refuse_unknown(zone_of, self._conf.default_availability_zone, is_host_known=is_host_known)
        return wanted.or_zone(self._conf.default_schedule_zone)

    def _image(self, caller: Caller, image_id: str) -> Image:
        try:
            image = self._images.show(image_id, caller.token)
        except errors.NotFound as exc:
            raise errors.Invalid(f"Can not find requested image {image_id}") from exc
        if image.status != "active":
            raise errors.Invalid(f"Image {image_id} is not active.")
        return image

    def _template(
        self,
        caller: Caller,
        new: NewServers,
        flavor: Flavor,
        image: Image,
        key_data: str | None,
        destination: Destination,
    ) -> Instance:
        """Return the server all servers of the request are copies of."""
        now = utcnow()
        return Instance(
            uuid="",
            project_id=caller.project_id,
            user_id=caller.user_id,
            display_name=new.name,
            hostname=new.hostname or "",
            description=new.description,
            vm_state=VmState.BUILDING,
            task_state=TaskState.SCHEDULING,
            flavor=flavor,
            image_id=image.id,
            image_properties=image.properties,
            metadata=dict(new.metadata),
            created_at=now,
            updated_at=now,
            epoch=1,
            key_name=new.key_name,
            key_data=key_data,
            user_data=new.user_data,
            personality=new.personality,
            has_config_drive=new.has_config_drive or needs_config_drive(self._conf, image),
            boot_roles=",".join(sorted(caller.roles)),
            requested_zone=destination.zone,
            reservation_id=f"r-{uuids.uuid4().hex[:8]}",
            access_ip_v4=new.access_ip_v4,
            access_ip_v6=new.access_ip_v6,
            disk_config=new.disk_config,
            tags=new.tags,
        )

    def _record_with_volumes(
        self, caller: Caller, new: NewServers, template: Instance, spec: RequestSpec, plan: Plan
    ) -> tuple[Accepted, Workflow]:
        """Hold the servers' volumes and write the servers down; where that fails nothing is held."""
        with self._api_db.reader() as session:
            count = self._allowed(session, caller, new, template.flavor)
            if spec.group is not None:
                self._refuse_full_group(session, caller, spec.group, count)
        servers = copies(template, count, of=new.max_count)
        with self._holdings.holding(caller, servers, plan, spec.availability_zone) as holding:
            return self._record(caller, new, template, spec, holding)

    @retried
    def _record(
        self,
        caller: Caller,
        new: NewServers,
        template: Instance,
        spec: RequestSpec,
        holding: Holding | None = None,
    ) -> tuple[Accepted, Workflow]:
        """Count, insert and begin, all in one transaction under the project's lock.

        Where nothing that is counted has a limit requests share the lock, and none waits for another.
        """
        if not limits_servers(self._quotas.configured):
            with contextlib.suppress(_Limited):
                return self._written(caller, new, template, spec, holding, shares_lock=True)
        return self._written(caller, new, template, spec, holding, shares_lock=False)

    def _written(
        self,
        caller: Caller,
        new: NewServers,
        template: Instance,
        spec: RequestSpec,
        holding: Holding | None,
        *,
        shares_lock: bool,
    ) -> tuple[Accepted, Workflow]:
        """Do what ``_record`` says; raises _Limited where the lock must not be shared, and then nothing was written."""
        with self._api_db.writing() as connection:
            quotas.lock(connection, caller.project_id, shares=shares_lock)
            count = self._allowed(connection, caller, new, template.flavor, may_count=not shares_lock)
            made = copies(template, count, of=new.max_count) if holding is None else holding.keep(connection, count)
            mappings.add_instances(
                connection,
                [instance.uuid for instance in made],
                project_id=template.project_id,
                user_id=template.user_id,
                vcpus=template.flavor.vcpus,
                ram_mib=template.flavor.ram_mib,
                is_protected=new.is_protected,
            )
            if spec.group is not None:
                self._join_group(connection, caller, spec.group, [instance.uuid for instance in made])
            build_requests.add(connection, made, spec)
            workflow = Workflow.asked_by(
                caller, "schedule", made[0].uuid, {"instance_uuids": [instance.uuid for instance in made]}
            )
            workflows.add(connection, ApiWorkflowRow, workflow, timeout_s=self._conf.instance_build_timeout)
        return Accepted(made, template.reservation_id), workflow

    def _join_group(self, handle: Handle, caller: Caller, group: str, instance_uuids: list[str]) -> None:
        """Put new servers into a group; raises OverQuota, Invalid when it is gone meanwhile."""
        try:
            # Servers of other projects may come into it, too, under other projects' locks.
            server_groups.lock(handle, group)
        except errors.NotFound as exc:
            raise errors.Invalid(exc.message) from exc
        self._refuse_full_group(handle, caller, group, len(instance_uuids))
        server_groups.add_members(handle, group, instance_uuids)

    def _refuse_full_group(self, handle: Handle, caller: Caller, group: str, more: int) -> None:
        allowance = self._quotas.allowance(handle, caller.project_id, caller.user_id)
        wanted = server_groups.count_members(handle, group, caller.user_id) + more
        allowance.refuse_more_than("server_group_members", wanted, "Quota exceeded, too many servers in group.")

    def _allowed(
        self, handle: Handle, caller: Caller, new: NewServers, flavor: Flavor, *, may_count: bool = True
    ) -> int:
        """Return how many of the servers asked for may be; raises OverQuota when fewer than the least wanted.

        Raises _Limited when something must be counted and may not.
        """
        project_id, user_id = caller.project_id, caller.user_id
        allowance = self._quotas.allowance(handle, project_id, user_id)
        refuse_too_much(new.metadata, allowance)
        refuse_too_many_files(new.personality, allowance)
        needs = {"instances": 1, "cores": flavor.vcpus, "ram": flavor.ram_mib}
        counted = [each for each in ((allowance.project, None), (allowance.user, user_id)) if limits_servers(each[0])]
        if counted and not may_count:
            raise _Limited
        counts = [Limits(limits, used_by_servers(handle, project_id, whose)) for limits, whose in counted]
        return how_many_fit(counts, needs, least=new.min_count, most=new.max_count)


def _refuse_bad_counts(new: NewServers) -> None:
    if new.min_count > new.max_count:
        raise errors.Invalid("min_count must be <= max_count")
    if new.max_count > _MAX_COUNT:
        raise errors.Invalid(f"max_count: at most {_MAX_COUNT} servers can be asked for at once")
    if new.max_count > 1 and new.hostname is not None:
        raise errors.Invalid("hostname: cannot be given to more than one server")


def refuse_unfit(image: Image, flavor: Flavor) -> None:
    """Raise Invalid when the image cannot live in a server of the flavor."""
    if image.min_ram_mib > flavor.ram_mib:
        raise errors.Invalid(f"Flavor's memory is too small for requested image: it wants {image.min_ram_mib} MiB.")
    if flavor.root_gib == 0:
        return
    needed = max(image.size, image.virtual_size or 0, image.min_disk_gib * _GIB)
    if needed > flavor.root_gib * _GIB:
        raise errors.Invalid(
            f"Flavor's disk is too small for requested image: it has {flavor.root_gib * _GIB} bytes, "
            f"the image needs {needed}."
        )
