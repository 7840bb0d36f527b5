"""What is asked of the scheduler for a server that is there already: what was asked when it was made, as it is now."""

from collections.abc import Mapping
from dataclasses import replace

from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import RequestSpec


def again(
    instance: Instance,
    asked: RequestSpec | None,
    *,
    cell_uuid: str,
    group: str | None,
    flavor: Flavor,
    host: str | None = None,
    not_on: tuple[str, ...] = (),
) -> RequestSpec:
    """Return the request for a place of ``instance`` in its cell, on ``host`` if that is wanted: pure.

    ``asked`` is what was asked when it was made, None when that is not known any more. The host it had to be on then
    binds nobody now.
    """
    return replace(
        asked or _like(instance),
        flavor=flavor,
        wanted_host=host,
        wanted_node=None,
        skips_filters=False,
        group=group,
        within_cell=cell_uuid,
        not_on=not_on,
        boots_from_volume=instance.boots_from_volume,
        shares_volumes=instance.shares_volumes,
    )


def unshelved(
    instance: Instance,
    asked: RequestSpec | None,
    pin: Mapping[str, str | None] | None,
    *,
    cell_uuid: str,
    group: str | None,
    host: str | None,
) -> RequestSpec:
    """Return the request for a new place of a shelved server; ``pin`` names the ``zone`` it is to be in from now on."""
    spec = again(instance, asked, cell_uuid=cell_uuid, group=group, flavor=instance.flavor, host=host)
    return spec if pin is None else replace(spec, availability_zone=pin["zone"])


def _like(instance: Instance) -> RequestSpec:
    return RequestSpec(
        project_id=instance.project_id,
        user_id=instance.user_id,
        flavor=instance.flavor,
        image_id=instance.image_id,
        image_properties=instance.image_properties,
        availability_zone=instance.requested_zone,
    )
