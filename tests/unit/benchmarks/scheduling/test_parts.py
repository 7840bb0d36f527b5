"""Which parts there are, and that the names given to clouds suffice."""

from benchmarks.scheduling import parts
from benchmarks.scheduling.parts import Parts


def test_every_part_is_there() -> None:
    assert all(callable(getattr(Parts, name)) for name in parts.PARTS)
    assert set(parts.QUICK_PARTS) < set(parts.PARTS)
    assert set(parts.CLOUDS) >= {f"ours-{name}" for name in parts.PARTS}


def test_what_is_booted_before_a_cloud_is_filled_fits_into_it() -> None:
    for effort in (parts.QUICK, parts.WHOLE):
        before = parts._WARM_UP + sum(effort.ours) + parts.MANY
        tenth = 100 * effort.slots / 10
        assert before + tenth <= 100 * effort.slots * parts.FULL
        assert effort.ours[0] >= tenth


def test_large_clouds_have_room_for_what_is_booted() -> None:
    for effort in (parts.QUICK, parts.WHOLE):
        assert parts._WARM_UP + sum(effort.ours) < 1000 * 2
