"""Looks at an embedded cloud's three truths at once (databases, Placement, hypervisors) and tells where they disagree.

For tests: what must hold of every server whenever nothing is under way, whatever was killed, lost or doubled before.
First the audit that operators have (``conductor/spanning/auditing/``), then what only who made the cloud can know.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from nova_lite import errors
from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.spanning.auditing import checks
from nova_lite.conductor.spanning.auditing.looking import Onlooker
from nova_lite.db.api_tables import ApiWorkflowRow, BuildRequestRow, InstanceMappingRow, RequestSpecRow
from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow, MigrationRow
from nova_lite.db.repositories import mappings
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.volume_records import Records, StoredAttachment, StoredVolume
from nova_lite.model.flavor import Flavor, rootless
from nova_lite.model.guest import Guest, PowerState
from nova_lite.model.migration import OVER
from nova_lite.model.states import VmState
from nova_lite.model.volume import Attachment, Volume, VolumeUse
from nova_lite.model.workflow import OPEN
from nova_lite.placement import audit as books
from nova_lite.placement.tables import AllocationRow, ConsumerRow, ProviderRow, ResourceClassRow
from nova_lite.rpc.bus import Bus
from nova_lite.scheduler import claims
from nova_lite.storage import Database

#: What a guest's power must be where its server shows this state.
_POWER = {
    VmState.ACTIVE: PowerState.RUNNING,
    VmState.STOPPED: PowerState.SHUTDOWN,
    VmState.PAUSED: PowerState.PAUSED,
    VmState.SUSPENDED: PowerState.SHUTDOWN,
    VmState.SOFT_DELETED: PowerState.SHUTDOWN,
    VmState.SHELVED: PowerState.SHUTDOWN,
    VmState.RESCUED: PowerState.RUNNING,
}
#: States of a server at rest; BUILDING is none.
_AT_REST = (*_POWER, VmState.RESIZED, VmState.SHELVED_OFFLOADED, VmState.ERROR)
#: States of a server that may be on no host, and those in which an image has its disk.
_ON_NO_HOST = (VmState.SHELVED_OFFLOADED, VmState.ERROR)
_ON_SHELF = (VmState.SHELVED, VmState.SHELVED_OFFLOADED)
#: Whether anything is under way, in SQL of our own: SQLAlchemy takes 1.9 ms to ask, not 0.03.
_OPEN_WORKFLOWS = f"EXISTS (SELECT 1 FROM workflows WHERE status IN ({', '.join(repr(each.value) for each in OPEN)}))"
_BUILD_REQUESTS = f"EXISTS (SELECT 1 FROM {BuildRequestRow.__tablename__})"


@dataclass
class _Truths:
    """What each party says; instances by UUID, with the cells that have a live row of them."""

    mapped: dict[str, str | None] = field(default_factory=dict)
    queued_for_delete: set[str] = field(default_factory=set)
    rows: dict[str, list[tuple[str, InstanceRow]]] = field(default_factory=lambda: defaultdict(list))
    allocations: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    guests: dict[str, list[tuple[str, Guest]]] = field(default_factory=lambda: defaultdict(list))
    #: Moves that are not over, by instance.
    moves: dict[str, list[MigrationRow]] = field(default_factory=lambda: defaultdict(list))
    #: Hosts on which something of a guest was set aside, by instance.
    asides: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    findings: list[str] = field(default_factory=list)


class Books:
    """Who holds what, as Placement's own database had it when that was first asked: in one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[str, dict[str, dict[str, int]]] | None = None

    def roots(self) -> dict[str, str]:
        """Return every provider → the root of its tree."""
        root = aliased(ProviderRow)
        statement = sa.select(ProviderRow.uuid, root.uuid).join(root, root.id == ProviderRow.root_id)
        with self._database.reader() as session:
            return dict(session.execute(statement).all())

    def holders(self, provider: str) -> dict[str, dict[str, int]] | None:
        """Return consumer → class → amount."""
        if self._held is None:
            self._held = held(self._database)
        return self._held.get(provider, {})


def held(database: Database) -> dict[str, dict[str, dict[str, int]]]:
    """Return provider → consumer → class → amount, as Placement's database has it."""
    statement = (
        sa.select(ProviderRow.uuid, ConsumerRow.uuid, ResourceClassRow.name, AllocationRow.used)
        .join(AllocationRow, AllocationRow.consumer_id == ConsumerRow.id)
        .join(ProviderRow, ProviderRow.id == AllocationRow.provider_id)
        .join(ResourceClassRow, ResourceClassRow.id == AllocationRow.class_id)
    )
    found: dict[str, dict[str, dict[str, int]]] = {}
    with database.reader() as session:
        for provider, consumer, name, used in session.execute(statement):
            found.setdefault(provider, {}).setdefault(consumer, {})[name] = used
    return found


class VolumeRecords:
    """Who has which volumes, as the embedded block storage service's own records have it."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def every_attachment(self) -> list[Attachment]:
        """Return every attachment there is."""
        return [_attachment(stored) for stored in self._records.all(StoredAttachment)]

    def in_status(self, status: str) -> list[Volume]:
        """Return the volumes whose status this is."""
        found = [volume for volume in self._records.all(StoredVolume) if volume.status == status]
        return [Volume(volume.id, volume.size_gib, status, attachments=self._uses(volume.id)) for volume in found]

    def _uses(self, volume_id: str) -> tuple[VolumeUse, ...]:
        found = self._records.of_volume(StoredAttachment, volume_id)
        return tuple(VolumeUse(stored.id, stored.instance_uuid) for stored in found)


def _attachment(stored: StoredAttachment) -> Attachment:
    return Attachment(stored.id, stored.volume_id, stored.status, stored.instance_uuid)


class Watch:
    """Looks at one cloud; a context manager that closes the databases it opened."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        names = ("api", "placement", "cell0", *cloud.settings.cell_names)
        self._databases = {name: Database(cloud.settings.database(name)) for name in names}
        self._volumes = Records(cloud.settings.volume_dir / "volumes.sqlite")
        self._glances: list[tuple[sqlite3.Connection, str]] = []

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *exc: object) -> None:
        for database in self._databases.values():
            database.close()
        self._volumes.close()
        for connection, _ in self._glances:
            connection.close()

    def servers(self) -> set[str]:
        """Return every server that the API knows, those being deleted too."""
        with self._databases["api"].reader() as session:
            return set(session.scalars(sa.select(InstanceMappingRow.instance_uuid)))

    def open_work(self) -> list[str]:
        """Return what is under way: open workflows and servers that are in no cell yet."""
        with self._databases["api"].snapshot() as api:
            found = [*_open_workflows(api, ApiWorkflowRow), *_build_requests(api)]
        for name in self._cloud.settings.cell_names:
            with self._databases[name].snapshot() as cell:
                found += _open_workflows(cell, CellWorkflowRow)
        return found

    def is_quiet(self) -> bool:
        """Return whether nothing is under way: a glance, for who asks a hundred times a second."""
        if not self._glances:
            for name in ("api", *self._cloud.settings.cell_names):
                file = sa.make_url(self._cloud.settings.database(name)).database
                asked = f"{_OPEN_WORKFLOWS} OR {_BUILD_REQUESTS}" if name == "api" else _OPEN_WORKFLOWS
                self._glances.append((sqlite3.connect(str(file), check_same_thread=False), f"SELECT {asked}"))
        return not any(connection.execute(asked).fetchone()[0] for connection, asked in self._glances)

    def audit(self) -> list[str]:
        """Return every disagreement, as sentences; empty when all is well. The cloud must be at rest."""
        truths = _Truths(findings=[*self.open_work(), *self._operators_audit()])
        self._read_api_and_cells(truths)
        self._read_placement(truths)
        for name, agent in self._cloud.agents.items():
            for guest in agent.driver.guests():
                truths.guests[guest.uuid].append((name, guest))
            for uuid in agent.driver.asides():
                truths.asides[uuid].append(name)
        for moves in truths.moves.values():
            for move in moves:
                truths.findings += [f"move {move.uuid}: {finding}" for finding in _of_move(truths, move)]
        for uuid in {*truths.mapped, *truths.rows, *truths.allocations, *truths.guests, *truths.asides}:
            truths.findings += [f"server {uuid}: {finding}" for finding in _of_server(truths, uuid)]
        return truths.findings

    def _operators_audit(self) -> list[str]:
        """Return what operators would be told: one look, for nothing is under way."""
        onlooker = Onlooker(
            self._databases["api"],
            self._cells,
            Books(self._databases["placement"]),
            self._contents,
            lambda: VolumeRecords(self._volumes),
            down_after_s=1e9,
        )
        found = checks.findings(onlooker.look(), claims.due)
        return [f"audit: {finding.kind} of {finding.subject}: {finding.text}" for finding in found]

    def _cells(self) -> list[OpenCell]:
        with self._databases["api"].reader() as session:
            known = {cell.name or "": cell for cell in mappings.cells(session)}
        names = ("cell0", *self._cloud.settings.cell_names)
        return [OpenCell(known[name], self._databases[name], cast(Bus, None)) for name in names]

    def _contents(self, cell: OpenCell, host: str) -> tuple[list[Guest], list[str]]:
        if host not in self._cloud.agents:
            raise errors.Timeout(f"Nobody runs {host}.")
        driver = self._cloud.agents[host].driver
        return driver.guests(), driver.asides()

    def _read_api_and_cells(self, truths: _Truths) -> None:
        with self._databases["api"].reader() as session:
            mapped = sa.select(
                InstanceMappingRow.instance_uuid, InstanceMappingRow.cell_uuid, InstanceMappingRow.queued_for_delete
            )
            for uuid, cell_uuid, is_queued_for_delete in session.execute(mapped):
                truths.mapped[uuid] = cell_uuid
                if is_queued_for_delete:
                    truths.queued_for_delete.add(uuid)
            unmapped = sa.select(RequestSpecRow.instance_uuid).where(
                RequestSpecRow.instance_uuid.not_in(sa.select(InstanceMappingRow.instance_uuid))
            )
            truths.findings += [f"server {uuid}: is gone, its request is not" for uuid in session.scalars(unmapped)]
            uuid_of = {cell.name or "": cell.uuid for cell in mappings.cells(session)}
        for name in ("cell0", *self._cloud.settings.cell_names):
            with self._databases[name].reader() as session:
                for found in session.scalars(sa.select(InstanceRow).filter_by(deleted=False)):
                    truths.rows[found.uuid].append((uuid_of[name], found))
                for move in session.scalars(sa.select(MigrationRow).where(MigrationRow.status.not_in(OVER))):
                    truths.moves[move.instance_uuid].append(move)

    def _read_placement(self, truths: _Truths) -> None:
        for provider, consumers in held(self._databases["placement"]).items():
            for consumer, amounts in consumers.items():
                truths.allocations.setdefault(consumer, {})[provider] = amounts
        for found in books.check(self._databases["placement"]):
            about = found.provider or found.consumer
            truths.findings.append(f"Placement's books, {found.kind} of {about}: {found.text}")


def _of_server(truths: _Truths, uuid: str) -> Iterator[str]:
    rows, guests = truths.rows.get(uuid, []), truths.guests.get(uuid, [])
    held = truths.allocations.get(uuid, {})
    if len(rows) > 1:
        yield f"lives in several cells: {[cell for cell, _ in rows]}"
    if uuid in truths.asides:
        yield f"has left something on {truths.asides[uuid]} and will not come back"
    if row_of_moved := [row for _, row in rows if row.vm_state == VmState.RESIZED and uuid not in truths.moves]:
        yield f"waits to be confirmed on {row_of_moved[0].host}, but no move of it is open"
    if len(guests) > 1:
        yield f"has guests on several hosts: {[host for host, _ in guests]}"
    if not rows:
        yield from _of_nothing(truths, uuid)
        return
    cell, row = rows[0]
    if uuid not in truths.mapped or truths.mapped[uuid] != cell:
        yield f"lives in cell {cell}, its mapping says {truths.mapped.get(uuid, 'nothing')}"
    is_counted = uuid not in truths.queued_for_delete
    if row.vm_state in _POWER and is_counted is (row.vm_state == VmState.SOFT_DELETED):
        yield f"is {row.vm_state}, but {'counts' if is_counted else 'does not count'} for its project's quota"
    if row.task_state is not None:
        yield f"is busy ({row.task_state}) with nobody at work"
    if row.vm_state not in _AT_REST:
        yield f"is left in {row.vm_state}"
    yield from _of_shelf(row, is_counted=is_counted)
    if row.vm_state == VmState.ERROR and not (row.fault or {}).get("message"):
        yield "is in ERROR and nothing says why"
    yield from _of_place(row, guests, held)


def _of_shelf(row: InstanceRow, *, is_counted: bool) -> Iterator[str]:
    """Tell whether a server that is shelved is so wholly."""
    if row.vm_state in _ON_SHELF and row.shelved_image is None and not _boots_from_volume(row):
        yield f"is {row.vm_state}, but no image has its disk"
    if row.vm_state == VmState.SHELVED_OFFLOADED and not (is_counted and row.host is None):
        yield f"is offloaded, but is on host {row.host}, or does not count for its project's quota"


def _of_place(row: InstanceRow, guests: list[tuple[str, Guest]], held: dict[str, dict[str, int]]) -> Iterator[str]:
    """Tell whether a live server's guest and claim are where, and what, its row says."""
    if row.host is None:
        if row.vm_state not in _ON_NO_HOST:
            yield f"is {row.vm_state} on no host"
        if guests:
            yield f"is on no host, but has a guest on {guests[0][0]}"
        if held:
            yield f"is on no host, but holds {held}"
        return
    disk_gib = row.ephemeral_gb + (0 if _boots_from_volume(row) else row.root_gb)
    wanted = {"VCPU": row.vcpus, "MEMORY_MB": row.memory_mb} | ({"DISK_GB": disk_gib} if disk_gib else {})
    if held != {row.node: wanted}:
        yield f"is on {row.node} and needs {wanted}, but holds {held}"
    for host, guest in guests:
        if host != row.host:
            yield f"is on {row.host}, but its guest is on {host}"
        elif row.vm_state in _POWER and guest.power_state is not _POWER[VmState(row.vm_state)]:
            yield f"is {row.vm_state}, but its guest is {guest.power_state.name}"
        elif row.vm_state in _POWER and guest.epoch != row.epoch:
            yield f"has epoch {row.epoch}, but its guest has {guest.epoch}"
    if not guests and row.vm_state in _POWER:
        yield f"is {row.vm_state}, but has no guest"


def _of_move(truths: _Truths, move: MigrationRow) -> Iterator[str]:
    """Tell whether an open move has what the server had, and its server waits for its end; takes its claim away."""
    held = truths.allocations.pop(move.uuid, {})
    flavor = Flavor(**move.old_flavor)
    if any(_boots_from_volume(row) for _, row in truths.rows.get(move.instance_uuid, [])):
        flavor = rootless(flavor)
    wanted = {"VCPU": flavor.vcpus, "MEMORY_MB": flavor.ram_mib}
    wanted |= {"DISK_GB": flavor.disk_gib} if flavor.disk_gib else {}
    if held != {move.source_node: wanted}:
        yield f"of server {move.instance_uuid} should hold {wanted} of {move.source_node}, but holds {held}"
    states = [row.vm_state for _, row in truths.rows.get(move.instance_uuid, [])]
    if states != [VmState.RESIZED]:
        yield f"is {move.status}, but server {move.instance_uuid} is {states}"
    if truths.asides.pop(move.instance_uuid, []) != [move.source_host]:
        yield f"of server {move.instance_uuid} left nothing on its host"


def _boots_from_volume(row: InstanceRow) -> bool:
    return any(device.get("boot_index") == 0 for device in row.volumes or ())


def _of_nothing(truths: _Truths, uuid: str) -> Iterator[str]:
    """Tell what is left of a server that is no more."""
    if uuid in truths.mapped and uuid not in truths.queued_for_delete:
        yield f"is mapped to {truths.mapped[uuid]}, which does not have it"
    if uuid in truths.mapped and truths.mapped[uuid] is None:
        yield "is mapped to no cell, and no workflow is about it"
    if uuid in truths.guests:
        yield f"is gone, but has a guest on {truths.guests[uuid][0][0]}"
    if uuid in truths.allocations:
        yield f"is gone, but holds {truths.allocations[uuid]}"


def _open_workflows(db: sa.Connection, row: type[ApiWorkflowRow] | type[CellWorkflowRow]) -> list[str]:
    found = db.execute(sa.select(row.kind, row.subject, row.status, row.step, row.reason).where(row.status.in_(OPEN)))
    return [f"server {about}: {kind} is {status} at step {step} ({why})" for kind, about, status, step, why in found]


def _build_requests(db: sa.Connection) -> list[str]:
    return [f"server {uuid}: waits for a cell" for uuid in db.scalars(sa.select(BuildRequestRow.instance_uuid))]
