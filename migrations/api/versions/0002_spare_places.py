"""The hosts to which servers of a group may yet be moved while they are built."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MEMBERS = sa.table(
    "server_group_members", sa.column("host", sa.String), sa.column("spares", sa.JSON(none_as_null=True))
)


def upgrade() -> None:
    """Add them; where servers ended that have a place by now is looked at once more."""
    op.add_column("server_group_members", sa.Column("spares", sa.JSON, nullable=True))
    op.execute(sa.update(_MEMBERS).where(_MEMBERS.c.host.is_not(None)).values(spares=[]))
