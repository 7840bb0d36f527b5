"""The record of long work: one row in ``workflows``, in the API database or in a cell's."""

import uuid as uuids
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, Self


class Status(StrEnum):
    """Where a workflow stands. Only the first three are open; an open workflow is run by whoever holds its lease."""

    PENDING = "pending"
    RUNNING = "running"
    UNDOING = "undoing"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"


#: The fact that tells administrators where the error came from that a workflow met last.
TRACEBACK = "traceback"

OPEN = (Status.PENDING, Status.RUNNING, Status.UNDOING)


class Requesting(Protocol):
    """On whose behalf work is done: a caller, or a workflow that leads another one."""

    @property
    def user_id(self) -> str: ...

    @property
    def project_id(self) -> str: ...

    @property
    def request_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Workflow:
    """One piece of long work.

    ``subject`` is the UUID it is about (an instance's, or of a multi-create its first). ``inputs`` are recorded once;
    ``facts`` is what its steps found out. ``step`` says how many of its road are behind it, those of detours included,
    ``attempt`` counts the tries of the one under way.
    ``deadline`` is seconds since 1970 by the database's clock. ``reason`` says, once failed, why, for users.
    """

    uuid: str
    kind: str
    subject: str
    project_id: str
    user_id: str
    request_id: str
    inputs: dict[str, object]
    deadline: float
    status: Status = Status.PENDING
    step: int = 0
    attempt: int = 0
    facts: dict[str, object] = field(default_factory=dict)
    reason: str | None = None
    lease_owner: str | None = None

    @classmethod
    def asked_by(
        cls, requester: Requesting, kind: str, subject: str, inputs: Mapping[str, object], *, uuid: str | None = None
    ) -> Self:
        """Return new work; it gets its deadline when it is written down, and a new ``uuid`` where none is given."""
        return cls(
            uuid=uuid or str(uuids.uuid4()),
            kind=kind,
            subject=subject,
            project_id=requester.project_id,
            user_id=requester.user_id,
            request_id=requester.request_id,
            inputs=dict(inputs),
            deadline=0.0,
        )

    @property
    def traceback(self) -> str | None:
        """Return where the error came from that it met last, None when it met none."""
        found = self.facts.get(TRACEBACK)
        return None if found is None else str(found)
