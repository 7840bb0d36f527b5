"""Every version of the Placement API spoken here, one line each."""

from nova_lite.web.versions import Negotiation, Version

MICROVERSIONS: dict[str, str] = {
    "1.0": "Resource providers, inventories, usages and allocations.",
    "1.1": "Aggregates of a resource provider.",
    "1.2": "Custom resource classes.",
    "1.3": "List providers by aggregate: member_of.",
    "1.4": "List providers by what they can take: resources.",
    "1.5": "Remove all inventories of a provider at once.",
    "1.6": "Traits.",
    "1.7": "PUT of a resource class creates it or finds it.",
    "1.8": "Allocations say their project and user.",
    "1.9": "Usages of a project or user.",
    "1.10": "Allocation candidates.",
    "1.11": "Links to allocations, aggregates and traits in a provider.",
    "1.12": "Allocations are written in the shape they are read in.",
    "1.13": "Allocations of several consumers in one request.",
    "1.14": "Trees of providers.",
    "1.15": "Last-Modified and Cache-Control.",
    "1.16": "Limit of allocation candidates.",
    "1.17": "Required traits of candidates; traits in their summaries.",
    "1.18": "Required traits of listed providers.",
    "1.19": "Aggregates are written under a provider generation.",
    "1.20": "A created provider is answered whole.",
    "1.21": "Candidates by aggregate: member_of.",
    "1.22": "Forbidden traits.",
    "1.23": "Errors carry a code.",
    "1.24": "member_of may be repeated.",
    "1.25": "Numbered request groups, group_policy.",
    "1.26": "An inventory may be reserved as a whole.",
    "1.27": "Summaries show every resource class.",
    "1.28": "Consumer generations.",
    "1.29": "Candidates may span a tree.",
    "1.30": "Reshaper: inventories and allocations moved at once.",
    "1.31": "in_tree on candidates.",
    "1.32": "Forbidden aggregates.",
    "1.33": "Request groups are named by strings.",
    "1.34": "Candidates tell which provider serves which group.",
    "1.35": "Traits of the root: root_required.",
    "1.36": "same_subtree, and groups without resources.",
    "1.37": "Providers may move to another parent, or to none.",
    "1.38": "Consumers have a type.",
    "1.39": "One of several traits: required=in:, and required repeated.",
}

_versions = sorted(Version.parse(version) for version in MICROVERSIONS)

NEGOTIATION = Negotiation(service="placement", minimum=_versions[0], maximum=_versions[-1], loose=True)
