"""Both Placements, started side by side on one MariaDB, each with a database of its own."""

from tests.integration.differential.driver import Pair, Server
from tests.integration.differential.our_placement import OurPlacement
from tests.integration.stack.keystone import side_by_side
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.real_placement import RealPlacement
from tests.integration.stack.site import Site


class Servers:
    """The two servers and the pair that speaks to them."""

    def __init__(self, site: Site, mariadb: MariaDB) -> None:
        self._ours = OurPlacement(site, mariadb)
        self._real = RealPlacement(site, mariadb)
        self.pair = Pair(Server(self._ours.url), Server(self._real.url))

    def start(self) -> None:
        """Start both; MariaDB must be up."""
        side_by_side([self._ours.start, self._real.start])

    def stop(self) -> None:
        """Stop both."""
        self.pair.close()
        side_by_side([self._ours.stop, self._real.stop])
