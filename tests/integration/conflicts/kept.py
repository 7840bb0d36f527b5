"""What both clouds keep: volumes, and databases that are put back; what errors say. The real Nova reads it, too."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.integration.answers import cloud
from tests.integration.conflicts import asked

#: Volume → its status and the servers that have it.
VOLUMES: dict[str, tuple[str, tuple[str, ...]]] = {
    asked.DATA: ("in-use", (asked.IMAGE,)),
    asked.ROOT: ("in-use", (asked.VOLUME,)),
    asked.FREE: ("available", ()),
}
ATTACHMENTS = {asked.DATA: asked.DATA_ATTACHMENT, asked.ROOT: cloud.ATTACHMENT}


class Files:
    """SQLite databases as they are now, to be put back."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._kept: list[tuple[Path, sqlite3.Connection]] = []
        for file in files:
            kept = sqlite3.connect(":memory:")
            with closing(sqlite3.connect(file)) as connection:
                connection.backup(kept)
            self._kept.append((file, kept))

    def restore(self) -> None:
        """Put them back, below whoever has them open."""
        for file, kept in self._kept:
            with closing(sqlite3.connect(file)) as connection:
                kept.backup(connection)


def message(body: Any) -> str:
    """Return what an error says; "" for what is none."""
    if isinstance(body, dict) and len(body) == 1:
        [fault] = body.values()
        if isinstance(fault, dict) and "message" in fault:
            return str(fault["message"])
    return ""
