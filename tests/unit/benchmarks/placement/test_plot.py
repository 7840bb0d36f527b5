"""The drawing of cost over size."""

from itertools import pairwise
from xml.etree import ElementTree

from benchmarks.placement import comparison, plot
from benchmarks.placement.figures import Measure
from benchmarks.placement.report import Report, Row

_SVG = "{http://www.w3.org/2000/svg}"


def test_a_power_of_ten_is_as_far_as_every_other() -> None:
    drawn = ElementTree.fromstring(plot.svg("t", "x", "y", {"a & b": [(1000, 1.0), (10, 0.01), (100, 0.1)]}))
    points = drawn.find(f"{_SVG}polyline")
    assert points is not None
    corners = [tuple(map(float, corner.split(","))) for corner in points.attrib["points"].split()]
    steps = [(later[0] - one[0], later[1] - one[1]) for one, later in pairwise(corners)]
    assert steps[0] == steps[1]
    assert steps[0][0] > 0 > steps[0][1]
    assert "a & b" in [text.text for text in drawn.iter(f"{_SVG}text")]


def test_only_what_was_measured_is_drawn() -> None:
    cost = Measure(1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, {})
    rows = [Row("candidates 100 limit 10", 1, cost, cost), Row("candidates 100000 limit 10", 1, cost, None)]
    drawn = comparison.drawing(Report(rows=rows))
    assert drawn is not None
    lines = [line.attrib["points"].split() for line in ElementTree.fromstring(drawn).iter(f"{_SVG}polyline")]
    assert [len(line) for line in lines] == [1, 2]
    assert comparison.drawing(Report()) is None
