"""Servers that nobody may delete until that is allowed again."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for the mark; no server of before has it."""
    op.add_column("instance_mappings", sa.Column("deletion_protected", sa.Boolean, nullable=False, server_default="0"))
