"""What the scheduler answers on the bus; the client side is ``rpc/scheduler.py``."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from oslo_config import cfg

from nova_lite.clients.placement import PlacementClient
from nova_lite.errors import Invalid, NoValidHost, Unavailable
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import Placed, RequestSpec
from nova_lite.scheduler import pick, request
from nova_lite.scheduler.filters import Stage, sift
from nova_lite.scheduler.hosts import Hosts
from nova_lite.scheduler.request import Needs
from nova_lite.scheduler.waiting import Waiting
from nova_lite.scheduler.weighers import weigh


class SchedulerEndpoint:
    """Chooses and claims.

    A request may be asked again, or twice at once, when an answer is late or lost. So a claim is only ever made for a
    server that has none; one that is there is adopted, and what a pass claimed for a server that nobody waits for any
    more it gives back. Everything else is the asking conductor's to let go.
    """

    def __init__(self, conf: cfg.ConfigOpts, hosts: Hosts, placement: PlacementClient, waiting: Waiting) -> None:
        self._conf = conf
        self._hosts = hosts
        self._placement = placement
        self._waiting = waiting

    def place(self, spec: dict[str, Any], instance_uuids: list[str]) -> list[Any]:
        placed = self._place(msgspec.convert(spec, RequestSpec), instance_uuids)
        answer: list[Any] = msgspec.to_builtins(placed)
        return answer

    def _place(self, spec: RequestSpec, instance_uuids: list[str]) -> list[Placed]:
        needs = request.needs(spec.flavor, spec.image_properties)
        offers, rooms = self._offers(spec, needs)
        left, stages = self._survey(spec, rooms)
        claimed: list[str] = []
        try:
            return self._claim_all(spec, needs, instance_uuids, offers, left, stages, claimed)
        finally:
            self._let_go_unwanted(claimed)

    def _offers(self, spec: RequestSpec, needs: Needs) -> tuple[pick.Offers, Mapping[str, Mapping[str, int]]]:
        """Return root → what Placement offers there, and root → what it has free; raises NoValidHost when nothing.

        Placement is asked for the zone or the host wanted, for there may be more hosts than it answers at once. What it
        says then may leave out what the filters let pass, a pool outside the host's tree or a host put into the zone a
        moment ago; so when it finds nothing, it is asked for all.
        """
        narrow: dict[str, Any] = {}
        if spec.wanted_host is not None or spec.wanted_node is not None:
            node = self._hosts.node_wanted(spec.wanted_host, spec.wanted_node)
            narrow = {} if node is None else {"node": node}
        elif spec.availability_zone is not None:
            aggregates = self._hosts.zone_aggregates(spec.availability_zone)
            narrow = {"aggregates": aggregates} if aggregates else {}
        for question in (narrow, {}) if narrow else ({},):
            limit = self._conf.scheduler.max_placement_results
            query = request.candidates_query(needs, limit=limit, with_disabled=spec.skips_filters, **question)
            try:
                requests, summaries = self._placement.candidates(query)
            except Invalid as exc:
                raise NoValidHost(f"No valid host was found. Placement knows no such need: {exc.message}") from exc
            if requests:
                offers = pick.offers_by_root(requests, summaries)
                return offers, pick.room_by_root(offers, summaries)
        raise NoValidHost(f"No valid host was found. {request.shortage(needs)}")

    def _survey(self, spec: RequestSpec, rooms: Mapping[str, Mapping[str, int]]) -> tuple[list[HostState], list[Stage]]:
        """Return the hosts among those with ``rooms`` that pass every filter, and what each filter did.

        Raises NoValidHost when none does, Unavailable when one may be in a cell that has just fallen silent.
        """
        sight = self._hosts.load(rooms)
        left, stages = sift(sight.states.values(), spec)
        if not left and sight.strangers and self._hosts.look_again(sight):
            sight = self._hosts.load(rooms)
            left, stages = sift(sight.states.values(), spec)
        if not left:
            raise NoValidHost(f"No valid host was found. {pick.refusal(stages, unseen=sight.strangers)}")
        return left, stages

    def _claim_all(
        self,
        spec: RequestSpec,
        needs: Needs,
        instance_uuids: list[str],
        offers: pick.Offers,
        left: list[HostState],
        stages: list[Stage],
        claimed: list[str],
    ) -> list[Placed]:
        """Claim for each server on the best host for it, noting in ``claimed`` whom for."""
        placed: list[Placed] = []
        for uuid in instance_uuids:
            ranking = self._ranked(left)
            chosen = self._claim_first(uuid, spec, [host for host, _ in ranking], offers, claimed)
            if chosen is None:
                raise NoValidHost(f"No valid host was found. {_too_few(needs, len(placed), len(instance_uuids))}")
            others = pick.alternates(
                chosen, [host for host, _ in ranking], offers, self._conf.scheduler.max_attempts - 1
            )
            placed.append(
                Placed(
                    uuid,
                    (pick.selection(chosen, offers), *others),
                    pick.explanation(len(offers), stages, ranking),
                )
            )
            left = [_taken(host, needs) if host.node == chosen.node else host for host in left]
        return placed

    def _ranked(self, hosts: list[HostState]) -> list[tuple[HostState, float]]:
        """Return hosts best first; equals, and the best ``host_subset_size``, in random order: schedulers differ."""
        ranking = weigh(random.sample(hosts, len(hosts)))
        size = self._conf.scheduler.host_subset_size
        head = ranking[:size]
        random.shuffle(head)
        return head + ranking[size:]

    def _claim_first(
        self, uuid: str, spec: RequestSpec, ranking: list[HostState], offers: pick.Offers, claimed: list[str]
    ) -> HostState | None:
        """Claim for ``uuid`` on the first host that still has room, and return that host, or the one it has already."""
        for host in ranking:
            if self._placement.claim(uuid, offers[host.node], project_id=spec.project_id, user_id=spec.user_id):
                claimed.append(uuid)
                return host
            held = self._placement.allocations(uuid)
            if held:
                return _adopted(held, ranking, offers)
        return None

    def _let_go_unwanted(self, claimed: list[str]) -> None:
        """Release what was just claimed for servers that wait for no host (any more): nobody else knows of it."""
        for uuid in self._waiting.missing(claimed):
            self._placement.release(uuid)


def _adopted(held: dict[str, dict[str, int]], ranking: list[HostState], offers: pick.Offers) -> HostState:
    """Return the host that another pass for the same server claimed; raises Unavailable when it is not to be had."""
    for host in ranking:
        if offers[host.node] == held:
            return host
    raise Unavailable("Another attempt at placing the server holds a claim on a host that is not to be had.")


def _taken(host: HostState, needs: Needs) -> HostState:
    """Return ``host`` with one more server of these ``needs`` on it."""
    taken = needs.totals
    return replace(
        host,
        free_vcpus=host.free_vcpus - taken.get("VCPU", 0),
        free_ram_mib=host.free_ram_mib - taken.get("MEMORY_MB", 0),
        free_disk_gib=host.free_disk_gib - taken.get("DISK_GB", 0),
        building=host.building + 1,
    )


def _too_few(needs: Needs, placed: int, wanted: int) -> str:
    if wanted == 1:
        return request.shortage(needs)
    return f"There is room for {placed} of {wanted} servers only: {request.shortage(needs)}"
