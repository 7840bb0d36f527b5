"""How limits look."""

import falcon

from nova_lite.api.services.quotas import Limits
from nova_lite.api.views.fields import Field, View

_ABSOLUTE = View[Limits](
    Field("maxTotalInstances", lambda found: found.limits["instances"]),
    Field("maxTotalCores", lambda found: found.limits["cores"]),
    Field("maxTotalRAMSize", lambda found: found.limits["ram"]),
    Field("maxTotalKeypairs", lambda found: found.limits["key_pairs"]),
    Field("maxServerMeta", lambda found: found.limits["metadata_items"]),
    Field("maxImageMeta", lambda found: found.limits["metadata_items"], until="2.38"),
    Field("maxServerGroups", lambda found: found.limits["server_groups"]),
    Field("maxServerGroupMembers", lambda found: found.limits["server_group_members"]),
    Field("maxPersonality", lambda found: found.limits["injected_files"], until="2.56"),
    Field("maxPersonalitySize", lambda found: found.limits["injected_file_content_bytes"], until="2.56"),
    # The network service limits these.
    Field("maxTotalFloatingIps", lambda found: found.limits["floating_ips"], until="2.35"),
    Field("maxSecurityGroups", lambda found: found.limits["security_groups"], until="2.35"),
    Field("maxSecurityGroupRules", lambda found: found.limits["security_group_rules"], until="2.35"),
    Field("totalFloatingIpsUsed", lambda found: 0, until="2.35"),
    Field("totalSecurityGroupsUsed", lambda found: 0, until="2.35"),
    Field("totalInstancesUsed", lambda found: found.used["instances"]),
    Field("totalCoresUsed", lambda found: found.used["cores"]),
    Field("totalRAMUsed", lambda found: found.used["ram"]),
    Field("totalServerGroupsUsed", lambda found: found.used["server_groups"]),
)


def one(req: falcon.Request, found: Limits) -> dict[str, object]:
    """Return the document of a project's limits; requests are never limited by rate here."""
    return {"limits": {"rate": [], "absolute": _ABSOLUTE.render(found, req.context.version)}}
