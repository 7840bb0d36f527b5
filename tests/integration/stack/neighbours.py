"""The servers of other projects that a deployment needs, side by side in one place."""

import contextlib
from functools import cached_property

from tests.integration.stack.ceph import Ceph
from tests.integration.stack.cinder import Cinder
from tests.integration.stack.glance import Glance
from tests.integration.stack.keystone import Keystone, side_by_side
from tests.integration.stack.libvirt import Libvirt
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.postgresql import PostgreSQL
from tests.integration.stack.rabbitmq import RabbitMQ
from tests.integration.stack.site import Site


class Neighbours:
    """Each is made when first named and started only when told to."""

    def __init__(self, site: Site) -> None:
        self.site = site

    @cached_property
    def rabbitmq(self) -> RabbitMQ:
        return RabbitMQ(self.site)

    @cached_property
    def mariadb(self) -> MariaDB:
        return MariaDB(self.site)

    @cached_property
    def postgresql(self) -> PostgreSQL:
        return PostgreSQL(self.site)

    @cached_property
    def keystone(self) -> Keystone:
        return Keystone(self.site, self.mariadb)

    @cached_property
    def glance(self) -> Glance:
        return Glance(self.site, self.mariadb, self.keystone)

    @cached_property
    def ceph(self) -> Ceph:
        return Ceph(self.site)

    @cached_property
    def cinder(self) -> Cinder:
        return Cinder(self.site, self.mariadb, self.rabbitmq, self.keystone, self.glance, self.ceph)

    @cached_property
    def libvirt(self) -> Libvirt:
        return Libvirt(self.site)

    def start(self) -> None:
        """Start all that a deployment needs, beside each other where they do not wait for each other."""

        def identity_and_images() -> None:
            self.mariadb.start()
            side_by_side([self.keystone.start, self.glance.prepare])
            self.glance.start()

        side_by_side([self.rabbitmq.start, identity_and_images, self.libvirt.start])

    def stop(self) -> None:
        """Stop whatever runs, users before what they use; one that fails to stop does not keep the others running."""
        with contextlib.ExitStack() as last_first:
            last_first.callback(
                side_by_side, [self.rabbitmq.stop, self.mariadb.stop, self.postgresql.stop, self.ceph.stop]
            )
            last_first.callback(side_by_side, [self.glance.stop, self.keystone.stop])
            last_first.callback(self.cinder.stop)
            last_first.callback(self.libvirt.stop)
