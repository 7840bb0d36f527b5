"""The Placement application and its whole URL table."""

from typing import Any

import falcon
from oslo_config import cfg

from nova_lite.placement import faults, policies
from nova_lite.placement.handlers import (
    aggregates,
    allocation_candidates,
    allocations,
    inventories,
    reshaper,
    resource_classes,
    resource_providers,
    root,
    traits,
    usages,
)
from nova_lite.placement.handlers.allocation_candidates import Generation
from nova_lite.placement.meters import Meters
from nova_lite.placement.microversions import NEGOTIATION
from nova_lite.placement.reader import Reader
from nova_lite.placement.repositories import sync
from nova_lite.placement.services.allocations import AllocationService
from nova_lite.placement.services.names import NameService
from nova_lite.placement.services.resource_providers import ResourceProviderService
from nova_lite.placement.tables import ResourceClassRow, TraitRow
from nova_lite.placement.wire import WireRules
from nova_lite.storage import Database
from nova_lite.web import app as web
from nova_lite.web.caller import authenticator
from nova_lite.web.health import Health
from nova_lite.web.metrics import Metrics
from nova_lite.web.monitoring import HEALTHCHECK, METRICS, UNVERSIONED, HealthPage, MetricsPage, RequestMeter
from nova_lite.web.policy import RulePolicy

#: A reshape of a whole cloud is sent in one body.
_MAX_BODY_BYTES = 32 << 20
#: What answers whatever the request's Accept, and without the database having been made ready.
_WITHOUT_MORE = (root.Root, HealthPage, MetricsPage)


def build(conf: cfg.ConfigOpts, database: Database) -> web.App:
    """Return the application; ``database`` is first opened by the first request."""
    shows_metrics = conf.api.metrics
    public = {"", "/", HEALTHCHECK} | ({METRICS} if shows_metrics == "open" else set())
    api = web.Api(
        negotiation=NEGOTIATION,
        render_fault=faults.render,
        is_public=public.__contains__,
        unversioned=UNVERSIONED,
        max_body_bytes=_MAX_BODY_BYTES,
        refuses_stray_queries=False,
    )
    policy = RulePolicy(conf, (*policies.BLOCKS, *policies.RULES))
    metrics = None if shows_metrics == "off" else Metrics("placement")
    meter = RequestMeter(metrics, "placement") if metrics else None
    app = web.build(api, authenticator(conf, policy, roles_header=True), meter)
    reader = Reader(database, prepare=sync.standard_names)
    health = Health({"database": database.ping})
    app.add_middleware([WireRules(any_accept=(*_WITHOUT_MORE, traits.Trait)), _Ready(reader)])
    app.add_route(HEALTHCHECK, HealthPage(health))
    if metrics is not None:
        meters = Meters(metrics, reader, database, health)
        app.add_middleware(meters)
        rule = None if shows_metrics == "open" else "placement:metrics:show"
        app.add_route(METRICS, MetricsPage(metrics, meters.refresh, rule))
    for url, handler in routes(database, reader, Generation.of(conf)).items():
        app.add_route(url, handler)
    return app


class _Ready:
    """Middleware: sees to the standard names before the first request that needs the database."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._done = False

    def process_resource(self, req: falcon.Request, resp: falcon.Response, resource: object, params: object) -> None:
        if not self._done and not isinstance(resource, _WITHOUT_MORE):
            self._reader.ready()
            self._done = True


def routes(database: Database, reader: Reader, generation: Generation | None = None) -> dict[str, Any]:
    """Return URL → handler, all there are."""
    providers = ResourceProviderService(database, reader)
    holdings = AllocationService(database, reader)
    class_names = NameService(database, ResourceClassRow)
    trait_names = NameService(database, TraitRow)
    return {
        "/": root.Root(),
        "/resource_classes": resource_classes.ResourceClasses(providers, class_names),
        "/resource_classes/{name}": resource_classes.ResourceClass(providers, class_names),
        "/resource_providers": resource_providers.ResourceProviders(providers),
        "/resource_providers/{uuid}": resource_providers.ResourceProvider(providers),
        "/resource_providers/{uuid}/inventories": inventories.Inventories(providers),
        "/resource_providers/{uuid}/inventories/{resource_class}": inventories.OneInventory(providers),
        "/resource_providers/{uuid}/usages": usages.ProviderUsages(providers),
        "/resource_providers/{uuid}/aggregates": aggregates.Aggregates(providers),
        "/resource_providers/{uuid}/allocations": allocations.ProviderAllocations(holdings),
        "/resource_providers/{uuid}/traits": traits.ProviderTraits(providers),
        "/allocations": allocations.ManyAllocations(holdings),
        "/allocations/{uuid}": allocations.ConsumerAllocations(holdings),
        "/allocation_candidates": allocation_candidates.AllocationCandidates(reader, generation or Generation()),
        "/traits": traits.Traits(providers),
        "/traits/{name}": traits.Trait(providers, trait_names),
        "/usages": usages.TotalUsages(holdings),
        "/reshaper": reshaper.Reshaper(holdings),
    }
