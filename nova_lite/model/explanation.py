"""How the scheduler came to a decision, as it is kept with each server and shown to whoever asks.

It is JSON::

    {"needs": {"resources": {class: amount}, "required": [trait], "forbidden": [trait], "zone": …, "host": …},
     "prefilters": [{"name": …, "asks": what in words, "adds": {parameter of the question to Placement: value}}],
     "stages": [{"name": …, "entered": hosts, "left": hosts, "reasons": {reason: hosts}, "hosts": {host: reason}}],
     "nearest": ["3 hosts lack 512 MiB of memory"],
     "ranking": [{"host": …, "weight": …, "weighed": {weigher: value}}],
     "failed": [{"host": …, "reason": …}]}

``prefilters`` are those that added something to the question. The first stage is Placement, the others are the
scheduler's filters in their order. ``nearest`` is there when Placement offered nothing, ``ranking`` (the winner first)
when something was found. Of hosts and reasons only so many are named.
``failed`` is there when builds failed: on which hosts and why, in the order they were tried.
"""

from collections.abc import Mapping
from typing import Any

Explanation = dict[str, Any]

#: The stage whose reasons are amounts and traits alone.
_IN_AMOUNTS = "Placement"


def text(explained: Mapping[str, Any]) -> str:
    """Return an explanation in lines, for administrators; empty when there is none.

    Left out are filters that refused nobody.
    """
    lines = [asked(each) for each in explained.get("prefilters", ())]
    for stage in explained.get("stages", ()):
        if stage["name"] != _IN_AMOUNTS and stage["entered"] == stage["left"]:
            # It refused nobody, or nobody came to it.
            continue
        hosts = "1 host" if stage["entered"] == 1 else f"{stage['entered']} hosts"
        lines.append(f"{stage['name']}: {hosts} entered, {stage['left']} left")
        lines += [f"  {count}: {reason}" for reason, count in stage["reasons"].items()]
    lines += [f"Nearest: {each}" for each in explained.get("nearest", ())]
    lines += [f"Tried {each['host']}: {each['reason']}" for each in explained.get("failed", ())]
    return "\n".join(lines)


def asked(prefilter: Mapping[str, Any]) -> str:
    """Return in a line what a pre-filter asked of hosts."""
    return f"Asked of hosts: {prefilter['asks']} ({prefilter['name']})"


def without_hosts(explained: Mapping[str, Any]) -> Explanation:
    """Return what of an explanation users may see: how many hosts, and why, but not which.

    What a filter says of a host may name another one, its address, or what operators noted; its own name says enough.
    """
    stages = [
        {
            **{name: value for name, value in stage.items() if name != "hosts"},
            "reasons": stage["reasons"] if stage["name"] == _IN_AMOUNTS else {},
        }
        for stage in explained.get("stages", ())
    ]
    shown = {**explained, "stages": stages, "ranking": []}
    if "prefilters" in explained:
        shown["prefilters"] = [{"name": each["name"], "asks": each["asks"]} for each in explained["prefilters"]]
    if "failed" in explained:
        shown["failed"] = [{"reason": each["reason"]} for each in explained["failed"]]
    return shown
