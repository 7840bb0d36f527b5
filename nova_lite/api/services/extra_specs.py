"""Flavors' extra specs."""

from collections.abc import Callable, Mapping

from nova_lite.api.services import known_extra_specs
from nova_lite.api.services.flavors import told
from nova_lite.api.services.notices import Notices
from nova_lite.db.repositories import flavors
from nova_lite.errors import Invalid, NotFound
from nova_lite.model.caller import Caller
from nova_lite.model.flavor import Flavor
from nova_lite.storage import Database, retried

#: Makes of a flavor's extra specs what they are to be.
Change = Callable[[dict[str, str]], dict[str, str]]


class ExtraSpecService:
    """Extra specs of the flavors in the API database."""

    def __init__(self, api_db: Database, notices: Notices) -> None:
        self._api_db = api_db
        self._notices = notices

    def of(self, caller: Caller, flavor_id: str) -> dict[str, str]:
        """Return every extra spec of a flavor that ``caller`` may use."""
        with self._api_db.reader() as session:
            found = flavors.get(session, flavor_id, visible_to=None if caller.is_admin else caller.project_id)
        return found.extra_specs

    def show(self, caller: Caller, flavor_id: str, key: str) -> str:
        """Return one extra spec; raises NotFound."""
        extra_specs = self.of(caller, flavor_id)
        if key not in extra_specs:
            raise _missing(flavor_id, key)
        return extra_specs[key]

    def add(self, caller: Caller, flavor_id: str, added: Mapping[str, str], *, is_checked: bool) -> None:
        """Set extra specs and leave the others; with ``is_checked`` known names and their values are checked first."""
        if is_checked:
            for name, value in added.items():
                known_extra_specs.check(name, value)
        self._change(caller, flavor_id, lambda before: {**before, **added})

    def delete(self, caller: Caller, flavor_id: str, key: str) -> None:
        """Remove one extra spec; raises NotFound when there is none."""

        def without(before: dict[str, str]) -> dict[str, str]:
            if key not in before:
                raise _missing(flavor_id, key)
            return {name: value for name, value in before.items() if name != key}

        self._change(caller, flavor_id, without)

    def _change(self, caller: Caller, flavor_id: str, change: Change) -> None:
        self._write(flavor_id, change)
        self._notices.flavor(caller, "update", lambda: told(self._api_db, flavor_id))

    @retried
    def _write(self, flavor_id: str, change: Change) -> None:
        with self._api_db.writer() as session:
            flavors.change_extra_specs(session, flavor_id, change)


def refuse_aliases(flavor: Flavor) -> None:
    """Raise Invalid for a flavor that asks for PCI devices by alias: none is defined, devices are classes here."""
    aliases = flavor.extra_specs.get("pci_passthrough:alias")
    if aliases:
        name = aliases.partition(":")[0]
        raise Invalid(f"PCI alias {name[:64]} is not defined: ask for devices by resources:CLASS in the flavor.")


def _missing(flavor_id: str, key: str) -> NotFound:
    return NotFound(f"Flavor {flavor_id} has no extra specs with key {key[:255]}.")
