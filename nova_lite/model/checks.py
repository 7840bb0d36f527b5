"""What looking at an installation before an upgrade comes to."""

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How well it is; the worst of all checks is the exit code of a command."""

    SUCCESS = 0
    WARNING = 1
    FAILURE = 2


@dataclass(frozen=True, slots=True)
class Check:
    """What one check came to."""

    name: str
    level: Level
    details: str = ""
