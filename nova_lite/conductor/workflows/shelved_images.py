"""The images that have the disks of shelved servers: any host of the cell that is there can remove one."""

import logging

from nova_lite import errors
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db.repositories import hosts

LOG = logging.getLogger(__name__)

#: Seconds a host gets to remove an image, and hosts that are asked.
_REMOVE_S = 30.0
_MAX_HOSTS = 3


def remove(tools: CellTools, image_id: str, *, at: str | None) -> None:
    """Have an image removed, filled or not, by host ``at`` if that is up; raises what the last host asked does.

    Raises Unavailable when no host is up.
    """
    with tools.db.reader() as session:
        known = hosts.services(session, down_after_s=tools.conf.service_down_time, binary=hosts.AGENT)
    up = sorted((agent.host for agent in known if agent.is_up), key=lambda host: host != at)
    failure: errors.NovaLiteError = errors.Unavailable("No host is up that could remove the image.")
    for host in up[:_MAX_HOSTS]:
        try:
            tools.agents.discard_image(host, image_id, even_filled=True, timeout_s=_REMOVE_S)
        except errors.NovaLiteError as exc:
            failure = exc
        else:
            return
    raise failure


def remove_if_possible(tools: CellTools, image_id: str, *, at: str | None, is_last_try: bool) -> None:
    """Have an image removed; on the last try, leave one that cannot be to its owner. Raises Unavailable before."""
    try:
        remove(tools, image_id, at=at)
    except errors.NovaLiteError as exc:
        if not is_last_try:
            raise errors.Unavailable(f"The image of a shelved server could not be removed: {exc.message}") from exc
        LOG.warning("Image %s of a shelved server is left where it is: %s %s", image_id, exc, exc.facts)
