"""Which image has a shelved server's disk, and since when."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIMESTAMP = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """Add the columns."""
    for table in ("instances", "shadow_instances"):
        op.add_column(table, sa.Column("shelved_image", sa.String(255), nullable=True))
        op.add_column(table, sa.Column("shelved_at", _TIMESTAMP, nullable=True))
