"""How a server's volumes look."""

from collections.abc import Sequence

import falcon

from nova_lite.api.services.volume_attachments import Held
from nova_lite.api.views.fields import Field, View

_COMMON = (
    Field[Held]("id", lambda held: held.device.volume_id, until="2.88"),
    Field[Held]("volumeId", lambda held: held.device.volume_id),
    Field[Held]("serverId", lambda held: held.server_id),
    Field[Held]("device", lambda held: held.device.device_name),
    Field[Held]("tag", lambda held: held.device.tag, since="2.70"),
    Field[Held]("delete_on_termination", lambda held: held.device.delete_on_termination, since="2.79"),
)
_ATTACHMENT = View(
    *_COMMON,
    Field("attachment_id", lambda held: held.device.attachment_id, since="2.89"),
    Field("bdm_uuid", lambda held: held.device.uuid, since="2.89"),
)
#: What is just being attached: its answer stayed as it was in 2.88, until 2.101 took it away.
_NEW = View(Field[Held]("id", lambda held: held.device.volume_id, since="2.89"), *_COMMON)


def many(req: falcon.Request, found: Sequence[Held]) -> dict[str, object]:
    """Return the document of a server's volumes."""
    return {"volumeAttachments": [_ATTACHMENT.render(held, req.context.version) for held in found]}


def one(req: falcon.Request, held: Held) -> dict[str, object]:
    """Return the document of one volume of a server."""
    return {"volumeAttachment": _ATTACHMENT.render(held, req.context.version)}


def begun(req: falcon.Request, held: Held) -> dict[str, object]:
    """Return the document of a volume that is being attached."""
    return {"volumeAttachment": _NEW.render(held, req.context.version)}
