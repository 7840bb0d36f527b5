"""Every route of Placement declares a policy that exists, its schemas, and has a story."""

from pathlib import Path

from nova_lite import config
from nova_lite.placement import app, policies
from nova_lite.placement.handlers.root import Root
from nova_lite.placement.microversions import MICROVERSIONS
from nova_lite.placement.reader import Reader
from nova_lite.storage import Database
from nova_lite.web.endpoint import declared_endpoint
from nova_lite.web.policy import RulePolicy

#: Writes that take no body: the URL says it all.
BODILESS = {("PUT", "/traits/{name}"), ("PUT", "/resource_classes/{name}")}


def test_every_responder_declares_itself() -> None:
    database = Database("sqlite://")
    known = RulePolicy(config.load(files=[]), policies.RULES).names
    for url, handler in app.routes(database, Reader(database)).items():
        if isinstance(handler, Root):
            continue
        responders = {name[3:].upper(): getattr(handler, name) for name in dir(handler) if name.startswith("on_")}
        assert responders
        for method, responder in responders.items():
            declared = declared_endpoint(responder)
            assert declared is not None, f"{method} {url}"
            assert set(declared.policy) <= known, f"{method} {url}"
            wants_body = method in ("PUT", "POST") and (method, url) not in BODILESS
            assert (declared.body is not None) == wants_body, f"{method} {url}"


def test_every_handler_has_a_story() -> None:
    root = Path(__file__).parents[3]
    stories = {path.name.removeprefix("test_") for path in (root / "tests/functional/placement_api").glob("test_*.py")}
    handlers = {path.name for path in (root / "nova_lite/placement/handlers").glob("*.py")}
    assert handlers - {"__init__.py", "paths.py"} <= stories


def test_microversions_have_no_hole() -> None:
    assert list(MICROVERSIONS) == [f"1.{minor}" for minor in range(len(MICROVERSIONS))]
