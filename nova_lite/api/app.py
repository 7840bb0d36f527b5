"""The Compute API as a WSGI application, and its whole URL table."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from nova_lite.api import faults, urls
from nova_lite.api.handlers import (
    aggregates,
    assisted_volume_snapshots,
    availability_zones,
    baremetal_nodes,
    compute_services,
    console_auth_tokens,
    deletion_protection,
    extensions,
    extra_specs,
    flavor_access,
    flavors,
    gone,
    hosts,
    hypervisors,
    image_metadata,
    images,
    instance_actions,
    instance_usage_audit_log,
    keypairs,
    limits,
    migrations,
    monitoring,
    networks,
    openapi,
    quota_class_sets,
    quota_sets,
    remote_consoles,
    server_actions,
    server_diagnostics,
    server_external_events,
    server_groups,
    server_metadata,
    server_migrations,
    server_networks,
    server_operations,
    server_passwords,
    server_scheduling,
    server_shares,
    server_tags,
    server_topology,
    servers,
    snapshots,
    usages,
    versions,
    volume_attachments,
    volumes,
    volumes_boot,
)
from nova_lite.api.handlers import cells as cell_handlers
from nova_lite.api.handlers.passwords import Passwords
from nova_lite.api.idempotency import IdempotencyKeys
from nova_lite.api.microversions import NEGOTIATION
from nova_lite.api.policies import registry as policies
from nova_lite.api.services.aggregates import AggregateService
from nova_lite.api.services.assisted_volume_snapshots import AssistedVolumeSnapshotService
from nova_lite.api.services.availability_zones import AvailabilityZoneService
from nova_lite.api.services.cells import CellService
from nova_lite.api.services.compute_services import ComputeServiceService
from nova_lite.api.services.console_auth_tokens import ConsoleAuthTokenService
from nova_lite.api.services.deletion_protection import DeletionProtectionService
from nova_lite.api.services.evacuations import EvacuationService
from nova_lite.api.services.extra_specs import ExtraSpecService
from nova_lite.api.services.flavor_access import FlavorAccessService
from nova_lite.api.services.flavors import FlavorService
from nova_lite.api.services.hosts import HostService
from nova_lite.api.services.hypervisors import HypervisorService
from nova_lite.api.services.idempotency_keys import IdempotencyKeyService
from nova_lite.api.services.image_proxies import ImageProxyService
from nova_lite.api.services.images import Images
from nova_lite.api.services.instance_actions import InstanceActionService
from nova_lite.api.services.instance_usage_audit_log import AuditLogService
from nova_lite.api.services.keypairs import KeypairService
from nova_lite.api.services.limits import LimitService
from nova_lite.api.services.live_migrations import LiveMigrationService
from nova_lite.api.services.migrations import MigrationService
from nova_lite.api.services.moves import MoveService
from nova_lite.api.services.notices import Notices
from nova_lite.api.services.quota_class_sets import QuotaClassSetService
from nova_lite.api.services.quota_sets import QuotaSetService
from nova_lite.api.services.rebuilds import RebuildService
from nova_lite.api.services.remote_consoles import RemoteConsoleService
from nova_lite.api.services.server_actions import ServerActionService
from nova_lite.api.services.server_creation import ServerCreationService
from nova_lite.api.services.server_deletion import ServerDeletionService
from nova_lite.api.services.server_diagnostics import ServerDiagnosticsService
from nova_lite.api.services.server_external_events import ServerExternalEventService
from nova_lite.api.services.server_groups import ServerGroupService
from nova_lite.api.services.server_history import ServerHistory
from nova_lite.api.services.server_lists import ServerListService
from nova_lite.api.services.server_lookup import ServerLookup
from nova_lite.api.services.server_metadata import ServerMetadataService
from nova_lite.api.services.server_migrations import ServerMigrationService
from nova_lite.api.services.server_networks import ServerNetworkService
from nova_lite.api.services.server_operations import ServerOperationService
from nova_lite.api.services.server_passwords import ServerPasswordService
from nova_lite.api.services.server_scheduling import ServerSchedulingService
from nova_lite.api.services.server_shares import ServerShareService
from nova_lite.api.services.server_snapshots import ServerSnapshotService
from nova_lite.api.services.server_tags import ServerTagService
from nova_lite.api.services.server_topology import ServerTopologyService
from nova_lite.api.services.servers import ServerService
from nova_lite.api.services.shelving import ShelvingService
from nova_lite.api.services.state_resets import StateResetService
from nova_lite.api.services.usages import UsageService
from nova_lite.api.services.volume_attachments import VolumeAttachmentService
from nova_lite.api.services.volume_swaps import VolumeSwapService
from nova_lite.api.services.volumes import SnapshotService, VolumeService
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.clients.volumes import Volumes
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.notifications import Notifier
from nova_lite.storage import Database
from nova_lite.web import app as web
from nova_lite.web.caller import authenticator
from nova_lite.web.cors import shared
from nova_lite.web.endpoint import refuse_undeclared
from nova_lite.web.monitoring import UNVERSIONED
from nova_lite.web.policy import RulePolicy
from nova_lite.web.proxies import Wsgi, behind_proxy


@dataclass(frozen=True)
class Backing:
    """What the API stands on."""

    conf: cfg.ConfigOpts
    api_db: Database
    cells: Cells
    api_bus: Bus
    images: Images
    volumes: Volumes
    fanout: Fanout
    notices: Notices


def routes(backing: Backing) -> list[tuple[str, object]]:
    """Return the URL table: path after ``/v2.1`` (and after the project id, if any) → handler."""
    table = [
        *_server_routes(backing),
        *_server_detail_routes(backing),
        *_flavor_routes(backing),
        *_keypair_routes(backing),
        *_host_routes(backing),
        *_quota_routes(backing),
        *_image_routes(backing),
        *_volume_routes(backing),
        *networks.routes(),
        *baremetal_nodes.routes(),
    ]
    return [*table, *volumes_boot.routes(table)]


def _server_routes(backing: Backing) -> list[tuple[str, object]]:
    conf, api_db, cells, api_bus = backing.conf, backing.api_db, backing.cells, backing.api_bus
    notices = backing.notices
    lookup = ServerLookup(conf, api_db, cells, backing.fanout)
    history = ServerHistory(api_db, cells, backing.fanout)
    under_way = ServerOperationService(history)
    actions = InstanceActionService(history, under_way)
    metadata = ServerMetadataService(conf, api_db, lookup)
    moving = MoveService(conf, api_db, cells, lookup, api_bus)
    live = LiveMigrationService(conf, api_db, cells, lookup, api_bus, notices)
    creation = ServerCreationService(conf, api_db, cells, api_bus, backing.images, backing.volumes, notices)
    lists = ServerListService(conf, api_db, cells, backing.fanout)
    deletion = ServerDeletionService(conf, api_db, lookup, api_bus, notices)
    snapshots = ServerSnapshotService(conf, api_db, lookup, backing.images, backing.volumes)
    rebuilding = RebuildService(conf, api_db, lookup, backing.images, api_bus, volumes=backing.volumes, notices=notices)
    passwords = Passwords(are_told=conf.api.enable_instance_password)
    acting = server_actions.Services(
        ServerActionService(conf, lookup, backing.images, notices),
        deletion=deletion,
        moves=moving,
        live=live,
        rebuilds=rebuilding,
        evacuations=EvacuationService(conf, api_db, cells, lookup, api_bus, notices),
        snapshots=snapshots,
        shelving=ShelvingService(conf, api_db, cells, lookup, backing.images, api_bus),
        resets=StateResetService(conf, api_db, cells, lookup, api_bus),
        consoles=RemoteConsoleService(conf, lookup),
        networks=ServerNetworkService(lookup),
        passwords=passwords,
    )
    moves = ServerMigrationService(lookup)
    assisted = AssistedVolumeSnapshotService(lookup, backing.volumes)
    attachments = VolumeAttachmentService(conf, lookup, backing.volumes)
    swaps = VolumeSwapService(conf, lookup, backing.volumes, attachments)
    max_limit = conf.api.max_limit
    return [
        ("/servers", servers.Servers(creation, lists, passwords, max_limit=max_limit)),
        ("/servers/detail", servers.ServersDetail(lists, max_limit=max_limit)),
        ("/servers/{server_id}", servers.Server(ServerService(api_db, lookup, notices), deletion)),
        ("/servers/{server_id}/action", server_actions.ServerAction(acting)),
        ("/servers/{server_id}/os-instance-actions", instance_actions.InstanceActions(actions, max_limit=max_limit)),
        ("/servers/{server_id}/os-instance-actions/{request_id}", instance_actions.InstanceActionItem(actions)),
        ("/servers/{server_id}/diagnostics", server_diagnostics.ServerDiagnostics(ServerDiagnosticsService(lookup))),
        ("/servers/{server_id}/os-server-password", server_passwords.ServerPassword(ServerPasswordService(lookup))),
        ("/servers/{server_id}/operations", server_operations.ServerOperations(under_way, max_limit=max_limit)),
        ("/servers/{server_id}/operations/{operation_id}", server_operations.ServerOperation(under_way)),
        ("/servers/{server_id}/scheduling", server_scheduling.ServerScheduling(ServerSchedulingService(lookup))),
        ("/servers/{server_id}/metadata", server_metadata.ServerMetadata(metadata)),
        ("/servers/{server_id}/metadata/{key}", server_metadata.ServerMetadataItem(metadata)),
        (
            "/servers/{server_id}/os-volume_attachments",
            volume_attachments.VolumeAttachments(attachments, max_limit=max_limit),
        ),
        (
            "/servers/{server_id}/os-volume_attachments/{volume_id}",
            volume_attachments.VolumeAttachment(attachments, swaps),
        ),
        ("/servers/{server_id}/migrations", server_migrations.ServerMigrations(moves)),
        ("/servers/{server_id}/migrations/{migration_id}", server_migrations.ServerMigrationItem(moves, live)),
        ("/servers/{server_id}/migrations/{migration_id}/action", server_migrations.ServerMigrationAction(live)),
        (
            "/os-server-external-events",
            server_external_events.ServerExternalEvents(ServerExternalEventService(conf, lookup)),
        ),
        ("/os-assisted-volume-snapshots", assisted_volume_snapshots.AssistedVolumeSnapshots(assisted)),
        ("/os-assisted-volume-snapshots/{snapshot_id}", assisted_volume_snapshots.AssistedVolumeSnapshot(assisted)),
    ]


def _server_detail_routes(backing: Backing) -> list[tuple[str, object]]:
    lookup = ServerLookup(backing.conf, backing.api_db, backing.cells, backing.fanout)
    tags = ServerTagService(backing.api_db, lookup)
    networks = ServerNetworkService(lookup)
    shares = ServerShareService(lookup)
    protection = DeletionProtectionService(backing.api_db, lookup)
    consoles = RemoteConsoleService(backing.conf, lookup)
    tokens = ConsoleAuthTokenService(backing.fanout)
    return [
        ("/servers/{server_id}/remote-consoles", remote_consoles.RemoteConsoles(consoles)),
        ("/os-console-auth-tokens/{token}", console_auth_tokens.ConsoleAuthToken(tokens)),
        ("/servers/{server_id}/deletion-protection", deletion_protection.DeletionProtection(protection)),
        ("/servers/{server_id}/tags", server_tags.ServerTags(tags)),
        ("/servers/{server_id}/tags/{tag}", server_tags.ServerTag(tags)),
        ("/servers/{server_id}/topology", server_topology.ServerTopology(ServerTopologyService(lookup))),
        ("/servers/{server_id}/ips", server_networks.ServerAddresses(networks)),
        ("/servers/{server_id}/ips/{network}", server_networks.ServerNetworkAddresses(networks)),
        ("/servers/{server_id}/os-interface", server_networks.ServerInterfaces(networks)),
        ("/servers/{server_id}/os-interface/{port_id}", server_networks.ServerInterface(networks)),
        ("/servers/{server_id}/os-security-groups", server_networks.ServerSecurityGroups(networks)),
        ("/servers/{server_id}/shares", server_shares.ServerShares(shares)),
        ("/servers/{server_id}/shares/{share_id}", server_shares.ServerShare(shares)),
    ]


def _flavor_routes(backing: Backing) -> list[tuple[str, object]]:
    max_limit = backing.conf.api.max_limit
    service = FlavorService(backing.api_db, backing.notices)
    access = FlavorAccessService(backing.api_db, backing.notices)
    specs = ExtraSpecService(backing.api_db, backing.notices)
    return [
        ("/flavors", flavors.Flavors(service, max_limit=max_limit)),
        ("/flavors/detail", flavors.FlavorsDetail(service, max_limit=max_limit)),
        ("/flavors/{flavor_id}", flavors.FlavorItem(service)),
        ("/flavors/{flavor_id}/action", flavor_access.FlavorActions(access)),
        ("/flavors/{flavor_id}/os-flavor-access", flavor_access.FlavorAccess(access)),
        ("/flavors/{flavor_id}/os-extra_specs", extra_specs.ExtraSpecs(specs)),
        ("/flavors/{flavor_id}/os-extra_specs/{key}", extra_specs.ExtraSpec(specs)),
    ]


def _keypair_routes(backing: Backing) -> list[tuple[str, object]]:
    service = KeypairService(backing.conf, backing.api_db, backing.notices)
    return [
        ("/os-keypairs", keypairs.Keypairs(service, max_limit=backing.conf.api.max_limit)),
        ("/os-keypairs/{name}", keypairs.KeypairItem(service)),
    ]


def _quota_routes(backing: Backing) -> list[tuple[str, object]]:
    conf, api_db = backing.conf, backing.api_db
    service = QuotaSetService(conf, api_db)
    groups = ServerGroupService(conf, api_db, backing.notices)
    return [
        ("/limits", limits.Limits(LimitService(conf, api_db))),
        ("/os-quota-sets/{project_id}", quota_sets.QuotaSet(service)),
        ("/os-quota-sets/{project_id}/detail", quota_sets.QuotaSetDetail(service)),
        ("/os-quota-sets/{project_id}/defaults", quota_sets.QuotaSetDefaults(service)),
        ("/os-quota-class-sets/{class_name}", quota_class_sets.QuotaClassSet(QuotaClassSetService(conf, api_db))),
        ("/os-server-groups", server_groups.ServerGroups(groups, max_limit=conf.api.max_limit)),
        ("/os-server-groups/{group_id}", server_groups.ServerGroupItem(groups)),
    ]


def _image_routes(backing: Backing) -> list[tuple[str, object]]:
    service = ImageProxyService(backing.conf, backing.api_db, backing.images)
    max_limit = backing.conf.api.max_limit
    return [
        ("/images", images.Images(service, max_limit=max_limit)),
        ("/images/detail", images.Images(service, max_limit=max_limit, is_detailed=True)),
        ("/images/{image_id}", images.Image(service)),
        ("/images/{image_id}/metadata", image_metadata.ImageMetadata(service)),
        ("/images/{image_id}/metadata/{key}", image_metadata.ImageMetadataItem(service)),
    ]


def _volume_routes(backing: Backing) -> list[tuple[str, object]]:
    service, kept = VolumeService(backing.volumes), SnapshotService(backing.volumes)
    max_limit = backing.conf.api.max_limit
    return [
        ("/os-volumes", volumes.Volumes(service, max_limit=max_limit)),
        ("/os-volumes/detail", volumes.VolumesDetail(service, max_limit=max_limit)),
        ("/os-volumes/{volume_id}", volumes.Volume(service)),
        ("/os-snapshots", snapshots.Snapshots(kept, max_limit=max_limit)),
        ("/os-snapshots/detail", snapshots.SnapshotsDetail(kept, max_limit=max_limit)),
        ("/os-snapshots/{snapshot_id}", snapshots.Snapshot(kept)),
    ]


def _host_routes(backing: Backing) -> list[tuple[str, object]]:
    conf, api_db, cells, fanout = backing.conf, backing.api_db, backing.cells, backing.fanout
    services = ComputeServiceService(conf, api_db, cells, fanout, backing.api_bus, backing.notices)
    nodes = HypervisorService(conf, cells, fanout)
    machines = HostService(conf, cells, services)
    groups = AggregateService(conf, api_db, cells, fanout, backing.api_bus, backing.images, notices=backing.notices)
    zones = AvailabilityZoneService(conf, api_db, fanout)
    usage = UsageService(conf, api_db, cells, fanout)
    audits = AuditLogService(conf, fanout)
    return [
        ("/os-services", compute_services.ComputeServices(services)),
        ("/os-services/{service_id}", compute_services.ComputeService(services)),
        ("/os-hosts", hosts.Hosts(machines)),
        ("/os-hosts/{host}", hosts.Host(machines)),
        ("/os-hosts/{host}/reboot", hosts.HostReboot(machines)),
        ("/os-hosts/{host}/shutdown", hosts.HostShutdown(machines)),
        ("/os-hosts/{host}/startup", hosts.HostStartup(machines)),
        ("/os-cells", cell_handlers.Cells(CellService(conf, api_db, cells, fanout))),
        ("/os-hypervisors", hypervisors.Hypervisors(nodes, max_limit=conf.api.max_limit)),
        ("/os-hypervisors/detail", hypervisors.HypervisorsDetail(nodes, max_limit=conf.api.max_limit)),
        ("/os-hypervisors/statistics", hypervisors.HypervisorStatistics(nodes)),
        ("/os-hypervisors/{hypervisor_id}", hypervisors.HypervisorItem(nodes)),
        ("/os-hypervisors/{hypervisor_id}/uptime", hypervisors.HypervisorUptime(nodes)),
        ("/os-hypervisors/{hypervisor_id}/search", hypervisors.HypervisorSearch(nodes)),
        ("/os-hypervisors/{hypervisor_id}/servers", hypervisors.HypervisorServers(nodes)),
        (
            "/os-migrations",
            migrations.Migrations(MigrationService(conf, cells, fanout), max_limit=conf.api.max_limit),
        ),
        ("/os-aggregates", aggregates.Aggregates(groups)),
        ("/os-aggregates/{aggregate_id}", aggregates.AggregateItem(groups)),
        ("/os-aggregates/{aggregate_id}/action", aggregates.AggregateAction(groups)),
        ("/os-aggregates/{aggregate_id}/images", aggregates.AggregateImages(groups)),
        ("/os-availability-zone", availability_zones.AvailabilityZones(zones)),
        ("/os-availability-zone/detail", availability_zones.AvailabilityZonesDetail(zones)),
        ("/os-instance_usage_audit_log", instance_usage_audit_log.LatestAuditLog(audits)),
        ("/os-instance_usage_audit_log/{before}", instance_usage_audit_log.AuditLogBefore(audits)),
        ("/extensions", extensions.Extensions()),
        ("/extensions/{alias}", extensions.Extension()),
        ("/os-simple-tenant-usage", usages.Usages(usage, max_limit=conf.api.max_limit)),
        ("/os-simple-tenant-usage/{project_id}", usages.ProjectUsages(usage, max_limit=conf.api.max_limit)),
    ]


def build(
    conf: cfg.ConfigOpts,
    *,
    api_db: Database,
    cells: Cells,
    api_bus: Bus,
    images: Images,
    volumes: Volumes | None = None,
    notifier: Notifier | None = None,
) -> Wsgi:
    """Return the Compute API over ``api_db`` and ``cells``. Connects to nothing before the first request.

    Without ``volumes`` they are those of the service that ``conf`` names; ``notifier``, too, is then made as it says.
    """
    fanout, notices = Fanout(conf, cells), Notices(conf, notifier or Notifier(conf))
    table = routes(Backing(conf, api_db, cells, api_bus, images, volumes or Volumes(conf), fanout, notices))
    watched = monitoring.Monitoring(conf, api_db)
    api = web.Api(
        negotiation=NEGOTIATION,
        render_fault=faults.render,
        statuses=faults.STATUS_OF,
        is_public=lambda path: versions.is_public(path) or path in watched.public,
        unversioned=versions.UNVERSIONED | UNVERSIONED,
        taken_as_json=frozenset({None, "text/plain", "application/vnd.openstack.compute+json"}),
        wrong_method_status=404,
        is_relaxed=urls.is_relaxed,
        max_body_bytes=conf.oslo_middleware.max_request_body_size,
        request_id_headers=("X-Compute-Request-Id",),
    )
    app = web.build(api, authenticator(conf, RulePolicy(conf, policies.rules())), watched.meter)
    app.add_middleware(urls.ProjectCheck())
    lookup = ServerLookup(conf, api_db, cells, Fanout(conf, cells))
    app.add_middleware(IdempotencyKeys(IdempotencyKeyService(conf, api_db, lookup)))
    for path, handler in table:
        refuse_undeclared(path, handler)
    # Of a URL that is served, some methods may be gone.
    whole = {**dict(table), **dict(gone.routes(table))}
    for path, handler in [*versions.routes(), *watched.routes(), *openapi.routes(table), *whole.items()]:
        app.add_route(path, handler)
    prefixed = urls.VersionPrefix(app, nouns=_nouns(whole.items()), link_prefix=conf.api.compute_link_prefix)
    return shared(conf, behind_proxy(conf, prefixed))


def _nouns(table: Iterable[tuple[str, Any]]) -> frozenset[str]:
    """Return every first segment of the table's paths: what cannot be a project id in a URL."""
    return frozenset(path.split("/")[1] for path, _ in table)
