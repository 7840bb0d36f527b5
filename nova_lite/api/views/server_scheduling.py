"""How the search for a server's host looks, and the rehearsal of one."""

from nova_lite.api.services.rehearsals import Rehearsal
from nova_lite.api.services.server_scheduling import Scheduling
from nova_lite.model import explanation
from nova_lite.model.request_spec import Placed, Selection


def one(found: Scheduling) -> dict[str, object]:
    """Return the document of one search."""
    shown = {"state": found.state, "host": found.host, "refusal": found.refusal, "explanation": found.explained}
    return {"scheduling": shown}


def rehearsal(found: Rehearsal, *, with_hosts: bool) -> dict[str, object]:
    """Return the document of a rehearsal: what each server would get, or why there would be none."""
    decision = found.decision
    explained = decision.placed[0].explanation if decision.placed else decision.explanation
    return {
        "dry_run": {
            "would_succeed": found.over_quota is None and decision.refusal is None,
            "quota": {"allowed": found.over_quota is None, "reason": found.over_quota},
            "refusal": decision.refusal,
            "servers": [_place(placed, with_hosts=with_hosts) for placed in decision.placed],
            "explanation": explained if with_hosts or not explained else explanation.without_hosts(explained),
        }
    }


def _place(placed: Placed, *, with_hosts: bool) -> dict[str, object]:
    chosen, *others = placed.selections
    shown: dict[str, object] = {"availability_zone": chosen.availability_zone}
    if with_hosts:
        shown |= _host(chosen) | {"alternates": [_host(each) for each in others]}
    return shown


def _host(selection: Selection) -> dict[str, object]:
    return {"host": selection.host, "hypervisor_hostname": selection.node_name, "cell": selection.cell_id}
