"""Each transaction marks its changes with a token of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("changes", sa.Column("token", sa.BigInteger, nullable=False, server_default="0"))
