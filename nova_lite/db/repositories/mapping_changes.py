"""A number in the API database that grows with every change of aggregates and of mappings of hosts and cells.

For schedulers, that remember them. Whoever makes such a change bumps the number in the same transaction, last of all:
the others wait for it.
"""

from nova_lite.db.api_tables import HostChangesRow
from nova_lite.db.repositories import change_numbers

#: Notes that aggregates or mappings change with a transaction.
bump = change_numbers.bumper(HostChangesRow)
#: Returns the number of the API database.
number = change_numbers.reader(HostChangesRow)
