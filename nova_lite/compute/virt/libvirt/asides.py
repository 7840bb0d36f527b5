"""Guests that were set aside: their directories, renamed, each with the definition its domain had.

No domain is left of such a guest, so nothing can start it. The name of the directory tells whose it is, for hosts may
share where their instances are. A directory with a definition in it and no domain is on its way aside, or back.
"""

import contextlib
import shutil
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path

from nova_lite import errors
from nova_lite.compute.virt.libvirt import moved_disks

#: How the definition of a guest is kept that has no domain.
_DEFINITION = "domain.xml"


class Asides:
    """The directories of guests that one host has set aside."""

    def __init__(self, instances_path: Path, hostname: str) -> None:
        self._instances_path = instances_path
        self._mark = f".aside-{hostname}"

    def path(self, uuid: str) -> Path:
        """Return where the guest is when it is set aside."""
        return self._instances_path / f"{uuids.UUID(uuid)}{self._mark}"

    def link_image(self, uuid: str) -> None:
        """Put a link to the image below the guest's root disk beside it, for hosts that have the image from here."""
        disk = self._home(uuid) / moved_disks.ROOT
        link = disk.with_name(moved_disks.BASE)
        with _files():
            image = moved_disks.image_below(disk) if disk.is_file() else None
            if image is not None and not link.is_symlink():
                with contextlib.suppress(FileExistsError):
                    link.symlink_to(image)

    def all(self) -> list[str]:
        """Return the guests that are set aside."""
        found = (path.name.removesuffix(self._mark) for path in self._instances_path.glob(f"*{self._mark}"))
        return sorted(found)

    def keep_definition(self, uuid: str, xml: str) -> None:
        """Write the definition down, for it is to go from libvirt."""
        path = self._home(uuid) / _DEFINITION
        draft = path.with_suffix(".tmp")
        with _files():
            draft.write_text(xml, encoding="utf-8")
            draft.replace(path)

    def has_definition(self, uuid: str) -> bool:
        """Return whether the guest's directory is in its place and its definition in it."""
        return (self._home(uuid) / _DEFINITION).is_file()

    def is_aside(self, uuid: str) -> bool:
        """Return whether the guest is set aside."""
        return self.path(uuid).is_dir()

    def put(self, uuid: str) -> None:
        """Rename the guest's directory; what an earlier move left there goes."""
        self.drop(uuid)
        with _files():
            self._home(uuid).rename(self.path(uuid))

    def fetch(self, uuid: str) -> str:
        """Have the guest's directory in its place again; return its definition."""
        with _files():
            if not self.has_definition(uuid):
                self.path(uuid).rename(self._home(uuid))
            return (self._home(uuid) / _DEFINITION).read_text(encoding="utf-8")

    def definition(self, uuid: str) -> str | None:
        """Return the definition of a guest that is set aside; None when it is not."""
        try:
            return (self.path(uuid) / _DEFINITION).read_text(encoding="utf-8")
        except OSError:
            return None

    def forget_definition(self, uuid: str) -> None:
        """Remove the definition that libvirt has again."""
        (self._home(uuid) / _DEFINITION).unlink(missing_ok=True)

    def drop(self, uuid: str) -> None:
        """Remove the guest that was set aside, if it was."""
        with _files(), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path(uuid))

    def _home(self, uuid: str) -> Path:
        return self._instances_path / str(uuids.UUID(uuid))


@contextlib.contextmanager
def _files() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.Unavailable("The host cannot set the instance's files aside", cause=str(error)) from error
