"""The steps of long work by name, for those who look on without doing it: kind → road.

The API tells how far work is and does not import the conductor, which does it: so its steps are named here once more,
and ``InCell`` says what is known nowhere else. ``tests/unit/test_house_rules.py`` fails when a road is not the
conductor's. A road is told in the order of its steps.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InCell:
    """Where work above the cells has its part in a cell done, of ``kind``."""

    kind: str


#: Steps by name; a tuple is the detour of the step before it.
Road = tuple["str | tuple[str, ...] | InCell", ...]

#: Work that the super conductor does, or leads.
ABOVE: Mapping[str, Road] = {
    "schedule": ("choose hosts", "create in cells", "point mappings", "start builds", InCell("create")),
    "delete": ("delete in cell", InCell("delete"), "free leftovers"),
    "delete-softly": ("delete in cell", InCell("delete-softly")),
    "restore": ("restore in cell", InCell("restore"), "await cell", "account"),
    "mirror-aggregates": ("tell placement",),
    "forget-host": ("remove providers",),
    "cache-images": ("fetch images",),
    "free-volumes": ("free volumes",),
    "move": ("begin in cell", "choose host", "hand to cell", InCell("move"), "account"),
    "live-migrate": ("begin in cell", "choose host", "hand to cell", InCell("live-migrate"), "account"),
    "confirm-resize": ("begin in cell", InCell("confirm-resize"), "account"),
    "revert-resize": ("begin in cell", InCell("revert-resize"), "account"),
    "evacuate": ("begin in cell", "choose host", "hand to cell", InCell("evacuate"), "account"),
    "rebuild": ("begin in cell", "check host", "hand to cell", InCell("rebuild"), "note image"),
    "reimage": ("begin in cell", "check host", "hand to cell", InCell("reimage"), "note image"),
    "reset-state": ("end other work", "set state"),
    "shelve": ("begin in cell", InCell("shelve"), "account"),
    "shelve-offload": ("begin in cell", InCell("shelve-offload"), "account"),
    "unshelve": ("begin in cell", "choose host", "hand to cell", InCell("unshelve"), "account"),
}
#: Work that the conductor of a cell does.
IN_CELL: Mapping[str, Road] = {
    "create": (
        "await volumes",
        "spawn guest",
        ("note failure", "clear host", "claim next host", "move to next host"),
        "mark active",
    ),
    "delete": ("destroy guest", "free claim", "mark deleted"),
    "delete-softly": ("turn off", "mark soft-deleted"),
    "restore": ("turn on", "mark restored"),
    "mirror-status": ("tell placement",),
    "evacuate": (
        "hold claim",
        "fetch image",
        "leave host",
        "silence old host",
        "start guest",
        "keep disks",
        "settle",
    ),
    "complete-evacuation": ("free old claim", "complete"),
    "rebuild": ("fetch image", "change server", "remake guest", "mark rebuilt"),
    "reimage": (
        *("reserve volume", "change server", "remove guest", "ask for image", "await image", "begin remaking"),
        *("remake guest", "mark rebuilt"),
    ),
    "start": ("power on", "mark done"),
    "stop": ("power off", "mark done"),
    "reboot": ("reboot", "mark done"),
    "reboot-hard": ("reboot", "mark done"),
    "pause": ("pause", "mark done"),
    "unpause": ("unpause", "mark done"),
    "suspend": ("suspend", "mark done"),
    "resume": ("resume", "mark done"),
    "snapshot": ("take snapshot", "mark done"),
    "backup": ("take snapshot", "rotate", "mark done"),
    "undo-volume-image": ("thaw guest", "remove snapshots", "remove image", "end action"),
    "thaw-guest": ("await snapshots", "thaw guest"),
    "move": (
        "hold claim",
        "ask hosts",
        ("note refusal", "claim next host", "turn to next host"),
        "begin migrating",
        "set guest aside",
        "hand over",
        "begin finishing",
        "start guest",
        "await confirmation",
    ),
    "live-migrate": (
        "hold claim",
        "check hosts",
        ("note refusal", "claim next host", "turn to next host"),
        "queue",
        "take turn",
        "prepare destination",
        "begin running",
        "send guest",
        "follow guest",
        "settle",
        "finish at destination",
        "clear source",
        "settle claim",
        "end",
    ),
    "confirm-resize": ("drop leftovers", "free old claim", "confirm"),
    "revert-resize": (
        *("ask old host", "turn back", "remove guest", "bring guest back", "give claim back"),
        "revert",
    ),
    "rescue": ("boot rescue disk", "mark rescued"),
    "unrescue": ("boot own disk", "mark done"),
    "shelve": (
        *("hold image", "turn off", "begin copying", "take snapshot", "mark shelved", "remove stale image"),
        *("destroy guest", "free claim", "mark offloaded"),
    ),
    "shelve-offload": ("destroy guest", "free claim", "mark offloaded"),
    "unshelve": (
        "spawn guest",
        ("note failure", "clear host", "claim next host", "move to next host"),
        "remove image",
        "mark active",
    ),
    "attach-volume": ("plug in", "complete attachment", "mark attached"),
    "detach-volume": ("unplug", "remove attachment", "forget volume"),
    "extend-volume": ("extend disk", "note size"),
    "swap-volume": (
        *("hold attachment", "swap disk", "note swap"),
        *("complete attachment", "remove old attachment", "complete migration", "take over"),
    ),
    "unshelve-here": ("power on", "remove image", "mark active"),
}


def names(road: Road) -> list[str]:
    """Return the steps of a road without detours and without what is done elsewhere."""
    return [each for each in road if isinstance(each, str)]


def stops(road: Road) -> Iterator[tuple[str, int]]:
    """Yield every stop as a workflow's ``step`` counts them, with how many steps of the main road are behind it."""
    behind = 0
    for each in road:
        if isinstance(each, str):
            yield each, behind
            behind += 1
        elif isinstance(each, tuple):
            for aside in each:
                yield aside, behind - 1
