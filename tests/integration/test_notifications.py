"""Notifications over a real RabbitMQ: what is on the wire, what listeners get, and a broker that is away."""

import gc
import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest
from kombu import connection as connections

from nova_lite import config
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.rpc import notifications
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.rabbitmq import RabbitMQ
from tests.integration.stack.relay import Relay

pytestmark = pytest.mark.timeout(900)

TOPIC = "versioned_notifications"


class Listener:
    """A listener by oslo.messaging: what it heard of servers, as event type and payload, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def info(self, ctxt: dict[str, Any], publisher_id: str, event_type: str, payload: Any, metadata: Any) -> None:
        self.heard.append((event_type, payload["nova_object.data"], ctxt))

    def wait_for(self, server_id: str, event_type: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return payload and context of the first such event of a server, as soon as it was heard."""
        return eventually(
            lambda: next(
                (
                    (data, context)
                    for told, data, context in list(self.heard)
                    if (told, data.get("uuid")) == (event_type, server_id)
                ),
                None,
            ),
            f"{event_type} of {server_id}; heard {self.types(server_id)}",
        )

    def types(self, server_id: str) -> list[str]:
        return [told for told, data, _ in list(self.heard) if data.get("uuid") == server_id]


@contextmanager
def _listening(url: str) -> Iterator[Listener]:
    listener = Listener()
    transport = oslo_messaging.get_notification_transport(config.load(files=[]), url=url)
    target = oslo_messaging.Target(topic=TOPIC, exchange="nova")
    server = oslo_messaging.get_notification_listener(transport, [target], [listener], executor="threading")
    server.start(override_pool_size=1)  # one after the other, as they come
    try:
        yield listener
    finally:
        server.stop()
        server.wait()
        transport.cleanup()


@pytest.fixture(scope="module")
def bus(rabbitmq: RabbitMQ) -> str:
    """The broker's part for notifications, without a detour."""
    return rabbitmq.add_vhost("notifications")


@pytest.fixture(scope="module")
def relay(rabbitmq: RabbitMQ, neighbours: Neighbours) -> Iterator[Relay]:
    relay = Relay(neighbours.site.port("relay"), rabbitmq.port)
    relay.mend()
    yield relay
    relay.cut()


@pytest.fixture(scope="module")
def by_relay(bus: str, rabbitmq: RabbitMQ, relay: Relay) -> str:
    """The same, by a road that can be cut."""
    return bus.replace(f":{rabbitmq.port}/", f":{relay.port}/")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, by_relay: str) -> Iterator[Cloud]:
    """A cloud that tells."""
    options = {"oslo_messaging_notifications": {"driver": "messagingv2", "transport_url": by_relay}}
    with clouds.running(tmp_path_factory.mktemp("cloud"), cells=1, hosts=1, options=options) as running:
        yield running


@pytest.fixture
def user(cloud: Cloud) -> Iterator[ComputeUser]:
    with closing(ComputeUser(cloud.compute_url)) as user:
        yield user


def _boot(cloud: Cloud, user: ComputeUser) -> tuple[str, str]:
    """Boot a server; return its id and the id of the request."""
    image = ImageDirectory(cloud.settings.image_dir).images()[0].id
    wanted = {"name": "told", "flavorRef": "1", "imageRef": image, "networks": "none"}
    answer = user.ask("POST", "/servers", {"server": wanted})
    assert answer.status == 202, answer.json
    server_id = str(answer.json["server"]["id"])
    user.wait(server_id, "ACTIVE")
    return server_id, answer.headers["x-openstack-request-id"]


@contextmanager
def _connected(url: str) -> Iterator[Any]:
    """Connect by AMQP alone."""
    connect: Any = connections.Connection
    with connect(url.replace("rabbit://", "amqp://")) as connection:
        yield connection


def _is_there(connection: Any, exchange: str) -> bool:
    with connection.channel() as channel:
        try:
            channel.exchange_declare(exchange, type="topic", passive=True)
        except connection.channel_errors:
            return False
        return True


def _kept(connection: Any, last: str, server_id: str) -> tuple[Any, dict[str, Any]]:
    """Take off the queue what was kept until ``last`` of a server; return that message, and what was told in it."""
    channel = connection.default_channel

    def look() -> tuple[Any, dict[str, Any]] | None:
        message = channel.basic_get(f"{TOPIC}.info", no_ack=True)
        if message is None:
            return None
        told = json.loads(json.loads(message.body)["oslo.message"])
        is_it = told["event_type"] == last and told["payload"]["nova_object.data"].get("uuid") == server_id
        return (message, told) if is_it else None

    return eventually(look, f"{last} of {server_id}")


def test_off_nobody_comes_near_the_broker(tmp_path: Path, bus: str, by_relay: str, relay: Relay) -> None:
    """Run first, while nothing was declared at the broker."""
    options = {"oslo_messaging_notifications": {"transport_url": by_relay}}
    with (
        clouds.running(tmp_path, cells=1, hosts=1, options=options) as cloud,
        closing(ComputeUser(cloud.compute_url)) as user,
    ):
        server_id, _ = _boot(cloud, user)
        user.ask("DELETE", f"/servers/{server_id}")
        user.wait_gone(server_id)
    assert relay.taken == 0
    with _connected(bus) as connection:
        assert _is_there(connection, "amq.topic")
        assert not _is_there(connection, "nova")


def test_what_nobody_fetches_yet_is_kept_as_listeners_know_it(cloud: Cloud, user: ComputeUser, bus: str) -> None:
    """The exchange, the topic and the envelope, by a client that knows nothing of OpenStack."""
    server_id, request_id = _boot(cloud, user)
    with _connected(bus) as connection:
        eventually(lambda: _is_there(connection, "nova"), "the exchange")
        # The broker refuses this if it were of another kind.
        connection.default_channel.exchange_declare("nova", type="topic", durable=False, auto_delete=False)
        message, told = _kept(connection, "instance.create.end", server_id)
    assert (message.delivery_info["exchange"], message.delivery_info["routing_key"]) == ("nova", f"{TOPIC}.info")
    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
    envelope = json.loads(message.body)
    assert (set(envelope), envelope["oslo.version"]) == ({"oslo.version", "oslo.message"}, "2.0")
    payload = told["payload"]
    assert {name: payload[f"nova_object.{name}"] for name in ("name", "namespace", "version")} == {
        "name": "InstanceCreatePayload",
        "namespace": "nova",
        "version": "1.13",
    }
    assert payload["nova_object.data"]["request_id"] == request_id
    assert (told["priority"], told["publisher_id"]) == ("INFO", "nova-compute:cell1-host1")
    assert {name for name in told if not name.startswith("_context_")} == {
        *("event_type", "message_id", "payload", "priority", "publisher_id", "timestamp", "_unique_id"),
    }


def test_listeners_hear_a_server_s_life_and_who_wanted_it(cloud: Cloud, user: ComputeUser, bus: str) -> None:
    with _listening(bus) as listener:
        server_id, created = _boot(cloud, user)
        stopped = user.act(server_id, "os-stop").headers["x-openstack-request-id"]
        user.wait(server_id, "SHUTOFF")
        deleted = user.ask("DELETE", f"/servers/{server_id}").headers["x-openstack-request-id"]
        user.wait_gone(server_id)
        for event_type, request_id in (
            ("instance.create.end", created),
            ("instance.power_off.end", stopped),
            ("instance.delete.end", deleted),
        ):
            data, context = listener.wait_for(server_id, event_type)
            assert (data["request_id"], data["action_initiator_user"]) == (request_id, "admin")
            assert {name: context[name] for name in ("request_id", "user_id", "project_id")} == {
                "request_id": request_id,
                "user_id": "admin",
                "project_id": "admin",
            }
        assert listener.types(server_id) == [
            *("instance.create.start", "instance.create.end", "instance.power_off.start", "instance.power_off.end"),
            *("instance.delete.start", "instance.shutdown.start", "instance.shutdown.end", "instance.delete.end"),
        ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning")
def test_a_broker_that_hangs_and_dies_holds_nothing_up_loses_nothing_and_is_told_of_once(
    cloud: Cloud,
    user: ComputeUser,
    bus: str,
    relay: Relay,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifications, "_COMPLAIN_S", 2 * clouds.DEADLINE_S)
    with _listening(bus) as listener, caplog.at_level(logging.WARNING):
        before, _ = _boot(cloud, user)
        listener.wait_for(before, "instance.create.end")
        relay.mute()
        # All this ends while the broker takes connections and says nothing, ...
        hung, _ = _boot(cloud, user)
        assert user.act(hung, "lock").status == 202
        relay.cut()
        # ... and this while it takes none.
        dead, _ = _boot(cloud, user)
        user.act(dead, "os-stop")
        user.wait(dead, "SHUTOFF")
        assert user.act(dead, "lock").status == 202
        eventually(lambda: caplog.records, "a complaint")
        assert (listener.types(hung), listener.types(dead)) == ([], [])
        relay.mend()
        listener.wait_for(dead, "instance.power_off.end")
        for server_id in (hung, dead):
            listener.wait_for(server_id, "instance.lock")
    created = ["instance.create.start", "instance.create.end"]
    assert [each for each in listener.types(hung) if each != "instance.lock"] == created
    assert [each for each in listener.types(dead) if each != "instance.lock"] == [
        *created,
        *("instance.power_off.start", "instance.power_off.end"),
    ]
    ours = [record for record in caplog.records if record.threadName == "notifications"]
    assert {record.name for record in ours} == {notifications.__name__}
    complaints = Counter(record.thread for record in ours)  # each process has a thread of its own for them
    assert set(complaints.values()) == {1}, [record.getMessage() for record in ours]
    gc.collect()  # sockets of connections that did not come about, which oslo.messaging leaves unclosed
