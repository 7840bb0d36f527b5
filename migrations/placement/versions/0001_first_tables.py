"""The first tables of Placement."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UUID = sa.String(36)
_NAME = sa.String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    """Create every table."""
    _create_names()
    _create_providers()
    _create_consumers()
    op.create_table(
        "changes",
        sa.Column("seq", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("provider_id", _BIG_ID, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
    )


def _create_names() -> None:
    for table in ("resource_classes", "traits"):
        op.create_table(
            table,
            sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
            sa.Column("name", _NAME, nullable=False, unique=True),
            sa.Column("updated_at", sa.Double, nullable=False),
        )


def _create_providers() -> None:
    op.create_table(
        "resource_providers",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("uuid", _UUID, nullable=False, unique=True),
        sa.Column("name", _NAME, nullable=False, unique=True),
        sa.Column("generation", _BIG_ID, nullable=False),
        sa.Column("parent_id", _BIG_ID, sa.ForeignKey("resource_providers.id"), nullable=True, index=True),
        sa.Column("root_id", _BIG_ID, sa.ForeignKey("resource_providers.id"), nullable=True, index=True),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_table(
        "inventories",
        sa.Column("provider_id", _BIG_ID, sa.ForeignKey("resource_providers.id"), primary_key=True),
        sa.Column("class_id", _BIG_ID, sa.ForeignKey("resource_classes.id"), primary_key=True, index=True),
        *(
            sa.Column(name, _BIG_ID, nullable=False)
            for name in ("total", "reserved", "min_unit", "max_unit", "step_size")
        ),
        sa.Column("allocation_ratio", sa.Double, nullable=False),
        sa.Column("used", _BIG_ID, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_table(
        "resource_provider_traits",
        sa.Column("provider_id", _BIG_ID, sa.ForeignKey("resource_providers.id"), primary_key=True),
        sa.Column("trait_id", _BIG_ID, sa.ForeignKey("traits.id"), primary_key=True, index=True),
    )
    op.create_table(
        "resource_provider_aggregates",
        sa.Column("provider_id", _BIG_ID, sa.ForeignKey("resource_providers.id"), primary_key=True),
        sa.Column("aggregate_uuid", _UUID, primary_key=True, index=True),
    )


def _create_consumers() -> None:
    op.create_table(
        "consumers",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("uuid", _UUID, nullable=False, unique=True),
        sa.Column("generation", _BIG_ID, nullable=False),
        sa.Column("project_id", _NAME, nullable=False),
        sa.Column("user_id", _NAME, nullable=False),
        sa.Column("consumer_type", _NAME, nullable=True),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Index("consumers_owner_idx", "project_id", "user_id"),
    )
    op.create_table(
        "allocations",
        sa.Column("consumer_id", _BIG_ID, sa.ForeignKey("consumers.id"), primary_key=True),
        sa.Column("provider_id", _BIG_ID, sa.ForeignKey("resource_providers.id"), primary_key=True, index=True),
        sa.Column("class_id", _BIG_ID, sa.ForeignKey("resource_classes.id"), primary_key=True),
        sa.Column("used", _BIG_ID, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
