"""The installation a command works on: its configuration, and the databases and bus that it names."""

import contextlib
import logging
from collections.abc import Iterator

from keystoneauth1 import exceptions as ks_errors
from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import registry as compute_policies
from nova_lite.cells import templates
from nova_lite.cells.registry import Cells
from nova_lite.cells.templates import LocalUrls
from nova_lite.clients import volumes
from nova_lite.clients.placement import PlacementClient
from nova_lite.cmd.output import masked_connection, one_line
from nova_lite.placement import policies
from nova_lite.rpc import transport_url as transport_urls
from nova_lite.storage import Database
from nova_lite.web.policy import RulePolicy


class Installation:
    """What the configuration says, with readable complaints where it says nothing."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    def connection(self, group: str) -> str:
        """Return the database URL in ``[group] connection``; raises Misconfigured when it is not set."""
        connection: str | None = self._conf[group].connection
        if not connection:
            raise errors.Misconfigured(
                f"The option connection in [{group}] is not set; is this the right configuration? (--config-file FILE)"
            )
        return connection

    def has(self, group: str) -> bool:
        """Return whether ``[group] connection`` is set."""
        return bool(self._conf[group].connection)

    @property
    def transport_url(self) -> str | None:
        """Return ``[DEFAULT] transport_url``, or None when it is not set."""
        return transport_urls.local(self._conf)

    @property
    def local_urls(self) -> LocalUrls:
        """Return what the holes of cell mappings are filled from here."""
        return templates.local_urls(self._conf)

    @contextlib.contextmanager
    def api_db(self) -> Iterator[Database]:
        """Yield the API database."""
        with opened("API database", self.connection("api_database")) as database:
            yield database

    @property
    def configuration(self) -> cfg.ConfigOpts:
        """Return all that the configuration says."""
        return self._conf

    @contextlib.contextmanager
    def cells(self, api_db: Database) -> Iterator[Cells]:
        """Yield every cell, with its database and its message bus."""
        with contextlib.closing(Cells(self._conf, api_db)) as cells:
            yield cells

    def placement_policy(self) -> RulePolicy:
        """Return the policy of the Placement API; raises Misconfigured for a policy file that cannot be read."""
        return RulePolicy(self._conf, (*policies.BLOCKS, *policies.RULES))

    def compute_policy(self) -> RulePolicy:
        """Return the policy of the Compute API; raises Misconfigured for a policy file that cannot be read."""
        return RulePolicy(self._conf, compute_policies.rules())

    @property
    def service_down_time_s(self) -> int:
        """Return the seconds without heartbeat after which a service is down."""
        return int(self._conf.service_down_time)

    @property
    def has_cinder(self) -> bool:
        """Return whether ``[cinder]`` is configured."""
        return volumes.is_configured(self._conf)

    def volumes(self) -> volumes.Volumes | None:
        """Return a client of the block storage service; None where ``[cinder]`` is not configured."""
        return volumes.Volumes(self._conf) if self.has_cinder else None

    def cinder_version(self) -> tuple[int, int]:
        """Return the newest microversion of the block storage service; raises as ``volumes.newest_version``."""
        return volumes.newest_version(self._conf)

    @property
    def has_service_user(self) -> bool:
        """Return whether ``[service_user]`` is configured."""
        return bool(self._conf.service_user.auth_type or self._conf.service_user.auth_section)

    @property
    def has_placement(self) -> bool:
        """Return whether ``[placement]`` is configured."""
        placement = self._conf.placement
        return bool(placement.auth_type or placement.auth_section or placement.noauth_token)

    def placement(self) -> PlacementClient:
        """Return a client of the Placement API that ``[placement]`` describes."""
        # That it tries again is nothing operators need to read; that it failed is told once.
        logging.getLogger("keystoneauth").setLevel(logging.ERROR)
        try:
            return PlacementClient(self._conf)
        except ks_errors.ClientException as exc:
            raise errors.Misconfigured(f"The credentials in [placement] cannot be used: {exc}") from exc


@contextlib.contextmanager
def opened(title: str, connection: str) -> Iterator[Database]:
    """Yield a database that is called ``title`` when it does not answer."""
    try:
        database = Database(connection)
    except errors.Misconfigured as exc:
        raise errors.Misconfigured(f"The {title} cannot be used: {exc.message}") from exc
    try:
        yield database
    except errors.Unavailable as exc:
        if exc.facts.get("is_named") or _answers(database):
            raise
        cause = exc.facts.get("cause")
        said = f": {one_line(cause)}" if cause else f"; {exc.message}"
        raise errors.Unavailable(
            f"The {title} at {masked_connection(connection)} does not answer{said}", is_named=True
        ) from exc
    finally:
        database.close()


def _answers(database: Database) -> bool:
    """Return whether it is not this database that did not answer."""
    try:
        database.ping()
    except errors.Unavailable:
        return False
    return True
