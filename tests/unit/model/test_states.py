"""The table of states: every action in every state."""

import itertools

import pytest

from nova_lite.model import states
from nova_lite.model.guest import PowerState
from nova_lite.model.states import ACTIONS, TaskState, VmState

TASKS = (None, *TaskState)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_refusal_says_what_forbids_it(action: str) -> None:
    rule = ACTIONS[action]
    for vm_state, task_state in itertools.product(VmState, TASKS):
        refused = states.refusal(action, vm_state, task_state)
        if vm_state not in rule.starts_in:
            assert refused == "vm_state"
        elif task_state is not None and task_state not in rule.interrupts:
            assert refused == "task_state"
        else:
            assert refused is None


@pytest.mark.parametrize("action", ACTIONS)
def test_the_table_is_whole(action: str) -> None:
    rule = ACTIONS[action]
    assert rule.starts_in
    assert VmState.DELETED not in rule.starts_in
    assert rule.interrupts <= frozenset(TaskState)
    assert rule.fails_in in (None, VmState.ERROR)


@pytest.mark.parametrize("action", [name for name in ACTIONS if name != "create"])
def test_busy_servers_refuse_what_may_not_interrupt(action: str) -> None:
    """Also itself, unless the table says it may be asked again."""
    rule = ACTIONS[action]
    for vm_state in rule.starts_in:
        refused = states.refusal(action, vm_state, rule.while_busy)
        assert refused == (None if rule.while_busy in rule.interrupts else "task_state")


def test_deleting_wins_over_everything() -> None:
    for vm_state, task_state in itertools.product(frozenset(VmState) - {VmState.DELETED}, TASKS):
        assert states.refusal("delete", vm_state, task_state) is None


def test_no_two_actions_are_busy_alike() -> None:
    """What is being done can be told from the task, so a workflow knows its own."""
    busy = [rule.while_busy for rule in ACTIONS.values()]
    assert len(set(busy)) == len(busy)


@pytest.mark.parametrize(
    ("vm_state", "power_state", "becomes"),
    [
        pytest.param(VmState.ACTIVE, PowerState.SHUTDOWN, VmState.STOPPED, id="shut down from within"),
        pytest.param(VmState.ACTIVE, PowerState.CRASHED, VmState.STOPPED, id="crashed"),
        pytest.param(VmState.ACTIVE, PowerState.PAUSED, VmState.PAUSED, id="paused behind our back"),
        pytest.param(VmState.ACTIVE, PowerState.SUSPENDED, VmState.ACTIVE, id="sleeps by itself"),
        pytest.param(VmState.PAUSED, PowerState.RUNNING, VmState.ACTIVE, id="unpaused behind our back"),
        pytest.param(VmState.PAUSED, PowerState.SHUTDOWN, VmState.STOPPED, id="paused, then off"),
        pytest.param(VmState.SUSPENDED, PowerState.SHUTDOWN, VmState.SUSPENDED, id="suspended as it should be"),
        pytest.param(VmState.SUSPENDED, PowerState.RUNNING, VmState.ACTIVE, id="resumed behind our back"),
        pytest.param(VmState.SUSPENDED, PowerState.PAUSED, VmState.PAUSED, id="resumed, then paused"),
        pytest.param(VmState.STOPPED, PowerState.RUNNING, VmState.STOPPED, id="runs though stopped"),
    ],
)
def test_what_a_power_report_makes_of_a_server(vm_state: VmState, power_state: PowerState, becomes: VmState) -> None:
    assert states.after_power_report(vm_state, power_state) is becomes


@pytest.mark.parametrize("power_state", PowerState)
def test_a_power_report_moves_only_servers_that_are_whole(power_state: PowerState) -> None:
    for vm_state in frozenset(VmState) - {VmState.ACTIVE, VmState.PAUSED, VmState.SUSPENDED}:
        assert states.after_power_report(vm_state, power_state) is vm_state


@pytest.mark.parametrize("task_state", TASKS)
@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_done_only_while_its_task_says_so(action: str, task_state: TaskState | None) -> None:
    assert states.is_doing(action, task_state) is (task_state is ACTIONS[action].while_busy)
    assert not states.is_doing("levitate", task_state)
    assert states.is_doing(states.COPY_TO_SHELVE, task_state) is (task_state in states.COPYING_TO_SHELVE)


@pytest.mark.parametrize("task_state", TASKS)
def test_guests_start_and_stop_only_while_somebody_does_it(task_state: TaskState | None) -> None:
    starts, stops = states.lets_guest_start(task_state), states.lets_guest_stop(task_state)
    assert not (starts and stops)
    if task_state in (None, TaskState.DELETING, TaskState.SCHEDULING):
        assert not starts
        assert not stops


@pytest.mark.parametrize("action", ["create", "start", "reboot", "reboot-hard"])
def test_actions_that_end_in_a_running_guest_may_start_it(action: str) -> None:
    assert states.lets_guest_start(ACTIONS[action].while_busy)


def test_stopping_may_stop_it() -> None:
    assert states.lets_guest_stop(ACTIONS["stop"].while_busy)
