"""What the scheduler answers on the bus; the client side is ``rpc/scheduler.py``."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from oslo_config import cfg

from nova_lite.clients.placement import PlacementClient
from nova_lite.concurrency import Tally
from nova_lite.errors import Unavailable
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import Decision, Placed, RequestSpec, Selection
from nova_lite.model.server_group import Company
from nova_lite.scheduler import explain, pick
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.pipeline import still_passing
from nova_lite.scheduler.request import Needs
from nova_lite.scheduler.survey import Refused, Survey, Surveyor, too_few
from nova_lite.scheduler.waiting import Waiting
from nova_lite.scheduler.weighing import Weighing

#: Hosts named in the ranking of each server, and fewer where many servers are asked for at once.
_MAX_NAMED, _FEWER_NAMED, _FEW = 20, 3, 20
#: Takes a place for a server on the first of some hosts, best first, that has room; None when none has.
Take = Callable[[str, list[HostState], Survey], HostState | None]


class SchedulerEndpoint:
    """Chooses and claims.

    A request may be asked again, or twice at once, when an answer is late or lost. So a claim is only ever made for a
    server that has none; one that is there is adopted, and what a pass claimed for a server that nobody waits for any
    more it gives back. Everything else is the asking conductor's to let go.
    """

    def __init__(self, conf: cfg.ConfigOpts, surveyor: Surveyor, placement: PlacementClient, waiting: Waiting) -> None:
        self._conf = conf
        self._surveyor = surveyor
        self._placement = placement
        self._waiting = waiting
        self._weighing = Weighing(conf.filter_scheduler)
        #: What became of servers and of claims.
        self.tally = Tally()

    def place(self, spec: dict[str, Any], instance_uuids: list[str]) -> dict[str, Any]:
        claimed: list[str] = []
        wanted = msgspec.convert(spec, RequestSpec)

        def claim(uuid: str, hosts: list[HostState], survey: Survey) -> HostState | None:
            return self._claim_first(uuid, wanted, hosts, survey.offers, claimed)

        try:
            answer = self._decide(wanted, instance_uuids, claim)
            self.tally.add("server", "refused" if answer["refusal"] else "placed", number=len(instance_uuids))
            return answer
        finally:
            self._let_go_unwanted(claimed)

    def choose(self, spec: dict[str, Any], instance_uuid: str) -> dict[str, Any]:
        def best(uuid: str, hosts: list[HostState], survey: Survey) -> HostState | None:
            return next(iter(hosts), None)

        return self._decide(msgspec.convert(spec, RequestSpec), [instance_uuid], best)

    def refusal_to_stay(self, spec: dict[str, Any], instance_uuid: str) -> str | None:
        return self._surveyor.refusal_to_stay(msgspec.convert(spec, RequestSpec), instance_uuid)

    def rehearse(self, spec: dict[str, Any], count: int) -> dict[str, Any]:
        given: Counter[str] = Counter()

        def choose(uuid: str, hosts: list[HostState], survey: Survey) -> HostState | None:
            chosen = next((host for host in hosts if _has_room(host.node, survey, given[host.node])), None)
            if chosen is not None:
                given[chosen.node] += 1
            return chosen

        nobody = [str(number) for number in range(count)]
        answer = self._decide(msgspec.convert(spec, RequestSpec), nobody, choose)
        for placed in answer["placed"][1:]:
            # Much alike, large, and of many servers only the first one's is shown.
            placed["explanation"] = {}
        return answer

    def _decide(self, spec: RequestSpec, instance_uuids: list[str], take: Take) -> dict[str, Any]:
        try:
            survey = self._surveyor.survey(spec, instance_uuids)
            decision = Decision(self._take_all(survey, instance_uuids, take))
        except Refused as exc:
            decision = Decision(refusal=exc.message, explanation=exc.explanation)
        answer: dict[str, Any] = msgspec.to_builtins(decision)
        return answer

    def _take_all(self, survey: Survey, instance_uuids: list[str], take: Take) -> tuple[Placed, ...]:
        """Take a place for each server on the best host for it; raises Refused."""
        placed: list[Placed] = []
        choices: list[tuple[HostState, list[HostState]]] = []
        sought, offers, left = survey.sought, survey.offers, survey.left
        named = _MAX_NAMED if len(instance_uuids) <= _FEW else _FEWER_NAMED
        for uuid in instance_uuids:
            ranking = self._ranked(left, sought)
            hosts = [host for host, _ in ranking]
            chosen = take(uuid, hosts, survey)
            if chosen is None:
                raise too_few(survey, len(placed), len(instance_uuids), left=len(left))
            explained = explain.explanation(
                sought, survey.needs, survey.stages, ranking[:named], parts=self._weighing.parts
            )
            placed.append(Placed(uuid, (pick.selection(chosen, offers),), explained))
            choices.append((chosen, hosts))
            left = [_taken(host, survey.needs) if host.node == chosen.node else host for host in left]
            if sought.company is not None:
                sought = replace(sought, company=sought.company.joined_by(chosen.host))
            left = still_passing(left, sought, survey.running, changed=chosen.node)
        others = self._alternates(choices, sought.company, offers)
        return tuple(
            replace(each, selections=(*each.selections, *more)) for each, more in zip(placed, others, strict=True)
        )

    def _alternates(
        self, choices: list[tuple[HostState, list[HostState]]], company: Company | None, offers: pick.Offers
    ) -> list[list[Selection]]:
        """Name alternates for each choice; in a group, hosts where all may end without breaking its policy."""
        found: list[list[Selection]] = []
        for chosen, hosts in choices:
            allowed = hosts if company is None else [host for host in hosts if company.may_spare(host.host)]
            found.append(pick.alternates(chosen, allowed, offers, self._conf.scheduler.max_attempts - 1))
            for alternate in found[-1]:
                company = company and company.with_spare(alternate.host)
        return found

    def _ranked(self, hosts: list[HostState], sought: Sought) -> list[tuple[HostState, float]]:
        """Return hosts best first; equals, and the best ``host_subset_size``, in random order: schedulers differ."""
        drawn = np.random.default_rng().permutation(len(hosts)).tolist()
        ranking = self._weighing.rank([hosts[index] for index in drawn], sought)
        if (company := sought.company) is not None and company.spares:
            # Others of the group may yet be moved there: it costs them that way out.
            ranking.sort(key=lambda pair: company.is_contested(pair[0].host))
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
                self.tally.add("claim", "made")
                return host
            self.tally.add("claim", "refused")
            held = self._placement.allocations(uuid)
            if held:
                return _adopted(held, ranking, offers)
        return None

    def _let_go_unwanted(self, claimed: list[str]) -> None:
        """Release what was just claimed for servers that are gone: nobody else knows of it.

        What a server that lives by now holds is another pass's claim, or it was taken over with ours.
        """
        for uuid in self._waiting.missing(claimed):
            self._placement.release(uuid)


def _adopted(held: dict[str, dict[str, int]], ranking: list[HostState], offers: pick.Offers) -> HostState:
    """Return the host that another pass for the same server claimed; raises Unavailable when it is not to be had."""
    for host in ranking:
        if offers[host.node] == held:
            return host
    raise Unavailable("Another attempt at placing the server holds a claim on a host that is not to be had.")


def _has_room(node: str, survey: Survey, given: int) -> bool:
    """Return whether a host that was ``given`` servers has room for one more, as far as its own tree gives it."""
    room = survey.rooms[node]
    return all(
        # What there is too little of at first comes from elsewhere: Placement has offered it.
        room.get(name, 0) >= amount * (given + 1) or room.get(name, 0) < amount
        for name, amount in survey.needs.totals.items()
    )


def _taken(host: HostState, needs: Needs) -> HostState:
    """Return ``host`` with one more server of these ``needs`` on it."""
    taken = needs.totals
    return replace(
        host,
        free_vcpus=host.free_vcpus - taken.get("VCPU", 0),
        free_ram_mib=host.free_ram_mib - taken.get("MEMORY_MB", 0),
        free_disk_gib=host.free_disk_gib - taken.get("DISK_GB", 0),
        building=host.building + 1,
        num_instances=host.num_instances + 1,
    )
