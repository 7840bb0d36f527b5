"""What a new embedded cloud begins with: flavors that small machines can carry, and an image."""

from pathlib import Path

from nova_lite.db.repositories import flavors
from nova_lite.db.repositories.flavors import FlavorQuery
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.embedded.settings import CloudSettings, Driver
from nova_lite.model.flavor import Flavor
from nova_lite.storage import Database

FLAVORS = (
    Flavor(flavor_id="1", name="m1.nano", vcpus=1, ram_mib=96, root_gib=1),
    Flavor(flavor_id="2", name="m1.tiny", vcpus=1, ram_mib=128, root_gib=1),
    Flavor(flavor_id="3", name="m1.small", vcpus=1, ram_mib=256, root_gib=2),
    Flavor(flavor_id="4", name="m1.medium", vcpus=2, ram_mib=512, root_gib=4),
    Flavor(flavor_id="5", name="m1.large", vcpus=4, ram_mib=2048, root_gib=8),
)
#: The image that imitated guests say they boot from: a disk of zeros.
EMPTY_IMAGE = "tiny"
_EMPTY_BYTES = 1 << 20


def add_flavors(api_db: Database) -> None:
    """Add the flavors, unless there are any."""
    with api_db.writer() as session:
        if flavors.page(session, FlavorQuery(project_id="", is_public=None, with_disabled=True), limit=1):
            return
        for flavor in FLAVORS:
            flavors.add(session, flavor)


def add_images(settings: CloudSettings, driver: Driver, directory: ImageDirectory) -> None:
    """Add the images asked for; where guests are imitated and there are none, an empty one."""
    for name, file in settings.images.items():
        directory.add(file, name)
    if driver == "fake" and not directory.images():
        _write_zeros(settings.image_dir / f"{EMPTY_IMAGE}.raw")


def _write_zeros(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(_EMPTY_BYTES)
