"""Column types and columns that the API's and the cells' tables share."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

#: Naive UTC with microseconds, on every database.
Timestamp = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
#: Text that may pass 64 KiB, on every database.
LongText = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
#: A counter that grows for ever; SQLite only counts by itself in INTEGER.
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: A UUID with dashes.
Uuid = sa.String(36)


class moment_or_never(FunctionElement[datetime]):  # noqa: N801 - reads as SQL does
    """SQL expression: a time, 1970 where there is none; on every database a time, never text, so that it compares."""

    type = Timestamp
    inherit_cache = True


@compiles(moment_or_never)
def _moment_or_never(element: moment_or_never, compiler: SQLCompiler, **kw: Any) -> str:
    return f"coalesce({compiler.process(element.clauses, **kw)}, TIMESTAMP '1970-01-01 00:00:00')"


@compiles(moment_or_never, "sqlite")
def _moment_or_never_sqlite(element: moment_or_never, compiler: SQLCompiler, **kw: Any) -> str:
    return f"coalesce({compiler.process(element.clauses, **kw)}, '1970-01-01 00:00:00.000000')"


def utcnow() -> datetime:
    """Return now as naive UTC, as every column of time holds it."""
    return datetime.now(UTC).replace(tzinfo=None)


class WorkflowColumns:
    """The columns of ``workflows``, the same in the API database and in every cell's; see ``model/workflow.py``."""

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    kind: Mapped[str] = mapped_column(sa.String(64))
    subject: Mapped[str] = mapped_column(Uuid, index=True)
    project_id: Mapped[str] = mapped_column(sa.String(255))
    user_id: Mapped[str] = mapped_column(sa.String(255))
    request_id: Mapped[str] = mapped_column(sa.String(64))
    inputs: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    facts: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    status: Mapped[str] = mapped_column(sa.String(16))
    step: Mapped[int] = mapped_column(sa.Integer)
    attempt: Mapped[int] = mapped_column(sa.Integer)
    reason: Mapped[str | None] = mapped_column(sa.Text)
    deadline: Mapped[float] = mapped_column(sa.Double)
    lease_owner: Mapped[str | None] = mapped_column(sa.String(64))
    lease_until: Mapped[float] = mapped_column(sa.Double)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(Timestamp, onupdate=utcnow)
