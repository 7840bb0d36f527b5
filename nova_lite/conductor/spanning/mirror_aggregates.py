"""Let Placement follow when a host was put into an aggregate or taken out of one. Spans cells.

What is true is asked of the API database at each try, so these workflows may run late, twice, or in any order. While
Placement is away they wait, however long that is.
"""

import logging

from nova_lite import errors
from nova_lite.cells import aggregate_mirror
from nova_lite.cells.aggregate_mirror import Outcome
from nova_lite.conductor.saga import Definition, Step, Work
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.repositories import aggregates

LOG = logging.getLogger(__name__)


def tell_placement(work: Work[SuperTools]) -> None:
    """Put the host's providers into the aggregate (the workflow's subject) or take them out, as is true now."""
    host, aggregate = work.inputs["host"], work.subject

    def is_member() -> bool:
        with work.tools.api_db.reader() as session:
            return aggregates.has_host(session, aggregate, host)

    for provider in work.inputs["providers"]:
        outcome = aggregate_mirror.follow(work.tools.placement, provider, aggregate, is_member)
        if outcome is Outcome.NO_PROVIDER and is_member():
            # Its agent makes the provider when it starts; sooner or later, or never.
            if work.seconds_left > 0:
                raise errors.Unavailable(f"Host {host} {outcome} yet.")
            LOG.warning(
                "Host %s is in aggregate %s and %s; once it has one, run: nova-lite-manage placement sync_aggregates",
                host,
                aggregate,
                outcome,
            )
        elif outcome is Outcome.CONTENDED:
            raise errors.Unavailable(f"The provider of host {host} {outcome}.")


MIRROR_AGGREGATES = Definition("mirror-aggregates", (Step("tell placement", tell_placement, no_way_back=True),))
