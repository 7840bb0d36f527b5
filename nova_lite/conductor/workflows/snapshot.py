"""Copy a server's disk into an image, inside its cell. The image was made by the API, and waits for its file."""

from sqlalchemy.orm import Session

from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, end_in_error, end_well, hosted


def take_snapshot(work: Work[CellTools]) -> Facts:
    """Have the host fill the image."""
    instance, host = hosted(work)
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
    _, host = hosted(work)
    work.tools.agents.discard_image(host, work.inputs["image"], timeout_s=max(1.0, work.seconds_left))


def rotate_backups(work: Work[CellTools]) -> None:
    """Have the host remove the oldest backups beyond as many as are to be kept."""
    instance, host = hosted(work)
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


_TAKE = Step("take snapshot", take_snapshot, undo=discard_image)
_DONE = Record("mark done", mark_done, no_way_back=True)
_END = Record("end", end_in_error)

SNAPSHOT = Definition("snapshot", (_TAKE, _DONE), on_failure=_END)
#: The backup is there before older ones go.
BACKUP = Definition("backup", (_TAKE, Step("rotate", rotate_backups, no_way_back=True), _DONE), on_failure=_END)
ALL = (SNAPSHOT, BACKUP)
