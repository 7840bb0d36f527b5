"""What users ask of a live migration that is under way."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, to what was archived as well."""
    for table in ("migrations", "shadow_migrations"):
        op.add_column(table, sa.Column("asked", sa.JSON, nullable=True))
