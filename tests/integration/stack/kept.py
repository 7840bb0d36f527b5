"""What neighbours make of their empty databases, kept between runs: making it takes each of them seconds of work."""

import hashlib
import os
from collections.abc import Sequence

from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.venv import cache_folder

#: What stands for a word of this deployment in what is kept.
_BLANK = b"@nova-lite-deployment@"


class Kept:
    """A database as somebody leaves it who makes it, by the releases and whatever else that depends on.

    ``word`` is something of this deployment that stands in the database; another one puts its own in its place.
    """

    def __init__(self, mariadb: MariaDB, name: str, depends_on: Sequence[str], word: str = "") -> None:
        self._mariadb = mariadb
        self._word = word.encode() or _BLANK
        digest = hashlib.sha256("\0".join(depends_on).encode()).hexdigest()[:16]
        self._name = name
        self._path = cache_folder() / "databases" / f"{name}.{digest}.sql"

    def load(self, database: str) -> bool:
        """Fill a database that is empty; False where nothing is kept, and it stays empty."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return False
        self._mariadb.execute(text.replace(_BLANK, self._word), database)
        return True

    def save(self, database: str) -> None:
        """Keep what a database holds now, instead of what was kept by this name before."""
        text = self._mariadb.dump(database).replace(self._word, _BLANK)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for old in self._path.parent.glob(f"{self._name}.*.sql"):
            old.unlink(missing_ok=True)
        new = self._path.with_suffix(f".{os.getpid()}")
        new.write_bytes(text)
        new.rename(self._path)
