"""Copy a server's disk into an image, inside its cell. The image was made by the API, and waits for its file."""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, end_in_error, end_well
from nova_lite.db.repositories import instances
from nova_lite.model.instance import Instance


def take_snapshot(work: Work[CellTools]) -> Facts:
    """Have the host fill the image."""
    instance, host = _hosted(work)
    state = work.tools.agents.snapshot(
        host,
        instance.uuid,
        instance.epoch,
        action=work.workflow.kind,
        image_id=work.inputs["image"],
        timeout_s=work.seconds_left,
    )
    return {"power_state": int(state)}


def discard_image(work: Work[CellTools]) -> None:
    """Have the host remove the image, should it never have been filled."""
    _, host = _hosted(work)
    work.tools.agents.discard_image(host, work.inputs["image"], timeout_s=max(1.0, work.seconds_left))


def rotate_backups(work: Work[CellTools]) -> None:
    """Have the host remove the oldest backups beyond as many as are to be kept."""
    instance, host = _hosted(work)
    work.tools.agents.rotate_backups(
        host,
        instance.uuid,
        backup_type=work.inputs["backup_type"],
        keep=work.inputs["rotation"],
        # Whose token made the images.
        project_id=work.workflow.project_id,
        newest=work.inputs["image"],
        timeout_s=max(1.0, work.seconds_left),
    )


def mark_done(work: Work[CellTools], session: Session) -> None:
    """Leave the server as it was."""
    end_well(work, session)


def _hosted(work: Work[CellTools]) -> tuple[Instance, str]:
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject)
    if instance.host is None:
        raise errors.Conflict(f"Instance {instance.uuid} is on no host.")
    return instance, instance.host


_TAKE = Step("take snapshot", take_snapshot, undo=discard_image)
_DONE = Record("mark done", mark_done, no_way_back=True)
_END = Record("end", end_in_error)

SNAPSHOT = Definition("snapshot", (_TAKE, _DONE), on_failure=_END)
#: The backup is there before older ones go.
BACKUP = Definition("backup", (_TAKE, Step("rotate", rotate_backups, no_way_back=True), _DONE), on_failure=_END)
ALL = (SNAPSHOT, BACKUP)
