"""Volume types of the embedded block storage service, and what their extra specs mean here: multi-attach or not."""

import uuid
from collections.abc import Mapping
from dataclasses import replace

from nova_lite import errors
from nova_lite.embedded.volume_records import Records, StoredType, StoredVolume

#: The type of volumes for which none is asked.
DEFAULT_TYPE = "__DEFAULT__"
_MULTIATTACH = "multiattach"
_YES = "<is> True"


class VolumeTypes:
    """The types there are; the default one is made at the first look."""

    def __init__(self, records: Records) -> None:
        self._records = records
        with records.changing():
            if not records.all(StoredType):
                records.put(StoredType(str(uuid.uuid4()), DEFAULT_TYPE, "Default Volume Type"))

    def all(self) -> list[StoredType]:
        """Return every type, newest first."""
        return self._records.all(StoredType)[::-1]

    def default(self) -> StoredType:
        """Return the type of volumes for which none is asked."""
        return self.named(DEFAULT_TYPE)

    def type(self, type_id: str) -> StoredType:
        """Return a type by its id; raises NotFound."""
        found = self._records.get(StoredType, type_id)
        if found is None:
            raise errors.NotFound(f"Volume type {type_id[:64]} could not be found.")
        return found

    def named(self, name: str) -> StoredType:
        """Return a type by its name or id; raises NotFound."""
        found = next((one for one in self.all() if name in (one.id, one.name)), None)
        if found is None:
            raise errors.NotFound(f"Volume type with name {name[:64]} could not be found.")
        return found

    def is_multiattach(self, type_id: str) -> bool:
        """Return whether volumes of a type may be attached to several servers."""
        found = self._records.get(StoredType, type_id)
        return found is not None and found.extra_specs.get(_MULTIATTACH) == _YES

    def create(
        self, name: str, description: str | None, *, is_public: bool, extra_specs: Mapping[str, str]
    ) -> StoredType:
        """Make a type; raises Conflict for a name that is taken."""
        with self._records.changing():
            self._check_name(name)
            return self._records.put(StoredType(str(uuid.uuid4()), name, description, is_public, dict(extra_specs)))

    def change(self, type_id: str, **values: object) -> StoredType:
        """Change a type's ``name``, ``description`` or ``is_public``; raises NotFound, Conflict."""
        with self._records.changing():
            found = self.type(type_id)
            if values.get("name", found.name) != found.name:
                self._check_name(str(values["name"]))
            return self._records.put(replace(found, **values))  # type: ignore[arg-type]

    def set_specs(self, type_id: str, more: Mapping[str, str], less: str | None = None) -> StoredType:
        """Add extra specs, or take one away; raises NotFound."""
        with self._records.changing():
            found = self.type(type_id)
            specs = {**found.extra_specs, **more}
            if less is not None and specs.pop(less, None) is None:
                raise errors.NotFound(f"Volume Type {type_id} has no extra specs with key {less[:64]}.")
            return self._records.put(replace(found, extra_specs=specs))

    def delete(self, type_id: str) -> None:
        """Remove a type; raises NotFound, Invalid for one that volumes are of or that is the default."""
        with self._records.changing():
            found = self.type(type_id)
            if found.name == DEFAULT_TYPE:
                raise errors.Invalid(f"The volume type {type_id} is a default volume type and cannot be deleted.")
            if any(volume.type_id == type_id for volume in self._records.all(StoredVolume)):
                raise errors.Invalid("Target volume type is still in use.")
            self._records.remove(StoredType, type_id)

    def _check_name(self, name: str) -> None:
        if any(one.name == name for one in self.all()):
            raise errors.Conflict(f"Volume Type {name} already exists.")
