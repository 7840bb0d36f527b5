"""The password set inside a server, sealed with its user's key."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    for table in ("instances", "shadow_instances"):
        op.add_column(table, sa.Column("sealed_password", sa.Text, nullable=True))
