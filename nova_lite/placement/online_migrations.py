"""Data of the Placement database that a release brings into its new shape while the service runs.

A step takes a database and how many rows it may change at most (0: it only looks), and returns how many rows it found
that need it, and how many it changed: one short transaction, safe to run again and by several at once, and doing
nothing once all is done. It is named after what it does, and stays until no release that needs it is supported.
"""

from collections.abc import Callable, Mapping

from nova_lite.storage import Database

#: Name → step, in the order they run. There has been no release whose data needs any.
STEPS: Mapping[str, Callable[[Database, int], tuple[int, int]]] = {}
