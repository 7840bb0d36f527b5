"""Looks at a whole cloud: the API database, every cell's, Placement, and what hosts say that they have.

Reads only, in pages, without locks and without one moment: what is in flight looks wrong now and then. What is open
work is read before and after all else, so that whatever was being worked on meanwhile is not judged; the rest is seen
by looking twice (``auditor.py``).
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from nova_lite import errors
from nova_lite.cells.registry import OpenCell
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import hosts as host_rows
from nova_lite.db.repositories import sightings
from nova_lite.model.guest import Guest
from nova_lite.model.sightings import Seen, SeenClaim, SeenHost
from nova_lite.model.volume import Attachment, Volume
from nova_lite.rpc.compute import ComputeClient
from nova_lite.storage import Database

LOG = logging.getLogger(__name__)

#: Hosts asked at once.
_HOSTS_AT_ONCE = 8
_NOT_ASKED_FOR = "It was not asked for."


class ReadsClaims(Protocol):
    """Reads who holds what: Placement's client does, or whoever stands in for it."""

    def roots(self) -> dict[str, str]:
        """Return every provider → the root of its tree."""
        ...

    def holders(self, provider: str) -> dict[str, dict[str, int]] | None:
        """Return consumer → class → amount; None when there is no such provider."""
        ...


class ReadsVolumes(Protocol):
    """Reads who has which volumes: the block storage service's client does, or whoever stands in for it."""

    def every_attachment(self) -> list[Attachment]:
        """Return every attachment there is."""
        ...

    def in_status(self, status: str) -> list[Volume]:
        """Return the volumes whose status this is."""
        ...


class AsksHosts(Protocol):
    """Asks a host what it has; raises Timeout or Unavailable when it does not say."""

    def __call__(self, cell: OpenCell, host: str) -> tuple[Sequence[Guest], Sequence[str]]: ...


def over_the_bus(cell: OpenCell, host: str) -> tuple[Sequence[Guest], Sequence[str]]:
    """Ask a host's agent."""
    return ComputeClient(cell.bus).contents(host, timeout_s=cell.bus.call_timeout_s)


@dataclass(frozen=True)
class Onlooker:
    """Looks. Without ``placement`` claims are not looked at, without ``hosts`` guests, without ``volumes`` volumes.

    ``volumes`` says whom to ask, and raises what keeps that from being asked. ``only`` is the UUIDs of cells to look
    into, None: all. ``pause`` is called after each page and each provider.
    """

    api_db: Database
    cells: Callable[[], Sequence[OpenCell]]
    placement: ReadsClaims | None
    hosts: AsksHosts | None = over_the_bus
    volumes: Callable[[], ReadsVolumes] | None = None
    only: frozenset[str] | None = None
    down_after_s: float = 60.0
    pause: Callable[[], None] = lambda: None
    tell: Callable[[str], None] = lambda _: None

    def look(self, *, with_claims: bool = True, with_hosts: bool = True, with_volumes: bool = True) -> Seen:
        """Return what there is. Raises Unavailable when the API database or Placement does not answer."""
        seen = Seen()
        cells = self._answering(seen)
        self._read_work(seen, cells)
        self._read_above(seen)
        for cell in cells:
            self._read_cell(seen, cell)
        self._read_dead(seen, cells)
        if self.placement is not None and with_claims:
            self._read_claims(seen, self.placement)
        if self.hosts is not None and with_hosts:
            self._read_hosts(seen, cells, self.hosts)
        if with_volumes:
            self._read_volumes(seen)
        # Again, for what was begun meanwhile; what is told of it is what it is now.
        self._read_work(seen, cells)
        seen.cells -= seen.silent.keys()
        return seen

    def _answering(self, seen: Seen) -> list[OpenCell]:
        found = []
        for cell in self.cells():
            uuid = cell.cell.uuid
            if self.only is not None and uuid not in self.only:
                seen.silent[uuid] = _NOT_ASKED_FOR
                continue
            try:
                cell.db.ping()
            except errors.Unavailable as exc:
                _fall_silent(seen, cell, exc)
            else:
                seen.cells.add(uuid)
                found.append(cell)
        return found

    def _read_work(self, seen: Seen, cells: Iterable[OpenCell]) -> None:
        with self.api_db.reader() as session:
            seen.works = sightings.works(session, ApiWorkflowRow, None)
        for cell in cells:
            try:
                with cell.db.reader() as session:
                    seen.works += sightings.works(session, CellWorkflowRow, cell.cell.uuid)
            except errors.Unavailable as exc:
                _fall_silent(seen, cell, exc)
        seen.busy |= {subject for work in seen.works for subject in (work.uuid, *work.subjects)}

    def _read_above(self, seen: Seen) -> None:
        after = ""
        while True:
            with self.api_db.reader() as session:
                page = sightings.mappings(session, after)
            if not page:
                break
            seen.mappings |= {mapping.uuid: mapping for mapping in page}
            after = page[-1].uuid
            self._breathe(f"{len(seen.mappings)} mappings read")
        with self.api_db.reader() as session:
            seen.build_requests = sightings.build_requests(session)
            seen.failed_builds = sightings.failed_builds(session)
            seen.lone_specs = sightings.lone_specs(session)
            seen.members = {member.uuid: member for member in sightings.members(session)}
            seen.host_mappings = sightings.host_mappings(session)

    def _read_cell(self, seen: Seen, cell: OpenCell) -> None:
        uuid, after = cell.cell.uuid, 0
        try:
            while True:
                with cell.db.reader() as session:
                    page, after = sightings.servers(session, uuid, after)
                if not page:
                    break
                for server in page:
                    seen.servers[server.uuid].append(server)
                self._breathe(f"{len(seen.servers)} servers read")
            with cell.db.reader() as session:
                seen.moves |= {move.uuid: move for move in sightings.moves(session, uuid)}
                for host in sightings.registered_hosts(session, host_rows.AGENT):
                    seen.registered[host].add(uuid)
        except errors.Unavailable as exc:
            _fall_silent(seen, cell, exc)

    def _read_dead(self, seen: Seen, cells: Sequence[OpenCell]) -> None:
        """Find the mapped servers that live nowhere where they are deleted: in their own cell first, then in any."""
        lost = {uuid for uuid, mapping in seen.mappings.items() if uuid not in seen.servers}
        for cell in cells:
            here = {uuid for uuid in lost if seen.mappings[uuid].cell == cell.cell.uuid}
            self._note_dead(seen, cell, here)
        left = {uuid for uuid in lost if uuid not in seen.dead and seen.mappings[uuid].cell in (None, *seen.cells)}
        for cell in cells:
            self._note_dead(seen, cell, left)

    def _note_dead(self, seen: Seen, cell: OpenCell, uuids: set[str]) -> None:
        if not uuids:
            return
        try:
            with cell.db.reader() as session:
                for uuid in sightings.dead_among(session, uuids):
                    seen.dead[uuid].add(cell.cell.uuid)
        except errors.Unavailable as exc:
            _fall_silent(seen, cell, exc)

    def _read_claims(self, seen: Seen, placement: ReadsClaims) -> None:
        """Read who holds what, provider by provider."""
        held: dict[str, dict[str, Mapping[str, int]]] = {}
        seen.roots = placement.roots()
        for number, provider in enumerate(seen.roots, start=1):
            for consumer, amounts in (placement.holders(provider) or {}).items():
                held.setdefault(consumer, {})[provider] = amounts
            self._breathe(f"the claims of {number} of {len(seen.roots)} providers read")
        seen.claims = {consumer: SeenClaim(consumer, found) for consumer, found in held.items()}

    def _read_volumes(self, seen: Seen) -> None:
        """Read who has which volumes; a block storage service that does not answer is unknown, not empty."""
        if self.volumes is None:
            if any(server.volumes for rows in seen.servers.values() for server in rows):
                seen.volumes_unknown = "[cinder] is not configured here."
            return
        try:
            service = self.volumes()
            found = service.every_attachment()
            seen.detaching = tuple(service.in_status("detaching")) if found else ()
        except errors.NovaLiteError as exc:
            seen.volumes_unknown = exc.message
            return
        seen.attachments = {attachment.id: attachment for attachment in found}
        self._breathe(f"{len(found)} attachments of volumes read")

    def _read_hosts(self, seen: Seen, cells: Iterable[OpenCell], ask: AsksHosts) -> None:
        """Ask the hosts that are up what they have; the others, and those that do not say, are unknown."""
        asked: list[tuple[OpenCell, str]] = []
        for cell in cells:
            if cell.cell.is_cell0 or cell.cell.uuid in seen.silent:
                continue
            try:
                with cell.db.reader() as session:
                    agents = host_rows.services(session, down_after_s=self.down_after_s, binary=host_rows.AGENT)
            except errors.Unavailable as exc:
                _fall_silent(seen, cell, exc)
                continue
            for agent in agents:
                if agent.is_up:
                    asked.append((cell, agent.host))
                else:
                    seen.unknown[agent.host] = "Its agent is down."

        def one(place: tuple[OpenCell, str]) -> SeenHost | str:
            cell, host = place
            try:
                guests, asides = ask(cell, host)
            except errors.NovaLiteError as exc:
                return exc.message
            return SeenHost(host, cell.cell.uuid, tuple(guests), tuple(asides))

        if not asked:
            return
        with ThreadPoolExecutor(_HOSTS_AT_ONCE, thread_name_prefix="audit-hosts") as pool:
            for (_, host), answer in zip(asked, pool.map(one, asked), strict=True):
                if isinstance(answer, SeenHost):
                    seen.hosts[host] = answer
                else:
                    seen.unknown[host] = answer
                self._breathe(f"{len(seen.hosts)} of {len(asked)} hosts asked")

    def _breathe(self, told: str) -> None:
        self.tell(told)
        self.pause()


def _fall_silent(seen: Seen, cell: OpenCell, exc: errors.NovaLiteError) -> None:
    cause = exc.facts.get("cause")
    seen.silent[cell.cell.uuid] = f"{exc.message} {cause}" if cause else exc.message
