"""Which hosts can take a request, best unsorted: Placement's candidates, what cells know of them, and the filters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from oslo_config import cfg

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.model.explanation import Explanation
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler import diagnosis, explain, pick, prefilters, request, staying
from nova_lite.scheduler.diagnosis import Diagnosis
from nova_lite.scheduler.explain import Counted
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.hosts import Hosts, Sight
from nova_lite.scheduler.pipeline import ALWAYS, Entry, Stage, enabled, sift
from nova_lite.scheduler.prefilters import PREFILTERS, Asked
from nova_lite.scheduler.request import Needs

#: The filters that look at the place asked for.
_PLACES = frozenset({"WantedHost", "AvailabilityZone"})


class Refused(errors.NoValidHost):
    """No host can take a request; ``explanation`` is how that came about."""

    def __init__(self, why: str, explanation: Explanation) -> None:
        super().__init__(f"No valid host was found. {why}")
        self.explanation = explanation


@dataclass(frozen=True)
class Survey:
    """What a request needs, what Placement offers for it (root → provider → class → amount), and who is left.

    ``rooms`` is root → class → what is free in the whole tree; ``running`` are the filters that were passed.
    """

    sought: Sought
    needs: Needs
    offers: pick.Offers
    left: list[HostState]
    stages: list[Stage]
    rooms: Mapping[str, Mapping[str, int]]
    running: Mapping[str, Entry] = field(default_factory=lambda: ALWAYS)


@dataclass(frozen=True)
class _Offered:
    """What Placement answered: the offers, what is free, and whether it may have had more to name.

    ``is_wider``: it was asked for other places than those wanted, for there it had nothing.
    """

    offers: pick.Offers
    rooms: Mapping[str, Mapping[str, int]]
    is_all: bool
    is_wider: bool


class Surveyor:
    """Looks for hosts; changes nothing anywhere."""

    def __init__(self, conf: cfg.ConfigOpts, hosts: Hosts, placement: PlacementClient) -> None:
        self._limit: int = conf.scheduler.max_placement_results
        self._filters = enabled(conf.filter_scheduler)
        self._prefilters = prefilters.enabled(conf.scheduler)
        self._must_have_aggregate: bool = conf.scheduler.placement_aggregate_required_for_tenants
        self._hosts = hosts
        self._placement = placement
        self._diagnosis = Diagnosis(placement, limit=self._limit)

    def survey(self, spec: RequestSpec, instance_uuids: Sequence[str]) -> Survey:
        """Return the hosts that pass, at least one, for servers that have no place yet.

        Raises Refused when there is none, Unavailable when one may be in a cell that has just fallen silent.
        """
        needs = self._needs(spec)
        offered = self._offered(spec, needs)
        sought = self._hosts.look_up(spec, besides=instance_uuids)
        sight = self._hosts.load(offered.rooms)
        left, stages = self._sifted(sought, needs, offered, sight)
        if not left and sight.strangers and self._hosts.look_again(sight):
            sight = self._hosts.load(offered.rooms)
            left, stages = self._sifted(sought, needs, offered, sight)
        if not left and offered.is_wider and not any(stage.refused for stage in stages if stage.name not in _PLACES):
            # It is what the place asked for lacks that is to be told, not that others are elsewhere.
            raise self._nothing_offered(spec, needs)
        if not left:
            raise Refused(self._why(spec, stages, sight), explain.explanation(sought, needs, stages))
        return Survey(sought, needs, offered.offers, left, stages, offered.rooms, self._filters)

    def refusal_to_stay(self, spec: RequestSpec, instance_uuid: str) -> str | None:
        """Return why a server cannot stay on ``spec.wanted_node`` with the image that ``spec`` names; None if it can.

        Raises Unavailable when its cell does not answer.
        """
        node = spec.wanted_node or ""
        host = self._hosts.load({node: {}}).states.get(node)
        if host is None:
            raise errors.Unavailable("The server's host is not to be seen.", host=spec.wanted_host)
        held = self._placement.allocations(instance_uuid)
        if not held:
            return "What the server holds in Placement is gone."
        traits = {provider: self._placement.traits(provider)[0] for provider in {node, *held}}
        return staying.refusal(spec, host, traits, held, filters=self._filters, prefilters_on=self._prefilters)

    def _needs(self, spec: RequestSpec) -> Needs:
        """Return what a request needs, of hosts and by the cloud's rules; raises Refused for what none can give."""
        needs = None
        try:
            needs = request.needs(spec.claimed_flavor, spec.image_properties)
            asked = Asked(
                spec,
                needs,
                aggregates=self._hosts.aggregates() if self._reads_aggregates(spec) else {},
                node=self._hosts.node_wanted(spec.wanted_host, spec.wanted_node) if _names_host(spec) else None,
                must_have_aggregate=self._must_have_aggregate,
            )
            return replace(needs, restrictions=prefilters.restrictions(asked, self._prefilters))
        except errors.Invalid as exc:
            raise Refused(exc.message, explain.explanation(Sought(spec), needs)) from exc

    def _reads_aggregates(self, spec: RequestSpec) -> bool:
        if spec.availability_zone is not None:
            return True
        return any(PREFILTERS[name].reads_aggregates and PREFILTERS[name].option for name in self._prefilters)

    def _offered(self, spec: RequestSpec, needs: Needs) -> _Offered:
        """Return what Placement offers; raises Refused when nothing.

        Placement is asked for the zone or the host wanted, for there may be more hosts than it answers at once. What it
        says then may leave out what the filters let pass, a pool outside the host's tree or a host put into the zone a
        moment ago; so when it finds nothing, it is asked for all.
        """
        wider = replace(needs, restrictions=prefilters.without_checked(needs.restrictions))
        for question in (needs, wider) if wider.restrictions.keys() < needs.restrictions.keys() else (needs,):
            try:
                found = self._placement.candidates(request.candidates_query(question, limit=self._limit))
            except errors.Invalid as exc:
                why = f"Placement knows no such need: {exc.message}"
                raise Refused(why, explain.explanation(Sought(spec), needs)) from exc
            if found.allocation_requests:
                offers = pick.offers_by_root(found)
                is_all = len(found.allocation_requests) < self._limit
                return _Offered(offers, pick.room_by_root(offers, found), is_all, question is not needs)
        raise self._nothing_offered(spec, needs)

    def _sifted(
        self, sought: Sought, needs: Needs, offered: _Offered, sight: Sight
    ) -> tuple[list[HostState], list[Stage]]:
        states = self._hosts.with_loads(sight.states, sought.spec)
        left, stages = sift(states.values(), sought, self._filters)
        entered, named = len(sight.names), len(sight.states)
        reasons = {_unnamed(needs, offered): entered - named} if entered > named else {}
        return left, [Counted("Placement", entered, named, reasons=reasons), *stages]

    def _why(self, spec: RequestSpec, stages: Sequence[Stage], sight: Sight) -> str:
        if not sight.states and spec.wanted_host is not None and self._hosts.is_closed(spec.wanted_host):
            return f"Host {spec.wanted_host} is in a cell that is disabled."
        return explain.refusal(stages[1:], unseen=sight.strangers)

    def _nothing_offered(self, spec: RequestSpec, needs: Needs) -> Refused:
        names = self._hosts.load({}).names
        found = self._diagnosis.look(needs, list(names))
        reasons = {names[node]: " and ".join(miss.one for miss in each) for node, each in found.misses.items()}
        nearest = diagnosis.nearest(found.misses)
        among = "" if found.is_all else f" of {len(found.misses)} hosts looked at"
        hint = f" Nearest{among}: {nearest[0]}." if nearest else ""
        unknown = len(names) - len(found.misses)
        counted = {"was not looked at, for there are many": unknown} if unknown > 0 else {}
        stage = Counted("Placement", len(names), 0, reasons, reasons=counted)
        told = explain.explanation(Sought(spec), needs, [stage], nearest=nearest)
        return Refused(request.shortage(needs) + hint, told)


def too_few(survey: Survey, placed: int, wanted: int, *, left: int) -> Refused:
    """Return the refusal of a request whose hosts filled up while its servers were placed.

    With none ``left`` it was the servers placed before that took the last: by their group's policy, or by what hosts
    may have at most.
    """
    entered = len(survey.left)
    if left:
        why = request.shortage(survey.needs)
        stage = Counted("Claim", entered, 0, reasons={"had room, and was filled up meanwhile": entered})
    elif survey.sought.company is None:
        why = "The hosts that have room may have no more servers."
        reason = "may have no more servers, with those of the request placed before"
        stage = Counted("Limits", entered, 0, reasons={reason: entered})
    else:
        why = "The server group's policy forbids every host that has room."
        reason = "forbidden by the server group's policy, with those servers of the request placed before"
        stage = Counted("ServerGroup", entered, 0, reasons={reason: entered})
    if wanted > 1:
        why = f"There is room for {placed} of {wanted} servers only: {why}"
    return Refused(why, explain.explanation(survey.sought, survey.needs, [*survey.stages, stage]))


def _names_host(spec: RequestSpec) -> bool:
    return spec.wanted_host is not None or spec.wanted_node is not None


def _unnamed(needs: Needs, offered: _Offered) -> str:
    """Return why Placement may not have named a host while it named others."""
    asked = [each.one for each in needs.restrictions.values() if each.node is not None]
    if asked:
        return asked[0]
    lacks = "lacks something of what is needed and asked"
    if not offered.is_all:
        return f"{lacks}, or is one of more than Placement was asked to name"
    return lacks
