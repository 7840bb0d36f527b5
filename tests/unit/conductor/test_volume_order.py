"""What touches a guest waits for older work on its server's volumes."""

from nova_lite.cells import volumes
from nova_lite.conductor.service import CELL_WORKFLOWS

#: What makes a guest, ends it for good, copies its disk or has nothing to do with it.
_WAITS_FOR_NONE = {
    *("create", "delete", "mirror-status", "complete-evacuation", "snapshot", "backup"),
    *("undo-volume-image", "thaw-guest"),
}


def test_all_that_moves_remakes_stops_or_starts_a_guest_waits_for_its_volumes() -> None:
    waiting = {kind for kind, definition in CELL_WORKFLOWS.items() if set(volumes.KINDS) <= set(definition.behind)}
    assert set(CELL_WORKFLOWS) - waiting == _WAITS_FOR_NONE
