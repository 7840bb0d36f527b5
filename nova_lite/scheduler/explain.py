"""What is said of a decision: the document that ``model/explanation.py`` describes, and a sentence for users. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nova_lite.model.explanation import Explanation
from nova_lite.model.host import HostState
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.pipeline import Stage
from nova_lite.scheduler.request import Needs, Restriction, restricting

#: Hosts, and reasons, named per stage and in the ranking.
_MAX_NAMED = 20
#: Characters of what a pre-filter adds that are shown: it may name hundreds of aggregates.
_MAX_ADDED = 255
#: Tells what weighers saw of a host: weigher → value.
Parts = Callable[[HostState, Sought], Mapping[str, float]]


def no_parts(host: HostState, sought: Sought) -> Mapping[str, float]:
    """Return that no weigher saw anything: of a refusal there is no ranking."""
    return {}


@dataclass(slots=True)
class Counted(Stage):
    """A stage of which is known how many hosts it refused for what ``reasons``, but not which hosts these are."""

    reasons: Mapping[str, int] = field(default_factory=dict)


def explanation(
    sought: Sought,
    needs: Needs | None,
    stages: Sequence[Stage] = (),
    ranking: Sequence[tuple[HostState, float]] = (),
    nearest: Sequence[str] = (),
    *,
    parts: Parts = no_parts,
) -> Explanation:
    """Return how a choice came about, or why there was none; small enough to be kept with each instance.

    ``parts`` tells what weighers saw of a host.
    """
    spec = sought.spec
    wanted = {
        "resources": needs.totals if needs else {},
        "required": sorted(needs.required) if needs else [],
        "forbidden": sorted(needs.forbidden) if needs else [],
        "zone": spec.availability_zone,
        "host": spec.wanted_host or spec.wanted_node,
    }
    return {
        "needs": wanted,
        "prefilters": [_prefilter(name, each) for name, each in needs.restrictions.items()] if needs else [],
        "stages": [_stage(stage) for stage in stages],
        "nearest": list(nearest),
        "ranking": [_ranked(host, weight, parts(host, sought)) for host, weight in ranking[:_MAX_NAMED]],
    }


def refusal(stages: Sequence[Stage], *, unseen: int = 0) -> str:
    """Return, for users, why no host that had room was left; which hosts those are is for administrators.

    ``stages`` are those of the filters; ``unseen`` hosts with room are in cells that do not answer.
    """
    entered = (stages[0].entered if stages else 0) + unseen
    parts = [f"{len(stage.refused)} {stage.words}" for stage in stages if stage.refused]
    if unseen:
        parts.append(f"{unseen} cannot be reached now")
    if not parts:
        return "The hosts with room are in no cell that is known and enabled."
    hosts = "1 host" if entered == 1 else f"{entered} hosts"
    return f"Of {hosts} with room: {', '.join(parts)}."


def _prefilter(name: str, added: Restriction) -> dict[str, object]:
    query = {key: str(value)[:_MAX_ADDED] for key, value in restricting([added]).items()}
    return {"name": name, "asks": added.asks or added.words, "adds": query}


def _stage(stage: Stage) -> dict[str, object]:
    counted = stage.reasons if isinstance(stage, Counted) else {}
    reasons = (Counter(stage.refused.values()) + Counter(counted)).most_common(_MAX_NAMED)
    named = dict(list(stage.refused.items())[:_MAX_NAMED])
    return {"name": stage.name, "entered": stage.entered, "left": stage.left, "reasons": dict(reasons), "hosts": named}


def _ranked(host: HostState, weight: float, parts: Mapping[str, float]) -> dict[str, object]:
    return {"host": host.host, "weight": round(weight, 3), "weighed": dict(parts)}
