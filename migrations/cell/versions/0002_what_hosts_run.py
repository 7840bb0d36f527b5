"""Hypervisors say which kinds of guests they run."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; agents fill it when they start next."""
    op.add_column("compute_nodes", sa.Column("runs", sa.JSON, nullable=True))
