"""Pools, tickers and locks of a daemon."""

import threading

import pytest

from nova_lite.concurrency import Alarm, KeyedLocks, Pool, Ticker, call_blocking


def test_a_pool_runs_as_many_as_it_has_threads() -> None:
    pool = Pool(2, "test")
    both = threading.Barrier(2, timeout=480)
    futures = [pool.submit(both.wait) for _ in range(2)]
    assert sorted(int(str(future.result(10))) for future in futures) == [0, 1]
    pool.stop()


def test_a_stopped_pool_has_finished_and_takes_no_more() -> None:
    pool = Pool(1, "test")
    done: list[int] = []
    for number in range(5):
        pool.submit(done.append, number)
    pool.stop()
    assert done == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError):
        pool.submit(done.append, 5)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_ticker_ticks_until_stopped(at_once: bool) -> None:
    ticked = threading.Semaphore(0)
    ticker = Ticker(lambda: 0.01, ticked.release, "test", at_once=at_once)
    ticker.start()
    for _ in range(3):
        assert ticked.acquire(timeout=480)
    ticker.stop()
    while ticked.acquire(blocking=False):
        pass
    assert not ticked.acquire(timeout=0.05)


def test_a_ticker_waits_for_the_call_under_way() -> None:
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        may_end.wait(480)
        ended.set()

    ticker = Ticker(lambda: 60, slow, "test", at_once=True)
    ticker.start()
    assert began.wait(480)
    ticker.stop(wait_s=0.01)
    assert not ended.is_set()
    may_end.set()
    ticker.stop()
    assert ended.is_set()


def test_a_ticker_may_stop_itself_and_need_not_have_been_started() -> None:
    stopped = threading.Event()

    def stop_itself() -> None:
        ticker.stop()
        stopped.set()

    ticker = Ticker(lambda: 0.01, stop_itself, "test")
    ticker.start()
    assert stopped.wait(480)
    Ticker(lambda: 60, stop_itself, "never").stop()


def test_a_ticker_ticks_on_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    ticks: list[int] = []
    again = threading.Event()

    def tick() -> None:
        ticks.append(len(ticks))
        if len(ticks) == 1:
            raise ValueError("once")
        again.set()

    ticker = Ticker(lambda: 0.01, tick, "fragile")
    ticker.start()
    assert again.wait(480)
    ticker.stop()
    assert "fragile failed" in caplog.text


def test_a_key_is_held_by_one_at_a_time_and_forgotten_after() -> None:
    locks = KeyedLocks()
    holding: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(200):
            with locks.hold("a"):
                holding.append(1)
                most.append(len(holding))
                holding.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(480)
    assert max(most) == 1
    assert locks._locks == {}


def test_keys_do_not_wait_for_each_other_and_errors_let_go() -> None:
    locks = KeyedLocks()
    with locks.hold("a"), locks.hold("b"):
        pass
    with pytest.raises(ValueError, match="oops"), locks.hold("a"):
        raise ValueError("oops")
    with locks.hold("a"):
        pass


def test_blocking_calls_are_plain_calls_on_native_threads() -> None:
    assert call_blocking(lambda a, b: (a, b, threading.get_ident()), 1, b=2) == (1, 2, threading.get_ident())


def test_an_alarm_calls_in_the_order_things_are_due() -> None:
    called: list[str] = []
    all_called = threading.Event()

    def call(what: str) -> None:
        called.append(what)
        if len(called) == 3:
            all_called.set()

    alarm = Alarm(call, "test")
    alarm.set("never", 3600.0)
    alarm.set("third", 0.2)
    alarm.set("first", 0.0)
    alarm.set("second", 0.1)
    alarm.start()
    assert all_called.wait(480)
    alarm.stop()
    assert called == ["first", "second", "third"]


def test_an_alarm_notices_what_is_due_sooner_and_survives_an_error(caplog: pytest.LogCaptureFixture) -> None:
    called = threading.Semaphore(0)

    def call(what: str) -> None:
        called.release()
        raise ValueError(what)

    alarm = Alarm(call, "test")
    alarm.start()
    alarm.set("late", 3600.0)
    for number in range(2):
        alarm.set(f"soon {number}", 0.0)
        assert called.acquire(timeout=480)
    alarm.stop()
    assert "test failed" in caplog.text


def test_an_alarm_that_was_never_started_stops() -> None:
    Alarm(lambda what: None, "never").stop()
