"""What the scheduler answers on the bus; the client side is ``rpc/scheduler.py``."""

import random
from dataclasses import replace
from typing import Any

import msgspec
from oslo_config import cfg

from nova_lite.clients.placement import PlacementClient
from nova_lite.errors import NoValidHost
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import Placed, RequestSpec
from nova_lite.scheduler import pick, request
from nova_lite.scheduler.filters import sift
from nova_lite.scheduler.hosts import Hosts
from nova_lite.scheduler.weighers import weigh


class SchedulerEndpoint:
    """Chooses and claims."""

    def __init__(self, conf: cfg.ConfigOpts, hosts: Hosts, placement: PlacementClient) -> None:
        self._conf = conf
        self._hosts = hosts
        self._placement = placement

    def place(self, spec: dict[str, Any], instance_uuids: list[str]) -> list[Any]:
        placed = self._place(msgspec.convert(spec, RequestSpec), instance_uuids)
        answer: list[Any] = msgspec.to_builtins(placed)
        return answer

    def _place(self, spec: RequestSpec, instance_uuids: list[str]) -> list[Placed]:
        limit = self._conf.scheduler.max_placement_results
        requests, summaries = self._placement.candidates(request.candidates_query(spec, limit=limit))
        if not requests:
            raise NoValidHost(f"No valid host was found. {request.shortage(spec)}")
        offers = pick.offers_by_root(requests, summaries)
        known = [state for node, state in self._hosts.load(summaries).items() if node in offers]
        left, stages = sift(known, spec)
        if not left:
            raise NoValidHost(f"No valid host was found. {pick.refusal(stages)}")
        placed: list[Placed] = []
        for uuid in instance_uuids:
            ranking = self._ranked(left)
            chosen = self._claim_first(uuid, spec, [host for host, _ in ranking], offers)
            if chosen is None:
                for claimed in placed:
                    self._placement.release(claimed.instance_uuid)
                raise NoValidHost(f"No valid host was found. {_too_few(spec, len(placed), len(instance_uuids))}")
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
            left = [_taken(host, spec) if host.node == chosen.node else host for host in left]
        return placed

    def _ranked(self, hosts: list[HostState]) -> list[tuple[HostState, float]]:
        """Return hosts best first; the best ``host_subset_size`` of them in random order, so that schedulers differ."""
        ranking = weigh(hosts)
        size = self._conf.scheduler.host_subset_size
        head = ranking[:size]
        random.shuffle(head)
        return head + ranking[size:]

    def _claim_first(
        self, uuid: str, spec: RequestSpec, ranking: list[HostState], offers: dict[str, Any]
    ) -> HostState | None:
        """Claim for ``uuid`` on the first host that still has room, and return that host."""
        for host in ranking:
            if self._claim(uuid, spec, offers[host.node]):
                return host
        return None

    def _claim(self, uuid: str, spec: RequestSpec, allocations: dict[str, dict[str, int]]) -> bool:
        owner = {"project_id": spec.project_id, "user_id": spec.user_id}
        if self._placement.claim(uuid, allocations, **owner):
            return True
        if not self._placement.allocations(uuid):
            return False
        # An earlier attempt, whose answer was lost, claimed; this one decides again.
        self._placement.release(uuid)
        return self._placement.claim(uuid, allocations, **owner)


def _taken(host: HostState, spec: RequestSpec) -> HostState:
    """Return ``host`` with one more server of ``spec`` on it."""
    return replace(
        host,
        free_vcpus=host.free_vcpus - spec.flavor.vcpus,
        free_ram_mib=host.free_ram_mib - spec.flavor.ram_mib,
        free_disk_gib=host.free_disk_gib - spec.flavor.disk_gib,
        building=host.building + 1,
    )


def _too_few(spec: RequestSpec, placed: int, wanted: int) -> str:
    if wanted == 1:
        return request.shortage(spec)
    return f"There is room for {placed} of {wanted} servers only: {request.shortage(spec)}"
