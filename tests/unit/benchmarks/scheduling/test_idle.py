"""What is read of idle clouds from the system's own accounts."""

from benchmarks.scheduling import idle

LISTING = """\
ESTAB 0 0 127.0.0.1:60218 127.0.0.1:28207 users:(("python",pid=123,fd=9))
\t cubic wscale:7,7 rto:204 bytes_sent:100 bytes_retrans:7 bytes_acked:101 bytes_received:50 segs_out:9
ESTAB 0 0 127.0.0.1:60220 127.0.0.1:28207 users:(("python",pid=123,fd=11),("python",pid=124,fd=11))
\t cubic bytes_sent:10 bytes_received:5
ESTAB 0 0 127.0.0.1:28207 127.0.0.1:60218 users:(("beam.smp",pid=7,fd=40))
\t cubic bytes_sent:50 bytes_received:100
ESTAB 0 0 127.0.0.1:60300 127.0.0.1:3306 users:(("python",pid=123,fd=12))
\t cubic bytes_sent:9999 bytes_received:9999
ESTAB 0 0 127.0.0.1:60301 127.0.0.1:28207
\t cubic bytes_sent:1 bytes_received:1
"""


def test_bytes_are_those_of_connections_to_the_bus_by_who_opened_them() -> None:
    assert idle.bytes_by_pid(LISTING, 28207) == {123: 165}


def test_statements_are_told_apart_by_the_database_of_their_connection() -> None:
    counts = [(1, 5), (2, 7), (3, 2), (4, 9)]
    connects = [(3, "nova_lite@localhost on ours_small_cell1 using TCP/IP"), (5, "root@localhost on  using Socket")]
    known = [(1, "ours_small_cell1"), (2, "real_small_cell1"), (4, None)]
    assert idle.by_database(counts, connects, known) == {"ours_small_cell1": 7, "real_small_cell1": 7}
