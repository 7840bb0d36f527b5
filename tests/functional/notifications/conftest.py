"""A cloud that tells, and who listens: on a bus in memory of their own."""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import oslo_messaging
import pytest

from nova_lite import config
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.rpc import memory
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually

#: What nobody may find in any notification.
CANARY = "canary-3c1f"
#: What only says how a server is.
_BESIDE = ("instance.exists", "instance.update")


def around(*actions: str) -> list[str]:
    """Return the event types of work on servers that goes well."""
    return [f"instance.{action}.{phase}" for action in actions for phase in ("start", "end")]


@dataclass(frozen=True)
class Heard:
    """One notification as a listener has it."""

    publisher: str
    event_type: str
    priority: str
    payload: dict[str, Any]
    context: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.payload["nova_object.data"]
        return data


def _sent(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sent as the context, without what the bus adds."""
    return {name: value for name, value in context.items() if name != "client_timeout"}


@dataclass
class Listener:
    """Hears everything."""

    heard: list[Heard] = field(default_factory=list)

    def info(self, ctxt: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any) -> None:
        self.heard.append(Heard(publisher_id, event_type, "info", payload, _sent(ctxt)))

    def error(self, ctxt: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any) -> None:
        self.heard.append(Heard(publisher_id, event_type, "error", payload, _sent(ctxt)))

    def of(self, subject: str) -> list[Heard]:
        """Return what was told of a server, versioned."""
        told = [each for each in list(self.heard) if "nova_object.data" in each.payload]
        return [each for each in told if each.data.get("uuid") == subject]

    def types(self, subject: str) -> list[str]:
        """Return the event types told of a server, in order, without what only says how it is."""
        return [each.event_type for each in self.of(subject) if each.event_type not in _BESIDE]

    def wait(self, look: Callable[[Heard], bool], what: str) -> Heard:
        """Return the first that ``look`` is true of, as soon as it was heard."""
        return eventually(lambda: next((each for each in list(self.heard) if look(each)), None), what)

    def wait_for(self, subject: str, event_type: str) -> Heard:
        """Return what was told of a server as ``event_type``, as soon as it was."""
        return self.wait(
            lambda each: (
                each.event_type == event_type and each.payload.get("nova_object.data", {}).get("uuid") == subject
            ),
            f"{event_type} of {subject}; heard {self.types(subject)}",
        )


@pytest.fixture(scope="package")
def url() -> str:
    return f"kombu+memory:///notifications-{uuid.uuid4()}"


@pytest.fixture(scope="package")
def topic() -> str:
    return f"versioned-{uuid.uuid4()}"


@pytest.fixture(scope="package")
def listener(url: str, topic: str) -> Iterator[Listener]:
    """Someone who hears what is told under ``topic``, and of old under the same with ``-old`` behind it."""
    memory.install()
    listener = Listener()
    conf = config.load(files=[])
    transport = oslo_messaging.get_notification_transport(conf, url=url)
    targets = [oslo_messaging.Target(topic=name, exchange="nova") for name in (topic, f"{topic}-old")]
    server = oslo_messaging.get_notification_listener(transport, targets, [listener], executor="threading")
    server.start(override_pool_size=1)  # one after the other, as they were told
    yield listener
    server.stop()
    server.wait()
    transport.cleanup()
    assert not [thread for thread in threading.enumerate() if thread.name == "notifications"]


@pytest.fixture(scope="package")
def cloud(tmp_path_factory: pytest.TempPathFactory, listener: Listener, url: str, topic: str) -> Iterator[Cloud]:
    options = {
        "DEFAULT": {
            "allow_resize_to_same_host": "true",
            "reclaim_instance_interval": "3600",
            "shelved_offload_time": "3600",
            "sync_power_state_interval": "1",
        },
        "quota": {"instances": "-1", "cores": "-1", "ram": "-1"},
        "oslo_messaging_notifications": {"driver": "messagingv2", "transport_url": url, "topics": f"{topic}-old"},
        "notifications": {
            "notification_format": "both",
            "versioned_notifications_topics": topic,
            "notify_on_state_change": "vm_and_task_state",
            "bdms_in_notifications": "true",
        },
    }
    with clouds.running(tmp_path_factory.mktemp("cloud"), cells=1, options=options) as running:
        yield running


@pytest.fixture
def user(cloud: Cloud) -> Iterator[ComputeUser]:
    someone = ComputeUser(cloud.compute_url)
    yield someone
    someone.close()


@pytest.fixture(scope="package")
def image(cloud: Cloud) -> str:
    return ImageDirectory(cloud.settings.image_dir).images()[0].id
