"""Bring images to the hosts of an aggregate before anybody needs them there. Spans cells.

It is a favour, not a promise: a host that is down or fails is passed over, and its first server brings the image.
"""

import logging
from collections.abc import Iterator

from nova_lite import errors
from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.saga import Definition, Facts, Step, Work
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.repositories import aggregates, hosts
from nova_lite.rpc.compute import ComputeClient

LOG = logging.getLogger(__name__)


def fetch_images(work: Work[SuperTools]) -> Facts:
    """Have each host fetch each image, one after the other, so that the image service is not stormed."""
    with work.tools.api_db.reader() as session:
        wanted = aggregates.hosts_of(session, work.subject)
    passed_over: dict[str, str] = {}
    for cell, host in _at_home(work, wanted):
        try:
            _refuse_down(work, cell, host)
            for image_id in work.inputs["images"]:
                timeout_s = float(work.tools.conf.instance_build_timeout)
                ComputeClient(cell.bus).cache_image(host, image_id, timeout_s=timeout_s)
        except errors.NovaLiteError as exc:
            LOG.warning("Host %s does not get the images of request %s: %s", host, work.workflow.request_id, exc)
            passed_over[host] = exc.message
    return {"passed_over": passed_over}


def _at_home(work: Work[SuperTools], wanted: list[str]) -> Iterator[tuple[OpenCell, str]]:
    homes = work.tools.cells.of_hosts(named=wanted)
    for host in wanted:
        if host in homes:
            yield work.tools.cells.get(homes[host]), host


def _refuse_down(work: Work[SuperTools], cell: OpenCell, host: str) -> None:
    """Raise Unavailable when a host's agent is down: nobody would answer for long."""
    with work.tools.database(cell).reader() as session:
        found = hosts.services(session, down_after_s=work.tools.conf.service_down_time, host=host, binary=hosts.AGENT)
    if not any(service.is_up for service in found):
        raise errors.Unavailable(f"Host {host} is down.")


CACHE_IMAGES = Definition("cache-images", (Step("fetch images", fetch_images, no_way_back=True),))
