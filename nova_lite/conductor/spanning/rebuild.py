"""Lead the rebuild of a server with another image: see that its host suits it, hand over to its cell, note the image.

The scheduler chooses nothing and nothing is claimed: the server has its place, and keeps it.
"""

from dataclasses import replace

import msgspec

from nova_lite import errors
from nova_lite.cells import rebuilds
from nova_lite.cells.operations import Requester
from nova_lite.cells.rebuilds import Rebuild
from nova_lite.conductor.saga import Definition, Step, Work
from nova_lite.conductor.spanning.cell_part import cell_of
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.repositories import build_requests, instances
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import RequestSpec
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried


def begin_in_cell(work: Work[SuperTools]) -> None:
    """Begin the rebuild in the server's cell, unless whoever accepted it has."""
    _begin(work)


@retried
def _begin(work: Work[SuperTools]) -> None:
    workflow = work.workflow
    requester = Requester(workflow.user_id, workflow.project_id, workflow.request_id)
    with work.tools.database(cell_of(work)).writer() as session:
        rebuilds.begin_check(session, work.subject, requester)


def check_host(work: Work[SuperTools]) -> None:
    """See that the server's host suits the image."""
    with work.tools.database(cell_of(work)).reader() as session:
        if not rebuilds.is_waiting(session, work.workflow):
            raise errors.Conflict("The server is being deleted.")
        instance = instances.get(session, work.subject)
    spec = _spec(work, instance)
    refusal = work.tools.scheduler.refusal_to_stay(spec, work.subject, timeout_s=max(1.0, work.seconds_left))
    if refusal is not None:
        raise errors.NoValidHost(f"No valid host was found. {refusal}")


def hand_to_cell(work: Work[SuperTools]) -> None:
    """Leave the rebuild to the cell's conductor; nothing when the server is being deleted."""
    uuid = _hand_over(work)
    if uuid is not None:
        ConductorClient(cell_of(work).bus).wake(uuid)


@retried
def _hand_over(work: Work[SuperTools]) -> str | None:
    with work.tools.database(cell_of(work)).writer() as session:
        return rebuilds.hand_over(session, work.workflow, timeout_s=_timeout_s(work))


def _timeout_s(work: Work[SuperTools]) -> float:
    """Return how long the cell's part may take: the longer, the more a volume is to be filled with."""
    conf = work.tools.conf
    return float(conf.operation_timeout + conf.reimage_timeout_per_gb * _wanted(work).image_gib)


def note_image(work: Work[SuperTools]) -> None:
    """Keep the server's image with what was asked for it, once its cell has done its part; later moves look there."""
    with work.tools.database(cell_of(work)).reader() as session:
        if rebuilds.is_under_way(session, work.workflow):
            raise errors.NotYet("The cell is still at work.")
        try:
            instance = instances.get(session, work.subject)
        except errors.NotFound:
            return
    if instance.image_id == _wanted(work).image_id:
        _note(work, instance)


@retried
def _note(work: Work[SuperTools], instance: Instance) -> None:
    with work.tools.api_db.writer() as session:
        build_requests.rebuild(
            session, work.subject, instance.image_id, instance.image_properties, _wanted(work).image_disk_format
        )


def give_up(work: Work[SuperTools]) -> None:
    """End a rebuild whose image does not suit the host: the server is what it was."""
    with work.tools.database(cell_of(work)).writer() as session:
        rebuilds.give_up(session, work.workflow, work.reason or "An internal error happened.")


ABOVE, REIMAGE_ABOVE = (
    Definition(
        kind,
        (
            Step("begin in cell", begin_in_cell),
            Step("check host", check_host),
            Step("hand to cell", hand_to_cell, no_way_back=True),
            Step("note image", note_image, no_way_back=True),
        ),
        on_failure=Step("give up", give_up),
    )
    for kind in (rebuilds.REBUILD, rebuilds.REIMAGE)
)


def _spec(work: Work[SuperTools], instance: Instance) -> RequestSpec:
    """Return what is asked of the scheduler: what the server is, with its new image, on its host."""
    wanted = _wanted(work)
    with work.tools.api_db.reader() as session:
        asked = build_requests.spec(session, work.subject)
    known = asked or RequestSpec(instance.project_id, instance.user_id, instance.flavor, instance.image_id)
    return replace(
        known,
        flavor=instance.flavor,
        image_id=wanted.image_id,
        image_properties=wanted.image_properties,
        image_disk_format=wanted.image_disk_format,
        wanted_host=instance.host,
        wanted_node=instance.node,
        boots_from_volume=instance.boots_from_volume,
        shares_volumes=instance.shares_volumes,
    )


def _wanted(work: Work[SuperTools]) -> Rebuild:
    return msgspec.convert(work.inputs["rebuild"], Rebuild)
