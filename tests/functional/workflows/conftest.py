"""One cloud for all stories of this folder; each must leave it as it found it."""

from collections.abc import Iterator

import pytest
import requests
from oslo_config import cfg

from nova_lite.conductor import saga
from nova_lite.conductor.service import Conductor
from nova_lite.db.repositories import workflows
from nova_lite.embedded import cloud as embedded
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from tests.functional.workflows.sabotage import Saboteur
from tests.functional.workflows.site import Site

#: Quick where a real cloud is patient; leases are long, for the stories say when they run out.
OPTIONS = {
    "DEFAULT": {"report_interval": "1", "sync_power_state_interval": "0.3"},
    "conductor": {"lease": "30", "scan_interval": "0.05"},
    "quota": {"instances": "-1", "cores": "-1", "ram": "-1"},
    "rpc": {"call_monitor_timeout": "2"},
    "cells": {"refresh_interval": "60"},
}


@pytest.fixture(scope="package")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    saboteur = Saboteur()

    class WatchedConductor(Conductor):
        def __init__(self, conf: cfg.ConfigOpts) -> None:
            super().__init__(conf)
            saboteur.watch(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "Conductor", WatchedConductor)
        patch.setattr(saga, "_BACKOFF_S", (0.01, 0.02, 0.05))
        patch.setattr(workflows, "_NUDGE_GRACE_S", 0.2)
        with clouds.running(tmp_path_factory.mktemp("site"), options=OPTIONS) as cloud, Watch(cloud) as watch:
            images = requests.get(f"{cloud.image_url}/v2/images", timeout=10).json()["images"]
            yield Site(cloud, saboteur, watch, image=str(images[0]["id"]))


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    shared_site.saboteur.clear()
    yield shared_site
    shared_site.clean()
