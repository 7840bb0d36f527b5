"""Bring images to the hosts of an aggregate before anybody needs them there. Spans cells.

It is a favour, not a promise: a host that is down or fails is passed over, and its first server brings the image.
"""

import logging

from nova_lite import concurrency, errors
from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.saga import Definition, Facts, Step, Work
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.repositories import aggregates, hosts
from nova_lite.rpc.compute import ComputeClient

LOG = logging.getLogger(__name__)


def fetch_images(work: Work[SuperTools]) -> Facts:
    """Have each host fetch each image, one after the other, so that the image service is not stormed.

    Hosts whose turn has not come at the deadline are passed over too. What each host got is told.
    """
    with work.tools.api_db.reader() as session:
        wanted = aggregates.hosts_of(session, work.subject)
    homes = work.tools.cells.of_hosts(named=wanted)
    end = concurrency.monotonic() + work.seconds_left
    passed_over: dict[str, str] = {}
    fetched: dict[str, list[str]] = {host: [] for host in wanted}
    for host in wanted:
        try:
            _fetch(work, homes.get(host), host, end, fetched[host])
        except errors.NovaLiteError as exc:
            LOG.warning("Host %s does not get the images of request %s: %s", host, work.workflow.request_id, exc)
            passed_over[host] = exc.message
    return {"passed_over": passed_over, "fetched": fetched}


def _fetch(work: Work[SuperTools], cell_uuid: str | None, host: str, end: float, fetched: list[str]) -> None:
    if cell_uuid is None:
        raise errors.NotFound(f"Host {host} is in no cell.")
    cell = work.tools.cells.get(cell_uuid)
    _refuse_down(work, cell, host)
    for image_id in work.inputs["images"]:
        seconds_left = end - concurrency.monotonic()
        if seconds_left <= 0:
            raise errors.Timeout("The time for bringing images is over.")
        timeout_s = min(seconds_left, work.tools.conf.operation_timeout)
        ComputeClient(cell.bus).cache_image(host, image_id, timeout_s=timeout_s)
        fetched.append(image_id)


def _refuse_down(work: Work[SuperTools], cell: OpenCell, host: str) -> None:
    """Raise Unavailable when a host's agent is down: nobody would answer for long."""
    with work.tools.database(cell).reader() as session:
        found = hosts.services(session, down_after_s=work.tools.conf.service_down_time, host=host, binary=hosts.AGENT)
    if not any(service.is_up for service in found):
        raise errors.Unavailable(f"Host {host} is down.")


CACHE_IMAGES = Definition("cache-images", (Step("fetch images", fetch_images, no_way_back=True),))
