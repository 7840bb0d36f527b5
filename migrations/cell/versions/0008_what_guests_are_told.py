"""Files that users put into their servers, and the roles users had: guests and their vendors are told."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for table in ("instances", "shadow_instances"):
        op.add_column(table, sa.Column("personality", sa.JSON, nullable=True))
        op.add_column(table, sa.Column("boot_roles", sa.Text, nullable=True))
