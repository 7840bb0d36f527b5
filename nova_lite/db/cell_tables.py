"""A cell's database (and cell0's): instances, what happened to them, and the hosts that carry them.

Rows never leave ``db/``; ``repositories/`` turns them into model objects. What is always read with its instance is a
JSON column of its row, so that a page of a list is one query a cell. Times are naive UTC.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nova_lite.db.columns import BigId, LongText, Timestamp, Uuid, WorkflowColumns, utcnow

#: Ids of rows that were archived are never given again; SQLite needs to be told.
_IDS_ONCE = {"sqlite_autoincrement": True}


class CellBase(DeclarativeBase):
    """Everything in a cell's database."""


class InstanceRow(CellBase):
    """A server; see ``model/instance.py`` for what the columns mean."""

    __tablename__ = "instances"
    __table_args__ = (
        # In the order of lists, so that a page of one is read from its first row to its last.
        sa.Index("instances_project_idx", "project_id", "deleted", "created_at", "uuid"),
        sa.Index("instances_created_idx", "deleted", "created_at", "uuid"),
        sa.Index("instances_host_idx", "host", "deleted"),
        sa.Index("instances_updated_idx", "updated_at", "project_id"),
        _IDS_ONCE,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    project_id: Mapped[str] = mapped_column(sa.String(255))
    user_id: Mapped[str] = mapped_column(sa.String(255))
    display_name: Mapped[str] = mapped_column(sa.String(255))
    hostname: Mapped[str] = mapped_column(sa.String(255))
    description: Mapped[str | None] = mapped_column(sa.Text)
    vm_state: Mapped[str] = mapped_column(sa.String(32))
    task_state: Mapped[str | None] = mapped_column(sa.String(32))
    power_state: Mapped[int] = mapped_column(sa.Integer, default=0)
    host: Mapped[str | None] = mapped_column(sa.String(255))
    node: Mapped[str | None] = mapped_column(Uuid)
    node_name: Mapped[str | None] = mapped_column(sa.String(255))
    epoch: Mapped[int] = mapped_column(sa.Integer, default=0)
    vcpus: Mapped[int] = mapped_column(sa.Integer)
    memory_mb: Mapped[int] = mapped_column(sa.Integer)
    #: What the host gives it: none where that disk is a volume.
    root_gb: Mapped[int] = mapped_column(sa.Integer)
    ephemeral_gb: Mapped[int] = mapped_column(sa.Integer)
    flavor: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    image_ref: Mapped[str] = mapped_column(sa.String(255))
    image_properties: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    user_metadata: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    tags: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    key_name: Mapped[str | None] = mapped_column(sa.String(255))
    key_data: Mapped[str | None] = mapped_column(LongText)
    user_data: Mapped[str | None] = mapped_column(LongText)
    config_drive: Mapped[bool] = mapped_column(sa.Boolean)
    availability_zone: Mapped[str | None] = mapped_column(sa.String(255))
    requested_zone: Mapped[str | None] = mapped_column(sa.String(255))
    launch_index: Mapped[int] = mapped_column(sa.Integer)
    reservation_id: Mapped[str] = mapped_column(sa.String(255))
    root_device_name: Mapped[str] = mapped_column(sa.String(255))
    access_ip_v4: Mapped[str | None] = mapped_column(sa.String(39))
    access_ip_v6: Mapped[str | None] = mapped_column(sa.String(39))
    disk_config: Mapped[str] = mapped_column(sa.String(16))
    locked: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    locked_reason: Mapped[str | None] = mapped_column(sa.String(255))
    scheduling: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    fault: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    sealed_password: Mapped[str | None] = mapped_column(sa.Text)
    shelved_image: Mapped[str | None] = mapped_column(sa.String(255))
    shelved_at: Mapped[datetime | None] = mapped_column(Timestamp)
    volumes: Mapped[list[dict[str, Any]] | None] = mapped_column(sa.JSON(none_as_null=True))
    personality: Mapped[list[dict[str, Any]] | None] = mapped_column(sa.JSON(none_as_null=True))
    boot_roles: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow, onupdate=utcnow)
    launched_at: Mapped[datetime | None] = mapped_column(Timestamp)
    terminated_at: Mapped[datetime | None] = mapped_column(Timestamp)
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)
    deleted: Mapped[bool] = mapped_column(sa.Boolean, default=False)


class InstanceActionRow(CellBase):
    """Something a user or an operator did to an instance; outlives it."""

    __tablename__ = "instance_actions"
    __table_args__ = (
        sa.Index("instance_actions_instance_idx", "instance_uuid", "start_time"),
        sa.Index("instance_actions_request_idx", "request_id"),
        _IDS_ONCE,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    instance_uuid: Mapped[str] = mapped_column(Uuid)
    action: Mapped[str] = mapped_column(sa.String(64))
    request_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str] = mapped_column(sa.String(255))
    project_id: Mapped[str] = mapped_column(sa.String(255))
    message: Mapped[str | None] = mapped_column(sa.Text)
    start_time: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)
    finish_time: Mapped[datetime | None] = mapped_column(Timestamp)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow, onupdate=utcnow)


class InstanceActionEventRow(CellBase):
    """One part of an action; ``details`` is for users, ``traceback`` for administrators."""

    __tablename__ = "instance_action_events"
    __table_args__ = _IDS_ONCE

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    action_id: Mapped[int] = mapped_column(BigId, sa.ForeignKey("instance_actions.id", ondelete="CASCADE"), index=True)
    event: Mapped[str] = mapped_column(sa.String(64))
    start_time: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)
    finish_time: Mapped[datetime | None] = mapped_column(Timestamp)
    result: Mapped[str | None] = mapped_column(sa.String(16))
    host: Mapped[str | None] = mapped_column(sa.String(255))
    details: Mapped[str | None] = mapped_column(sa.Text)
    traceback: Mapped[str | None] = mapped_column(LongText)


class MigrationRow(CellBase):
    """A server's way to another host, or to another size on its own; see ``model/migration.py``."""

    __tablename__ = "migrations"
    __table_args__ = (
        sa.Index("migrations_created_idx", "created_at", "id"),
        sa.Index("migrations_project_idx", "project_id", "created_at", "id"),
        sa.Index("migrations_instance_idx", "instance_uuid", "status"),
        _IDS_ONCE,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    instance_uuid: Mapped[str] = mapped_column(Uuid)
    kind: Mapped[str] = mapped_column(sa.String(32))
    status: Mapped[str] = mapped_column(sa.String(32))
    user_id: Mapped[str] = mapped_column(sa.String(255))
    project_id: Mapped[str] = mapped_column(sa.String(255))
    source_host: Mapped[str] = mapped_column(sa.String(255))
    source_node: Mapped[str] = mapped_column(Uuid)
    source_node_name: Mapped[str] = mapped_column(sa.String(255))
    dest_host: Mapped[str | None] = mapped_column(sa.String(255))
    dest_node: Mapped[str | None] = mapped_column(Uuid)
    dest_node_name: Mapped[str | None] = mapped_column(sa.String(255))
    dest_ip: Mapped[str | None] = mapped_column(sa.String(39))
    old_flavor: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    new_flavor: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    old_flavor_number: Mapped[int | None] = mapped_column(sa.Integer)
    new_flavor_number: Mapped[int | None] = mapped_column(sa.Integer)
    memory_total: Mapped[int | None] = mapped_column(sa.BigInteger)
    memory_processed: Mapped[int | None] = mapped_column(sa.BigInteger)
    memory_remaining: Mapped[int | None] = mapped_column(sa.BigInteger)
    disk_total: Mapped[int | None] = mapped_column(sa.BigInteger)
    disk_processed: Mapped[int | None] = mapped_column(sa.BigInteger)
    disk_remaining: Mapped[int | None] = mapped_column(sa.BigInteger)
    asked: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    hidden: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(Timestamp, onupdate=utcnow)


class ConsoleTokenRow(CellBase):
    """What a console's token stands for; of the token itself only a hash is here. See ``model/console.py``."""

    __tablename__ = "console_tokens"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    instance_uuid: Mapped[str] = mapped_column(Uuid, index=True)
    instance_host: Mapped[str] = mapped_column(sa.String(255))
    epoch: Mapped[int] = mapped_column(sa.Integer)
    kind: Mapped[str] = mapped_column(sa.String(32))
    host: Mapped[str] = mapped_column(sa.String(255))
    port: Mapped[int] = mapped_column(sa.Integer)
    tls_port: Mapped[int | None] = mapped_column(sa.Integer)
    base_url: Mapped[str] = mapped_column(sa.Text)
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)


class ServiceRow(CellBase):
    """A process that reports; ``last_seen`` is seconds since 1970 by this database's clock."""

    __tablename__ = "services"
    __table_args__ = (sa.UniqueConstraint("host", "binary", name="services_host_binary_uniq"),)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    host: Mapped[str] = mapped_column(sa.String(255))
    binary: Mapped[str] = mapped_column(sa.String(64))
    disabled: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    disabled_reason: Mapped[str | None] = mapped_column(sa.String(255))
    forced_down: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    version: Mapped[int] = mapped_column(sa.Integer, default=1)
    last_seen: Mapped[float] = mapped_column(sa.Double)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(Timestamp)


class ComputeNodeRow(CellBase):
    """A hypervisor and its totals; its UUID is its provider's in Placement.

    ``failed_builds`` counts those that failed one after the other, ``last_failed_build`` is seconds since 1970.
    """

    __tablename__ = "compute_nodes"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    host: Mapped[str] = mapped_column(sa.String(255), index=True)
    hypervisor_hostname: Mapped[str] = mapped_column(sa.String(255), unique=True)
    hypervisor_type: Mapped[str] = mapped_column(sa.String(64))
    hypervisor_version: Mapped[int] = mapped_column(sa.Integer)
    host_ip: Mapped[str] = mapped_column(sa.String(39))
    vcpus: Mapped[int] = mapped_column(sa.Integer)
    memory_mb: Mapped[int] = mapped_column(sa.Integer)
    local_gb: Mapped[int] = mapped_column(sa.Integer)
    cpu_info: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    runs: Mapped[list[list[str]] | None] = mapped_column(sa.JSON(none_as_null=True))
    failed_builds: Mapped[int] = mapped_column(sa.Integer, default=0)
    last_failed_build: Mapped[float | None] = mapped_column(sa.Double)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(Timestamp, onupdate=utcnow)


class HostChangesRow(CellBase):
    """One row: how often something has changed that schedulers remember of the cell's hosts."""

    __tablename__ = "host_changes"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(sa.BigInteger)


class CellWorkflowRow(WorkflowColumns, CellBase):
    """Long work inside this cell."""

    __tablename__ = "workflows"
    __table_args__ = (sa.Index("workflows_open_idx", "status", "lease_until"), _IDS_ONCE)


def _shadow(row: type[CellBase], *, by: str) -> sa.Table:
    """Return the table that archived rows are moved to: the same columns, found again by one of them."""
    table = CellBase.metadata.tables[row.__tablename__]
    columns = [
        sa.Column(
            column.name, column.type, primary_key=column.primary_key, autoincrement=False, nullable=column.nullable
        )
        for column in table.columns
    ]
    index = sa.Index(f"shadow_{table.name}_{by}_idx", by)
    return sa.Table(f"shadow_{table.name}", CellBase.metadata, *columns, index)


#: What leaves with a deleted instance and where it goes; what refers to others comes first.
SHADOWS: Mapping[type[CellBase], sa.Table] = {
    InstanceActionEventRow: _shadow(InstanceActionEventRow, by="action_id"),
    InstanceActionRow: _shadow(InstanceActionRow, by="instance_uuid"),
    CellWorkflowRow: _shadow(CellWorkflowRow, by="subject"),
    MigrationRow: _shadow(MigrationRow, by="instance_uuid"),
    InstanceRow: _shadow(InstanceRow, by="deleted_at"),
}
