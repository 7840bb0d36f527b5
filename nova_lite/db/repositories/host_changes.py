"""A number in each cell's database that grows with every change of what schedulers remember of hosts.

It counts changes of services and hypervisors, but for heartbeats: agents that come, come back or change, disabled and
enabled ones, failed builds. Whoever makes such a change bumps the number in the same transaction, last of all: the
others wait for it.
"""

from nova_lite.db.cell_tables import HostChangesRow
from nova_lite.db.repositories import change_numbers

#: Notes in a cell's database that something about its hosts changes with a transaction.
bump = change_numbers.bumper(HostChangesRow)
#: Returns the number of a cell's database.
number = change_numbers.reader(HostChangesRow)
