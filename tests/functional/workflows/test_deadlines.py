"""Nothing is done for ever: what is past its deadline is ended and undone, also when nobody was there for long."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from nova_lite.conductor.saga import UNDO_GRACE_S
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.model.workflow import OPEN
from nova_lite.storage import epoch_now
from tests.functional.workflows.sabotage import WORKFLOWS, Killed, Place, may_fail_at, road
from tests.functional.workflows.site import Site
from tests.functional.workflows.stories import STORIES, tell

#: Each kind of workflow at its first step.
_FIRST_STEPS = [
    Place(role, kind, road(definition)[0].name, "middle")
    for role, definitions in WORKFLOWS.items()
    for kind, definition in definitions.items()
]


@pytest.mark.parametrize("place", _FIRST_STEPS, ids=str)
def test_conductors_were_away_until_after_the_deadline(site: Site, place: Place) -> None:
    def away(server: Callable[[], str]) -> None:
        def deed() -> None:
            for runner in site.saboteur.runners:
                row = runner.row
                if row is (ApiWorkflowRow if place.role == "super" else CellWorkflowRow):
                    late = sa.update(row).where(row.kind == place.kind, row.status.in_(OPEN))
                    with runner.db.writer() as session:
                        session.execute(late.values(deadline=epoch_now() - UNDO_GRACE_S - 1))
            raise Killed

        site.saboteur.plan(place, deed)

    (server,) = tell(site, place.role, place.kind, away)
    assert site.saboteur.happened == [place]
    story = STORIES[place.role, place.kind]
    assert site.outcome(server) in (story.fails if may_fail_at(place) else (story.ends,))
    status, body = site.ask("GET", f"/servers/{server}")
    if status == 200:
        assert body["server"]["OS-EXT-STS:task_state"] is None
    for operation in site.ask("GET", f"/servers/{server}/operations")[1]["operations"]:
        assert operation["finished_at"], operation
        assert operation["state"] != "failed" or operation["reason"], operation
