"""The hosts to which servers of a group go back should their moves be reverted."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; of moves that wait to be confirmed by now, none is known."""
    op.add_column("server_group_members", sa.Column("way_back", sa.String(255), nullable=True))
