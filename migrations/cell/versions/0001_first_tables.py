"""The first tables of a cell."""

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
    _create_compute_nodes()
    _create_shadow(_create_instance_actions(), "instance_uuid")
    _create_shadow(_create_instances(), "deleted_at")
    _create_shadow(_create_migrations(), "instance_uuid")
    _create_services()
    _create_shadow(_create_workflows(), "subject")
    _create_shadow(_create_instance_action_events(), "action_id")


def _create_shadow(table: sa.Table, by: str) -> None:
    """Create the table that archived rows of another are moved to."""
    columns = [
        sa.Column(
            column.name, column.type, primary_key=column.primary_key, autoincrement=False, nullable=column.nullable
        )
        for column in table.columns
    ]
    op.create_table(f"shadow_{table.name}", *columns, sa.Index(f"shadow_{table.name}_{by}_idx", by))


def _create_compute_nodes() -> None:
    op.create_table(
        "compute_nodes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("uuid", _UUID, nullable=False, unique=True),
        sa.Column("host", sa.String(255), nullable=False, index=True),
        sa.Column("hypervisor_hostname", sa.String(255), nullable=False, unique=True),
        sa.Column("hypervisor_type", sa.String(64), nullable=False),
        sa.Column("hypervisor_version", sa.Integer, nullable=False),
        sa.Column("host_ip", sa.String(39), nullable=False),
        sa.Column("vcpus", sa.Integer, nullable=False),
        sa.Column("memory_mb", sa.Integer, nullable=False),
        sa.Column("local_gb", sa.Integer, nullable=False),
        sa.Column("cpu_info", sa.JSON, nullable=False),
        sa.Column("failed_builds", sa.Integer, nullable=False),
        sa.Column("last_failed_build", sa.Double, nullable=True),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=True),
    )


def _create_instance_actions() -> sa.Table:
    return op.create_table(
        "instance_actions",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("instance_uuid", _UUID, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("message", sa.Text, nullable=True),
        sa.Column("start_time", _TIMESTAMP, nullable=False),
        sa.Column("finish_time", _TIMESTAMP, nullable=True),
        sa.Column("updated_at", _TIMESTAMP, nullable=False),
        sa.Index("instance_actions_instance_idx", "instance_uuid", "start_time"),
        sa.Index("instance_actions_request_idx", "request_id"),
        sqlite_autoincrement=True,
    )


def _create_instances() -> sa.Table:
    return op.create_table(
        "instances",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("uuid", _UUID, nullable=False, unique=True),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("display_name", sa.String(255), nullable=False),
        sa.Column("hostname", sa.String(255), nullable=False),
        sa.Column("description", sa.Text, nullable=True),
        sa.Column("vm_state", sa.String(32), nullable=False),
        sa.Column("task_state", sa.String(32), nullable=True),
        sa.Column("power_state", sa.Integer, nullable=False),
        sa.Column("host", sa.String(255), nullable=True),
        sa.Column("node", _UUID, nullable=True),
        sa.Column("node_name", sa.String(255), nullable=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("vcpus", sa.Integer, nullable=False),
        sa.Column("memory_mb", sa.Integer, nullable=False),
        sa.Column("root_gb", sa.Integer, nullable=False),
        sa.Column("ephemeral_gb", sa.Integer, nullable=False),
        sa.Column("flavor", sa.JSON, nullable=False),
        sa.Column("image_ref", sa.String(255), nullable=False),
        sa.Column("image_properties", sa.JSON, nullable=False),
        sa.Column("user_metadata", sa.JSON, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("key_name", sa.String(255), nullable=True),
        sa.Column("key_data", _LONG_TEXT, nullable=True),
        sa.Column("user_data", _LONG_TEXT, nullable=True),
        sa.Column("config_drive", sa.Boolean, nullable=False),
        sa.Column("availability_zone", sa.String(255), nullable=True),
        sa.Column("requested_zone", sa.String(255), nullable=True),
        sa.Column("launch_index", sa.Integer, nullable=False),
        sa.Column("reservation_id", sa.String(255), nullable=False),
        sa.Column("root_device_name", sa.String(255), nullable=False),
        sa.Column("access_ip_v4", sa.String(39), nullable=True),
        sa.Column("access_ip_v6", sa.String(39), nullable=True),
        sa.Column("disk_config", sa.String(16), nullable=False),
        sa.Column("locked", sa.Boolean, nullable=False),
        sa.Column("locked_reason", sa.String(255), nullable=True),
        sa.Column("scheduling", sa.JSON, nullable=False),
        sa.Column("fault", sa.JSON, nullable=True),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=False),
        sa.Column("launched_at", _TIMESTAMP, nullable=True),
        sa.Column("terminated_at", _TIMESTAMP, nullable=True),
        sa.Column("deleted_at", _TIMESTAMP, nullable=True),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Index("instances_created_idx", "deleted", "created_at", "uuid"),
        sa.Index("instances_host_idx", "host", "deleted"),
        sa.Index("instances_project_idx", "project_id", "deleted", "created_at", "uuid"),
        sa.Index("instances_updated_idx", "updated_at", "project_id"),
        sqlite_autoincrement=True,
    )


def _create_migrations() -> sa.Table:
    return op.create_table(
        "migrations",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("uuid", _UUID, nullable=False, unique=True),
        sa.Column("instance_uuid", _UUID, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("source_host", sa.String(255), nullable=False),
        sa.Column("source_node", _UUID, nullable=False),
        sa.Column("source_node_name", sa.String(255), nullable=False),
        sa.Column("dest_host", sa.String(255), nullable=True),
        sa.Column("dest_node", _UUID, nullable=True),
        sa.Column("dest_node_name", sa.String(255), nullable=True),
        sa.Column("dest_ip", sa.String(39), nullable=True),
        sa.Column("old_flavor", sa.JSON, nullable=False),
        sa.Column("new_flavor", sa.JSON, nullable=False),
        sa.Column("old_flavor_number", sa.Integer, nullable=True),
        sa.Column("new_flavor_number", sa.Integer, nullable=True),
        sa.Column("memory_total", sa.BigInteger, nullable=True),
        sa.Column("memory_processed", sa.BigInteger, nullable=True),
        sa.Column("memory_remaining", sa.BigInteger, nullable=True),
        sa.Column("disk_total", sa.BigInteger, nullable=True),
        sa.Column("disk_processed", sa.BigInteger, nullable=True),
        sa.Column("disk_remaining", sa.BigInteger, nullable=True),
        sa.Column("hidden", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=True),
        sa.Index("migrations_created_idx", "created_at", "id"),
        sa.Index("migrations_instance_idx", "instance_uuid", "status"),
        sa.Index("migrations_project_idx", "project_id", "created_at", "id"),
        sqlite_autoincrement=True,
    )


def _create_services() -> None:
    op.create_table(
        "services",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("uuid", _UUID, nullable=False, unique=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("binary", sa.String(64), nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.String(255), nullable=True),
        sa.Column("forced_down", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=True),
        sa.UniqueConstraint("host", "binary", name="services_host_binary_uniq"),
    )


def _create_workflows() -> sa.Table:
    return op.create_table(
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
        sqlite_autoincrement=True,
    )


def _create_instance_action_events() -> sa.Table:
    return op.create_table(
        "instance_action_events",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column(
            "action_id", _BIG_ID, sa.ForeignKey("instance_actions.id", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("start_time", _TIMESTAMP, nullable=False),
        sa.Column("finish_time", _TIMESTAMP, nullable=True),
        sa.Column("result", sa.String(16), nullable=True),
        sa.Column("host", sa.String(255), nullable=True),
        sa.Column("details", sa.Text, nullable=True),
        sa.Column("traceback", _LONG_TEXT, nullable=True),
        sqlite_autoincrement=True,
    )
