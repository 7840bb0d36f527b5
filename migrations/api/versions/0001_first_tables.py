"""The first tables of the API database."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
_TIMESTAMP = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_UUID = sa.String(36)


def upgrade() -> None:
    """Create every table."""
    _create_aggregates()
    _create_build_requests()
    _create_cell_mappings()
    _create_flavors()
    _create_key_pairs()
    _create_quota_class_limits()
    _create_quota_limits()
    _create_quota_locks()
    _create_request_specs()
    _create_server_groups()
    _create_workflows()
    _create_aggregate_hosts()
    _create_flavor_projects()
    _create_host_mappings()
    _create_instance_mappings()
    _create_mapped_up_to()
    _create_server_group_members()


def _create_aggregates() -> None:
    op.create_table(
        "aggregates",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("uuid", _UUID, nullable=False, unique=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("extra", sa.JSON, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=True),
    )


def _create_build_requests() -> None:
    op.create_table(
        "build_requests",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("instance_uuid", _UUID, nullable=False, unique=True),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("instance", sa.JSON, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Index("build_requests_project_idx", "project_id", "created_at"),
    )


def _create_cell_mappings() -> None:
    op.create_table(
        "cell_mappings",
        sa.Column("uuid", _UUID, primary_key=True),
        sa.Column("name", sa.String(255), nullable=True),
        sa.Column("transport_url", sa.Text, nullable=False),
        sa.Column("database_connection", sa.Text, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=True),
    )


def _create_flavors() -> None:
    op.create_table(
        "flavors",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("flavorid", sa.String(255), nullable=False, unique=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("vcpus", sa.Integer, nullable=False),
        sa.Column("memory_mb", sa.Integer, nullable=False),
        sa.Column("root_gb", sa.Integer, nullable=False),
        sa.Column("ephemeral_gb", sa.Integer, nullable=False),
        sa.Column("swap", sa.Integer, nullable=False),
        sa.Column("rxtx_factor", sa.Double, nullable=False),
        sa.Column("is_public", sa.Boolean, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("description", sa.Text, nullable=True),
        sa.Column("extra_specs", sa.JSON, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=True),
    )


def _create_key_pairs() -> None:
    op.create_table(
        "key_pairs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("fingerprint", sa.String(255), nullable=False),
        sa.Column("public_key", _LONG_TEXT, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.UniqueConstraint("user_id", "name", name="key_pairs_user_name_uniq"),
    )


def _create_quota_class_limits() -> None:
    op.create_table(
        "quota_class_limits",
        sa.Column("class_name", sa.String(255), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("hard_limit", sa.Integer, nullable=False),
    )


def _create_quota_limits() -> None:
    op.create_table(
        "quota_limits",
        sa.Column("project_id", sa.String(255), primary_key=True),
        sa.Column("user_id", sa.String(255), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("hard_limit", sa.Integer, nullable=False),
    )


def _create_quota_locks() -> None:
    op.create_table(
        "quota_locks",
        sa.Column("project_id", sa.String(255), primary_key=True),
    )


def _create_request_specs() -> None:
    op.create_table(
        "request_specs",
        sa.Column("instance_uuid", _UUID, primary_key=True),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
    )


def _create_server_groups() -> None:
    op.create_table(
        "server_groups",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("uuid", _UUID, nullable=False, unique=True),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("policy", sa.String(32), nullable=False),
        sa.Column("rules", sa.JSON, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Index("server_groups_project_idx", "project_id", "user_id"),
    )


def _create_workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("uuid", _UUID, nullable=False, unique=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("subject", _UUID, nullable=False, index=True),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=True),
        sa.Column("deadline", sa.Double, nullable=False),
        sa.Column("lease_owner", sa.String(64), nullable=True),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=True),
        sa.Index("workflows_open_idx", "status", "lease_until"),
    )


def _create_aggregate_hosts() -> None:
    op.create_table(
        "aggregate_hosts",
        sa.Column("aggregate_id", sa.Integer, sa.ForeignKey("aggregates.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("host", sa.String(255), primary_key=True, index=True),
    )


def _create_flavor_projects() -> None:
    op.create_table(
        "flavor_projects",
        sa.Column("flavor_id", sa.Integer, sa.ForeignKey("flavors.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("project_id", sa.String(255), primary_key=True),
    )


def _create_host_mappings() -> None:
    op.create_table(
        "host_mappings",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("cell_uuid", _UUID, sa.ForeignKey("cell_mappings.uuid"), nullable=False, index=True),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
    )


def _create_instance_mappings() -> None:
    op.create_table(
        "instance_mappings",
        sa.Column("instance_uuid", _UUID, primary_key=True),
        sa.Column("cell_uuid", _UUID, sa.ForeignKey("cell_mappings.uuid"), nullable=True),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("vcpus", sa.Integer, nullable=False),
        sa.Column("ram_mib", sa.Integer, nullable=False),
        sa.Column("queued_for_delete", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Index("instance_mappings_cell_idx", "cell_uuid", "project_id"),
        sa.Index("instance_mappings_usage_idx", "project_id", "queued_for_delete", "user_id", "vcpus", "ram_mib"),
    )


def _create_mapped_up_to() -> None:
    op.create_table(
        "mapped_up_to",
        sa.Column("cell_uuid", _UUID, sa.ForeignKey("cell_mappings.uuid", ondelete="CASCADE"), primary_key=True),
        sa.Column("row_id", sa.BigInteger, nullable=False),
    )


def _create_server_group_members() -> None:
    op.create_table(
        "server_group_members",
        sa.Column("group_id", sa.Integer, sa.ForeignKey("server_groups.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("instance_uuid", _UUID, primary_key=True, index=True),
        sa.Column("host", sa.String(255), nullable=True),
    )
