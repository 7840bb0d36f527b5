"""/allocation_candidates: HTTP only."""

import random
from dataclasses import dataclass, replace

import falcon
from oslo_config import cfg

from nova_lite.placement.candidates import candidates
from nova_lite.placement.reader import Reader
from nova_lite.placement.schemas import allocation_candidates as schemas
from nova_lite.placement.services import requests
from nova_lite.placement.views import allocation_candidates as views
from nova_lite.placement.views import dates
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


@dataclass(frozen=True)
class Generation:
    """How candidates are made, as the options of the same names say."""

    most: int | None = None
    breadth_first: bool = True
    randomize: bool = False

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> "Generation":
        """Return what ``conf`` says."""
        options = conf.placement
        most = options.max_allocation_candidates
        return cls(
            most=None if most < 0 else most,
            breadth_first=options.allocation_candidates_generation_strategy == "breadth-first",
            randomize=options.randomize_allocation_candidates,
        )

    def limit(self, asked: int | None) -> int | None:
        """Return how many candidates are made when ``asked`` are asked for (None: all)."""
        if asked is None or self.most is None:
            return self.most if asked is None else asked
        return min(asked, self.most)


class AllocationCandidates:
    """Where a request could go."""

    def __init__(self, reader: Reader, generation: Generation) -> None:
        self._reader = reader
        self._generation = generation
        self._random = random.Random()

    @endpoint(policy="placement:allocation_candidates:list", query=schemas.LIST, enforce=True, since="1.10")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the candidates."""
        version, how = req.context.version, self._generation
        with self._reader.current() as world:
            request = requests.read(req.context.query, version, world.classes, world.traits)
            request = replace(request, limit=how.limit(request.limit))
            found = list(
                candidates(
                    request,
                    world.snapshot,
                    breadth_first=how.breadth_first,
                    shuffled=self._random if how.randomize else None,
                )
            )
            asked = {name for group in request.groups for name in group.resources}
            shown = views.show(found, asked, world.snapshot, version)
        dates.stamp(req, resp)
        send_json(resp, shown)
