"""Let Placement follow when a compute host was disabled or enabled, so that it does not offer disabled hosts.

The trait is put on the root of each of the host's trees, and taken away; what others put there stays. What is true is
asked of the cell's database at each try, so these workflows may run late, twice, or in any order. While Placement is
away they wait, however long that is; the scheduler asks cells, too, and takes no disabled host meanwhile.
"""

import contextlib

import os_traits

from nova_lite import errors
from nova_lite.cells.host_status import KIND
from nova_lite.conductor.saga import Definition, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, agents_on
from nova_lite.db.repositories import hosts

#: Tries at one provider that others change at the same time, before the workflow waits a moment.
_MAX_TRIES = 5
_DISABLED = os_traits.COMPUTE_STATUS_DISABLED


def tell_placement(work: Work[CellTools]) -> None:
    """Mark the host's providers as disabled or not, as is true now.

    One that is not there yet has nothing to offer; when its host registers, another of these workflows begins.
    """
    host = work.inputs["host"]
    with work.tools.db.reader() as session:
        nodes = hosts.nodes_of(session, host)
    for node in nodes:
        if not _follow(work.tools, host, node):
            raise errors.Unavailable(f"The provider of host {host} changes faster than it can be told.")


def _follow(tools: CellTools, host: str, node: str) -> bool:
    """Mark one provider; False when others change it faster.

    The truth is asked again after each write: whoever changed it meanwhile may have looked before the write.
    """
    placement = tools.placement
    for _ in range(_MAX_TRIES):
        is_disabled = any(agent.is_disabled for agent in agents_on(tools, host))
        if not any(provider["uuid"] == node for provider in placement.tree(node)):
            return True
        traits, generation = placement.traits(node)
        if (_DISABLED in traits) == is_disabled:
            return True
        changed = traits | {_DISABLED} if is_disabled else traits - {_DISABLED}
        with contextlib.suppress(errors.Conflict):
            placement.set_traits(node, changed, generation)
    return False


MIRROR_STATUS = Definition(KIND, (Step("tell placement", tell_placement, no_way_back=True),))
