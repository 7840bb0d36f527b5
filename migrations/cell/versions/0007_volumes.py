"""The volumes of servers."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; null is none."""
    for table in ("instances", "shadow_instances"):
        op.add_column(table, sa.Column("volumes", sa.JSON, nullable=True))
