"""The API database: what lives where, what is being built, and what belongs to no cell.

Rows never leave ``db/``; ``repositories/`` turns them into model objects. Times are naive UTC.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nova_lite.db.columns import BigId, LongText, Timestamp, Uuid, WorkflowColumns, utcnow


class ApiBase(DeclarativeBase):
    """Everything in the API database."""


class CellMappingRow(ApiBase):
    """A cell: where its database and its bus are."""

    __tablename__ = "cell_mappings"

    uuid: Mapped[str] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str | None] = mapped_column(sa.String(255))
    transport_url: Mapped[str] = mapped_column(sa.Text)
    database_connection: Mapped[str] = mapped_column(sa.Text)
    disabled: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(Timestamp, onupdate=utcnow)


class HostMappingRow(ApiBase):
    """Which cell a host serves."""

    __tablename__ = "host_mappings"

    host: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    cell_uuid: Mapped[str] = mapped_column(Uuid, sa.ForeignKey("cell_mappings.uuid"), index=True)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)


class InstanceMappingRow(ApiBase):
    """Which cell holds an instance (NULL while none is chosen), and what it counts for in its project's quota."""

    __tablename__ = "instance_mappings"
    __table_args__ = (
        # Use is counted in this index alone.
        sa.Index("instance_mappings_usage_idx", "project_id", "queued_for_delete", "user_id", "vcpus", "ram_mib"),
        sa.Index("instance_mappings_cell_idx", "cell_uuid", "project_id"),
    )

    instance_uuid: Mapped[str] = mapped_column(Uuid, primary_key=True)
    cell_uuid: Mapped[str | None] = mapped_column(Uuid, sa.ForeignKey("cell_mappings.uuid"))
    project_id: Mapped[str] = mapped_column(sa.String(255))
    user_id: Mapped[str] = mapped_column(sa.String(255))
    vcpus: Mapped[int] = mapped_column(sa.Integer)
    ram_mib: Mapped[int] = mapped_column(sa.Integer)
    queued_for_delete: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    deletion_protected: Mapped[bool] = mapped_column(sa.Boolean, default=False, server_default="0")
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)


class MappedUpToRow(ApiBase):
    """How far the instances of a cell were mapped by hand: the number of the last one that was looked at."""

    __tablename__ = "mapped_up_to"

    cell_uuid: Mapped[str] = mapped_column(
        Uuid, sa.ForeignKey("cell_mappings.uuid", ondelete="CASCADE"), primary_key=True
    )
    row_id: Mapped[int] = mapped_column(sa.BigInteger, default=0)


class BuildRequestRow(ApiBase):
    """A server accepted but not yet in a cell; ``instance`` is the whole Instance as JSON."""

    __tablename__ = "build_requests"
    __table_args__ = (sa.Index("build_requests_project_idx", "project_id", "created_at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    instance_uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    project_id: Mapped[str] = mapped_column(sa.String(255))
    instance: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)


class RequestSpecRow(ApiBase):
    """What was asked of the scheduler for an instance; moves ask with it again."""

    __tablename__ = "request_specs"

    instance_uuid: Mapped[str] = mapped_column(Uuid, primary_key=True)
    spec: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)


class ApiWorkflowRow(WorkflowColumns, ApiBase):
    """Long work that spans cells."""

    __tablename__ = "workflows"
    __table_args__ = (sa.Index("workflows_open_idx", "status", "lease_until"),)


class FlavorRow(ApiBase):
    """A flavor; ``extra_specs`` is read with it always, so it is a column of it."""

    __tablename__ = "flavors"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=True)
    flavorid: Mapped[str] = mapped_column(sa.String(255), unique=True)
    name: Mapped[str] = mapped_column(sa.String(255), unique=True)
    vcpus: Mapped[int] = mapped_column(sa.Integer)
    memory_mb: Mapped[int] = mapped_column(sa.Integer)
    root_gb: Mapped[int] = mapped_column(sa.Integer)
    ephemeral_gb: Mapped[int] = mapped_column(sa.Integer, default=0)
    swap: Mapped[int] = mapped_column(sa.Integer, default=0)
    rxtx_factor: Mapped[float] = mapped_column(sa.Double, default=1.0)
    is_public: Mapped[bool] = mapped_column(sa.Boolean, default=True)
    disabled: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    description: Mapped[str | None] = mapped_column(sa.Text)
    extra_specs: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(Timestamp, onupdate=utcnow)


class FlavorProjectRow(ApiBase):
    """A project that may use a private flavor."""

    __tablename__ = "flavor_projects"

    flavor_id: Mapped[int] = mapped_column(
        sa.Integer, sa.ForeignKey("flavors.id", ondelete="CASCADE"), primary_key=True
    )
    project_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)


class KeypairRow(ApiBase):
    """A user's public key (``type`` ssh or x509)."""

    __tablename__ = "key_pairs"
    __table_args__ = (sa.UniqueConstraint("user_id", "name", name="key_pairs_user_name_uniq"),)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(sa.String(255))
    name: Mapped[str] = mapped_column(sa.String(255))
    type: Mapped[str] = mapped_column(sa.String(16))
    fingerprint: Mapped[str] = mapped_column(sa.String(255))
    public_key: Mapped[str] = mapped_column(LongText)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)


class AggregateRow(ApiBase):
    """A host aggregate; one with ``availability_zone`` in its metadata is a zone."""

    __tablename__ = "aggregates"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    name: Mapped[str] = mapped_column(sa.String(255), unique=True)
    extra: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(Timestamp, onupdate=utcnow)


class AggregateHostRow(ApiBase):
    """A host in an aggregate."""

    __tablename__ = "aggregate_hosts"

    aggregate_id: Mapped[int] = mapped_column(
        sa.Integer, sa.ForeignKey("aggregates.id", ondelete="CASCADE"), primary_key=True
    )
    host: Mapped[str] = mapped_column(sa.String(255), primary_key=True, index=True)


class ServerGroupRow(ApiBase):
    """Servers to be kept together or apart, as ``policy`` says and ``rules`` say closer."""

    __tablename__ = "server_groups"
    __table_args__ = (sa.Index("server_groups_project_idx", "project_id", "user_id"),)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    project_id: Mapped[str] = mapped_column(sa.String(255))
    user_id: Mapped[str] = mapped_column(sa.String(255))
    name: Mapped[str] = mapped_column(sa.String(255))
    policy: Mapped[str] = mapped_column(sa.String(32))
    rules: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)


class ServerGroupMemberRow(ApiBase):
    """A server in a group, which may be deleted by now; ``host`` is the place that was settled for it.

    ``spares`` are hosts it may yet be moved to while it is being built; NULL once it was seen where it ended.
    ``way_back`` is its place as well while it moves: the host it left, until that is confirmed or reverted.
    """

    __tablename__ = "server_group_members"

    group_id: Mapped[int] = mapped_column(
        sa.Integer, sa.ForeignKey("server_groups.id", ondelete="CASCADE"), primary_key=True
    )
    instance_uuid: Mapped[str] = mapped_column(Uuid, primary_key=True, index=True)
    host: Mapped[str | None] = mapped_column(sa.String(255))
    spares: Mapped[list[str] | None] = mapped_column(sa.JSON(none_as_null=True))
    way_back: Mapped[str | None] = mapped_column(sa.String(255))


class HostChangesRow(ApiBase):
    """One row: how often aggregates, or which hosts and cells are mapped, have changed."""

    __tablename__ = "host_changes"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(sa.BigInteger)


class QuotaLockRow(ApiBase):
    """One row a project (for keypairs, a user): whoever counts holds it, so that counting and inserting are one."""

    __tablename__ = "quota_locks"

    project_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)


class QuotaLimitRow(ApiBase):
    """A limit that differs from the default; ``user_id`` is empty for the project as a whole."""

    __tablename__ = "quota_limits"

    project_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True, default="")
    resource: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    hard_limit: Mapped[int] = mapped_column(sa.Integer)


class QuotaClassLimitRow(ApiBase):
    """A limit of a quota class; those of the class ``default`` stand before the configured ones."""

    __tablename__ = "quota_class_limits"

    class_name: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    resource: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    hard_limit: Mapped[int] = mapped_column(sa.Integer)


class IdempotencyKeyRow(ApiBase):
    """A request that a client named, so that it can be sent again; ``answer`` is sealed, and None while there is none.

    ``lease_until`` and ``expires_at`` are seconds since 1970 by the database's clock.
    """

    __tablename__ = "idempotency_keys"

    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    request_id: Mapped[str] = mapped_column(sa.String(64))
    lease_until: Mapped[float] = mapped_column(sa.Double)
    expires_at: Mapped[float] = mapped_column(sa.Double, index=True)
    answer: Mapped[str | None] = mapped_column(LongText)
