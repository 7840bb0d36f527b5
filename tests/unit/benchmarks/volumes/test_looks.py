"""The queries by which servers are looked at while volumes come and go."""

import sqlalchemy as sa

from benchmarks.moves import deeds
from benchmarks.volumes.round_trips import LOOKS, Volumes


def test_the_queries_find_what_they_are_read_for() -> None:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        for statement in (
            "CREATE TABLE instances (uuid TEXT, volumes TEXT)",
            "CREATE TABLE block_device_mapping (instance_uuid TEXT, volume_id TEXT, connection_info TEXT, "
            "deleted INTEGER, destination_type TEXT)",
            "CREATE TABLE instance_actions (id INTEGER, instance_uuid TEXT)",
            "CREATE TABLE instance_actions_events (action_id INTEGER, finish_time TEXT)",
            """INSERT INTO instances VALUES ('vm', '[{"phase": "attaching"}]'), ('other', NULL)""",
            "INSERT INTO instance_actions VALUES (1, 'vm'), (2, 'other')",
            "INSERT INTO instance_actions_events VALUES (1, NULL), (2, '2026-01-01')",
            "INSERT INTO block_device_mapping VALUES ('vm', 'v1', '{}', 0, 'volume'), ('vm', 'v0', '{}', 7, 'volume'), "
            "('vm', NULL, NULL, 0, 'local')",
        ):
            connection.exec_driver_sql(statement)
        found = {kind: _seen(connection, look) for kind, look in LOOKS.items()}
    engine.dispose()
    expected = {"vm": Volumes(0, 1), "other": Volumes(0, 0)}
    assert found == {"ours": expected, "real": expected}


def _seen(connection: sa.Connection, look: deeds.Look) -> dict[str, Volumes]:
    statement = sa.text(look.query.format(database="main")).bindparams(deeds._IDS)
    rows: dict[str, list[sa.Row[tuple[object, ...]]]] = {}
    for row in connection.execute(statement, {"ids": ["vm", "other"]}):
        rows.setdefault(row[0], []).append(row)
    return {uuid: look.read(of_one) for uuid, of_one in rows.items()}
