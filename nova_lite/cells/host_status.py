"""Begin to tell Placement whether a compute host is disabled: written down with the change itself, in its cell.

``conductor/workflows/mirror_status.py`` does it.
"""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.host import Service
from nova_lite.model.workflow import OPEN, Workflow

KIND = "mirror-status"
#: Seconds it should take; it is tried for ever.
_DUE_S = 600.0


def begin(session: Session, service: Service, requester: Requester) -> str:
    """Have Placement told what is true of a host's service by then; return the UUID of the workflow.

    ``session`` must be a writer of the host's cell. Nobody asks for the records of earlier ones: they go.
    """
    session.execute(
        sa.delete(CellWorkflowRow).where(
            CellWorkflowRow.subject == service.uuid,
            CellWorkflowRow.kind == KIND,
            CellWorkflowRow.status.not_in(OPEN),
        )
    )
    workflow = Workflow.asked_by(requester, KIND, service.uuid, {"host": service.host})
    workflows.add(session, CellWorkflowRow, workflow, timeout_s=_DUE_S)
    return workflow.uuid
