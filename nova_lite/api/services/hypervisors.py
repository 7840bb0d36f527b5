"""Hypervisors of every cell, with their services and, where asked for, their servers."""

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite.cells.fanout import Answers, Fanout
from nova_lite.cells.listing import Key, Listing, Wanted
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import hosts
from nova_lite.errors import Invalid, NotFound, NovaLiteError, Unavailable
from nova_lite.model.host import ComputeNode, Service
from nova_lite.rpc.compute import ComputeClient


@dataclass(frozen=True)
class Hypervisor:
    """A hypervisor with its host's service; ``servers`` (UUID and name) is None where nobody asked for them."""

    node: ComputeNode
    service: Service | None
    servers: Sequence[tuple[str, str]] | None = None


@dataclass(frozen=True)
class HypervisorRef:
    """How a client names a hypervisor: by UUID, or by number, which is unique in its cell only."""

    uuid: str | None = None
    number: int | None = None

    def __str__(self) -> str:
        return self.uuid or str(self.number)


@dataclass(frozen=True)
class _Reading:
    """What to read of each cell."""

    ref: HypervisorRef = HypervisorRef()
    name_part: str | None = None
    limit: int | None = None
    with_usage: bool = True
    with_servers: bool = False


class HypervisorService:
    """Asks the cells about their hypervisors."""

    def __init__(self, conf: cfg.ConfigOpts, cells: Cells, fanout: Fanout) -> None:
        self._conf = conf
        self._cells = cells
        self._fanout = fanout
        self._listing = Listing(conf, fanout)

    def page(
        self, *, marker: HypervisorRef | None, limit: int | None, with_usage: bool, with_servers: bool
    ) -> tuple[list[Hypervisor], bool]:
        """Return one page (``limit`` None: all), cell by cell and by age in a cell, and whether more follows.

        A cell that does not answer is left out. Raises Invalid when ``marker`` names no hypervisor.
        """
        cells = self._cells.all(with_cell0=False)
        rank_of = {cell.cell.uuid: rank for rank, cell in enumerate(cells)}
        after = None
        if marker is not None:
            cell, behind = self._marked(marker)
            after = (rank_of[cell.cell.uuid], behind.node.number)

        def read(cell: OpenCell, after: Key | None, limit: int | None) -> list[tuple[Key, Hypervisor]]:
            rank = rank_of[cell.cell.uuid]
            after_rank, after_number = after or (rank, 0)
            if rank < after_rank:
                return []
            reading = _Reading(limit=limit, with_usage=with_usage, with_servers=with_servers)
            found = self._read(cell, reading, after_number if rank == after_rank else 0)
            return [((rank, hypervisor.node.number), hypervisor) for hypervisor in found]

        page = Wanted(read, lambda hypervisor: hypervisor.node.uuid, (False, False), limit, after)
        listed = self._listing.page(page, cells)
        return [row.item for row in listed.rows], listed.has_more

    def matching(self, name_part: str, *, with_usage: bool = False, with_servers: bool = False) -> list[Hypervisor]:
        """Return the hypervisors with ``name_part`` in their name; raises NotFound when there is none."""
        reading = _Reading(name_part=name_part, with_usage=with_usage, with_servers=with_servers)
        found = [hypervisor for _, hypervisor in self._ask(reading)[0]]
        if not found:
            raise NotFound(f"No hypervisor matching '{name_part[:255]}' could be found.")
        return found

    def show(self, ref: HypervisorRef, *, with_servers: bool, with_uptime: bool = False) -> Hypervisor:
        """Return one hypervisor; ``with_uptime`` also how long its host is up, None when that does not answer.

        A number that several cells have is that of the first of them, in the order of lists.
        Raises: NotFound, Unavailable when a cell that may have it is down.
        """
        cell, hypervisor = self._find(_Reading(ref=ref, with_servers=with_servers))
        if with_uptime and _is_up(hypervisor):
            with contextlib.suppress(NovaLiteError):
                return self._timed(cell, hypervisor)
        return hypervisor

    def uptime(self, ref: HypervisorRef) -> Hypervisor:
        """Return one hypervisor and how long its host is up.

        Raises as ``show`` does, Invalid when its host is down, Unavailable when that does not answer.
        """
        cell, hypervisor = self._find(_Reading(ref=ref, with_usage=False))
        if not _is_up(hypervisor):
            raise Invalid(f"Compute service of {hypervisor.node.host} is unavailable at this time.")
        return self._timed(cell, hypervisor)

    def _timed(self, cell: OpenCell, hypervisor: Hypervisor) -> Hypervisor:
        """Ask a hypervisor's host how long it is up, no longer than a cell has to answer."""
        agent = ComputeClient(cell.bus)
        text = agent.uptime(hypervisor.node.host, timeout_s=float(self._conf.cells.timeout))
        return dataclasses.replace(hypervisor, node=dataclasses.replace(hypervisor.node, uptime=text))

    def statistics(self) -> tuple[int, ComputeNode]:
        """Return how many hypervisors there are, and all of them added up as if they were one."""

        def question(cell: OpenCell) -> tuple[int, ComputeNode]:
            with cell.db.reader() as session:
                return hosts.totals(session)

        answers = self._fanout.ask(question, with_cell0=False)
        count, total = 0, None
        for of_cell, node in answers.found.values():
            count += of_cell
            total = node if total is None else _sum(total, node)
        if total is None:
            raise Unavailable("No cell answers.", cells=sorted(answers.down))
        return count, total

    def _marked(self, marker: HypervisorRef) -> tuple[OpenCell, Hypervisor]:
        try:
            return self._find(_Reading(ref=marker, with_usage=False), must_be_alone=True)
        except NotFound:
            raise Invalid(f"marker: hypervisor {marker} could not be found") from None

    def _find(self, reading: _Reading, *, must_be_alone: bool = False) -> tuple[OpenCell, Hypervisor]:
        found, is_complete = self._ask(reading)
        if must_be_alone and len(found) > 1:
            # What follows the first of them would bring a list back to where it was.
            raise Invalid(f"Hypervisor {reading.ref} is in several cells. Use microversion 2.53 or later and its UUID.")
        if found:
            return found[0]
        if not is_complete:
            raise Unavailable(f"Hypervisor {reading.ref} was not found, and not all cells answer.")
        raise NotFound(f"Hypervisor with ID '{reading.ref}' could not be found.")

    def _ask(self, reading: _Reading) -> tuple[list[tuple[OpenCell, Hypervisor]], bool]:
        """Return what the cells have, and whether all of them answered."""
        cells = self._cells.all(with_cell0=False)
        answers = self._fanout.ask(lambda cell: self._read(cell, reading), of=cells)
        return _in_order(cells, answers), not answers.down

    def _read(self, cell: OpenCell, reading: _Reading, after: int = 0) -> list[Hypervisor]:
        """Return a cell's hypervisors: one statement each for them, their use, their services and their servers."""
        with cell.db.reading() as connection:
            nodes = hosts.compute_nodes(
                connection,
                uuids_wanted=None if reading.ref.uuid is None else [reading.ref.uuid],
                number=reading.ref.number,
                name_part=reading.name_part,
                after=after,
                limit=reading.limit,
                with_usage=reading.with_usage,
            )
            if not nodes:
                return []
            services = hosts.services(
                connection,
                down_after_s=self._conf.service_down_time,
                binary=hosts.AGENT,
                on_hosts=sorted({node.host for node in nodes}),
            )
            servers = hosts.servers_on(connection, [node.uuid for node in nodes]) if reading.with_servers else None
        of_host = {service.host: service for service in services}
        return [
            Hypervisor(node, of_host.get(node.host), None if servers is None else servers.get(node.uuid, ()))
            for node in nodes
        ]


def _is_up(hypervisor: Hypervisor) -> bool:
    return hypervisor.service is not None and hypervisor.service.is_up


def _in_order(cells: Sequence[OpenCell], answers: Answers[list[Hypervisor]]) -> list[tuple[OpenCell, Hypervisor]]:
    return [(cell, hypervisor) for cell in cells for hypervisor in answers.found.get(cell.cell.uuid, ())]


def _sum(one: ComputeNode, other: ComputeNode) -> ComputeNode:
    return dataclasses.replace(
        one,
        vcpus=one.vcpus + other.vcpus,
        ram_mib=one.ram_mib + other.ram_mib,
        disk_gib=one.disk_gib + other.disk_gib,
        vcpus_used=one.vcpus_used + other.vcpus_used,
        ram_mib_used=one.ram_mib_used + other.ram_mib_used,
        disk_gib_used=one.disk_gib_used + other.disk_gib_used,
        running_vms=one.running_vms + other.running_vms,
        busy_vms=one.busy_vms + other.busy_vms,
    )
