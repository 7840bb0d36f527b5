"""Which hosts can take a request, best unsorted: Placement's candidates, what cells know of them, and the filters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.model.explanation import Explanation
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler import diagnosis, explain, pick, request
from nova_lite.scheduler.diagnosis import Diagnosis
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.hosts import Hosts, Sight
from nova_lite.scheduler.pipeline import Stage, enabled, sift
from nova_lite.scheduler.request import Needs


class Refused(errors.NoValidHost):
    """No host can take a request; ``explanation`` is how that came about."""

    def __init__(self, why: str, explanation: Explanation) -> None:
        super().__init__(f"No valid host was found. {why}")
        self.explanation = explanation


@dataclass(frozen=True)
class Survey:
    """What a request needs, what Placement offers for it (root → provider → class → amount), and who is left.

    ``rooms`` is root → class → what is free in the whole tree.
    """

    sought: Sought
    needs: Needs
    offers: pick.Offers
    left: list[HostState]
    stages: list[Stage]
    rooms: Mapping[str, Mapping[str, int]]


class Surveyor:
    """Looks for hosts; changes nothing anywhere."""

    def __init__(self, conf: cfg.ConfigOpts, hosts: Hosts, placement: PlacementClient) -> None:
        self._limit: int = conf.scheduler.max_placement_results
        self._filters = enabled(conf.filter_scheduler.enabled_filters)
        self._hosts = hosts
        self._placement = placement
        self._diagnosis = Diagnosis(placement, limit=self._limit)

    def survey(self, spec: RequestSpec, instance_uuids: Sequence[str]) -> Survey:
        """Return the hosts that pass, at least one, for servers that have no place yet.

        Raises Refused when there is none, Unavailable when one may be in a cell that has just fallen silent.
        """
        try:
            needs = request.needs(spec.flavor, spec.image_properties)
        except errors.Invalid as exc:
            raise Refused(exc.message, explain.explanation(Sought(spec), None)) from exc
        offers, rooms = self._offers(spec, needs)
        sought = self._hosts.look_up(spec, besides=instance_uuids)
        sight = self._hosts.load(rooms)
        left, stages = self._sifted(sought, sight)
        if not left and sight.strangers and self._hosts.look_again(sight):
            sight = self._hosts.load(rooms)
            left, stages = self._sifted(sought, sight)
        if not left:
            why = explain.refusal(stages[1:], unseen=sight.strangers)
            raise Refused(why, explain.explanation(sought, needs, stages))
        return Survey(sought, needs, offers, left, stages, rooms)

    def _sifted(self, sought: Sought, sight: Sight) -> tuple[list[HostState], list[Stage]]:
        left, stages = sift(sight.states.values(), sought, self._filters)
        return left, [Stage("Placement", len(sight.names), len(sight.states)), *stages]

    def _offers(self, spec: RequestSpec, needs: Needs) -> tuple[pick.Offers, Mapping[str, Mapping[str, int]]]:
        """Return root → what Placement offers there, and root → class → what it has free; raises Refused when nothing.

        Placement is asked for the zone or the host wanted, for there may be more hosts than it answers at once. What it
        says then may leave out what the filters let pass, a pool outside the host's tree or a host put into the zone a
        moment ago; so when it finds nothing, it is asked for all.
        """
        narrow = self._narrow(spec)
        for question in (narrow, {}) if narrow else ({},):
            query = request.candidates_query(needs, limit=self._limit, with_disabled=spec.skips_filters, **question)
            try:
                found = self._placement.candidates(query)
            except errors.Invalid as exc:
                why = f"Placement knows no such need: {exc.message}"
                raise Refused(why, explain.explanation(Sought(spec), needs)) from exc
            if found.allocation_requests:
                offers = pick.offers_by_root(found)
                return offers, pick.room_by_root(offers, found)
        raise self._nothing_offered(spec, needs)

    def _narrow(self, spec: RequestSpec) -> dict[str, Any]:
        if spec.wanted_host is not None or spec.wanted_node is not None:
            node = self._hosts.node_wanted(spec.wanted_host, spec.wanted_node)
            return {} if node is None else {"node": node}
        if spec.availability_zone is not None:
            aggregates = self._hosts.zone_aggregates(spec.availability_zone)
            return {"aggregates": aggregates} if aggregates else {}
        return {}

    def _nothing_offered(self, spec: RequestSpec, needs: Needs) -> Refused:
        names = {node: host for node, host in self._hosts.load({}).names.items() if spec.wanted_host in (None, host)}
        misses = self._diagnosis.misses(needs, list(names))
        reasons = {names[node]: " and ".join(miss.one for miss in each) for node, each in misses.items()}
        found = diagnosis.nearest(misses)
        hint = f" Nearest: {found[0]}." if found else ""
        stage = Stage("Placement", len(names), 0, reasons)
        return Refused(request.shortage(needs) + hint, explain.explanation(Sought(spec), needs, [stage], nearest=found))


def too_few(survey: Survey, placed: int, wanted: int, *, left: int) -> Refused:
    """Return the refusal of a request whose hosts filled up while its servers were placed.

    With none ``left`` it was the servers placed before that took, by their group's policy, the last.
    """
    why = request.shortage(survey.needs) if left else "The server group's policy forbids every host that has room."
    if wanted > 1:
        why = f"There is room for {placed} of {wanted} servers only: {why}"
    return Refused(why, explain.explanation(survey.sought, survey.needs, survey.stages))
