"""Where things are put: nothing overlaps, arrows lead on, and large flows stay readable."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch import conditional, graph, parallel, sequential
from rxorch.draw.boxes import Box, Drawing
from rxorch.draw.layers import crossings, layered, layers_of
from rxorch.draw.layout import Placed, place
from rxorch.draw.scene import Arrow, Frame, Node, scene_of
from rxorch.draw.subject import subject_of
from rxorch.flow import Flow
from tests.draw.scenes import trip
from tests.support.fake_transport import api, apis


def placed(flow: Flow) -> Placed:
    return place(scene_of(subject_of(flow), None))


def overlap(a: Box, b: Box) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def assert_tidy(picture: Placed) -> None:
    for a, b in combinations(picture.boxes, 2):
        assert not overlap(a, b), (a, b)
    for box in (*picture.boxes, *picture.frames):
        assert box.x >= 0 and box.y >= -1e-6
        assert box.x + box.width <= picture.width + 1e-6 and box.y + box.height <= picture.height + 1e-6
    for route in picture.routes:
        for x, y in route.points:
            assert 0 <= x <= picture.width and -1e-6 <= y <= picture.height + 1e-6


def random_graph(data: st.DataObject, most: int = 25) -> Flow:
    size = data.draw(st.integers(1, most))
    names = [f"e{i}" for i in range(size)]
    needs = [
        data.draw(st.lists(st.sampled_from(names[:i]), unique=True, max_size=3)) if i else []
        for i in range(size)
    ]
    return graph(*(api(name, depends_on=need) for name, need in zip(names, needs, strict=True)))


LARGE = {
    "60 in parallel": parallel(*apis(" ".join(f"e{i}" for i in range(60)))),
    "40 in sequence": sequential(*apis(" ".join(f"e{i}" for i in range(40)))),
    "30 after one": graph(api("a"), *apis(" ".join(f"e{i}" for i in range(30)), depends_on=["a"])),
    "trip": trip(),
    "deep": sequential(parallel(api("a"), sequential(api("b"), parallel(*apis("cdefghij"))))),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_flows_are_tidy_and_no_wider_than_a_page(name: str) -> None:
    picture = placed(LARGE[name])
    assert_tidy(picture)
    assert picture.width <= 1600


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_graph_is_tidy(data: st.DataObject) -> None:
    assert_tidy(placed(random_graph(data)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_arrows_of_a_graph_lead_to_the_right_and_around_the_boxes(data: st.DataObject) -> None:
    assert_arrows_lead_on(placed(random_graph(data)))


def assert_arrows_lead_on(picture: Placed) -> None:
    """To the right and around the boxes; of what goes down, the same with both axes exchanged."""
    for route in picture.routes:
        if route.straight:
            continue
        points = [(y, x) for x, y in route.points] if route.down else route.points
        boxes = [
            (box.y, box.x, box.height, box.width) if route.down else (box.x, box.y, box.width, box.height)
            for box in picture.boxes
        ]
        for (x0, y0), (x1, y1) in pairwise(points):
            assert x0 < x1
            level = y0 == y1
            for left, top, width, height in boxes:
                if level and left < x1 - 1e-6 and x0 + 1e-6 < left + width:
                    assert not top < y0 < top + height, (route, left, top)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_strip_of_a_graph_is_empty_from_end_to_end(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 30))
    arrows = [
        Arrow(start, end)
        for end in range(1, size)
        for start in data.draw(st.lists(st.integers(0, end - 1), unique=True, max_size=2))
    ]
    part = Drawing(150.0, 40.0, boxes=(Box(Node("n", "end", "n"), 0.0, 0.0, 150.0, 40.0),))
    drawing = layered([part] * size, arrows)
    taken = [(box.y, box.y + box.height) for box in drawing.boxes]
    taken += [(y - 5.0, y + 5.0) for route in drawing.routes for _, y in route.points]
    below = 0.0
    for top, bottom in sorted(taken):
        assert top - below < 18.1
        below = max(below, bottom)
    assert below == pytest.approx(drawing.height)


def path(size: int) -> Flow:
    """Each member needs the one before it."""
    return graph(*(api(f"e{i}", depends_on=[f"e{i - 1}"] if i else []) for i in range(size)))


def deep() -> Flow:
    """Two members in each of many layers: too long for a row."""
    pairs = [[f"a{i}", f"b{i}"] for i in range(8)]
    return graph(
        *(api(name, depends_on=pairs[i - 1] if i else []) for i, pair in enumerate(pairs) for name in pair)
    )


def test_a_deep_graph_goes_down_the_page_from_its_input_to_its_result() -> None:
    picture = placed(deep())
    assert_tidy(picture)
    assert_arrows_lead_on(picture)
    assert picture.width <= 700 < picture.height
    assert all(route.down for route in picture.routes) and len(picture.routes) == 2 + 7 * 4
    tops = {box.part.title: box.y for box in picture.boxes if isinstance(box.part, Node)}
    order = ["input", *(f"a{i}" for i in range(8)), "result"]
    assert [tops[name] for name in order] == sorted(tops[name] for name in order)
    assert all(tops[f"a{i}"] == tops[f"b{i}"] for i in range(8))


def test_a_graph_that_finds_room_in_a_row_goes_to_the_right() -> None:
    shallow = graph(api("a"), *apis("bcd", depends_on=["a"]), api("e", depends_on=["b", "c"]))
    picture = placed(shallow)
    assert picture.routes and not any(route.down for route in picture.routes)


def test_a_graph_that_would_be_wider_downward_goes_to_the_right() -> None:
    rows = [[f"{name}{i}" for i in range(9)] for name in "abcdefg"]
    flow = graph(
        *(api(name, depends_on=rows[at - 1] if at else []) for at, row in enumerate(rows) for name in row)
    )
    assert not any(route.down for route in placed(flow).routes)


@pytest.mark.parametrize("size", [8, 40])
def test_a_graph_that_is_a_sequence_goes_on_in_the_next_row(size: int) -> None:
    picture = placed(path(size))
    assert_tidy(picture)
    assert picture.width <= 1200
    boxes = {box.part.title: box for box in picture.boxes if isinstance(box.part, Node)}
    found = [(boxes[f"e{i}"].y, boxes[f"e{i}"].x) for i in range(size)]
    assert found == sorted(found)  # as text is read
    assert len({top for top, _ in found}) < size / 2


def test_no_row_of_a_sequence_is_left_with_one_where_two_find_room() -> None:
    tops = [box.y for box in placed(path(6)).boxes if isinstance(box.part, Node) and box.part.facts]
    assert sorted(tops.count(top) for top in set(tops)) == [3, 3]


def test_rows_are_as_few_as_there_can_be_and_no_longer_than_that_needs() -> None:
    wide = [api(f"{name}-with-a-long-name-of-it", timeout=5) for name in "abcdefg"]
    choice = conditional(bool, then=wide[3], otherwise=wide[4])
    picture = placed(sequential(wide[0], parallel(*wide[1:3]), choice, *wide[5:]))
    boxes = {box.part.title[:6]: box for box in picture.boxes if isinstance(box.part, Node)}
    level = {name: box.y + box.height / 2 for name, box in boxes.items()}
    assert level["input"] == level["a-with"] < level["f-with"] <= level["g-with"] == level["result"]
    assert picture.width < 900


def test_an_arrow_from_a_narrow_member_passes_the_wide_one_beside_it() -> None:
    steps = [api("low"), api("high", cache_ttl=30, timeout=5, retry_count=2, rate_limit=5)]
    needs = ["low"]
    for i in range(8):
        steps += [api(f"a{i}", depends_on=needs), api(f"b{i}", depends_on=["high"] if not i else needs)]
        needs = [f"a{i}", f"b{i}"]
    picture = placed(graph(*steps))
    boxes = {box.part.title: box for box in picture.boxes if isinstance(box.part, Node)}
    low, high = boxes["low"], boxes["high"]
    assert low.y == high.y and low.height < high.height
    starts = [route for route in picture.routes if route.points[0][1] == low.y + low.height]
    assert starts and all(route.points[1][1] == high.y + high.height for route in starts)


def test_members_stand_in_their_frame() -> None:
    picture = placed(trip())
    where = {box.part.key: box for box in (*picture.boxes, *picture.frames)}
    for outer in picture.frames:
        assert isinstance(outer.part, Frame)
        for member in outer.part.members:
            inner = where[member.key]
            assert outer.x < inner.x and inner.x + inner.width < outer.x + outer.width
            assert outer.y < inner.y and inner.y + inner.height < outer.y + outer.height


def test_a_diamond_is_four_arrows_without_the_one_that_follows_from_others() -> None:
    flow = graph(
        api("a"),
        api("b", depends_on=["a"]),
        api("c", depends_on=["a"]),
        api("d", depends_on=["b", "c", "a"]),
    )
    root = scene_of(subject_of(flow), None).root
    assert isinstance(root, Frame)
    assert root.arrows == (Arrow(0, 1), Arrow(0, 2), Arrow(1, 3), Arrow(2, 3))
    assert layers_of(4, root.arrows) == [0, 1, 1, 2]


def test_the_order_within_a_layer_removes_crossings() -> None:
    crossed = graph(
        *apis("abcd"),
        *(api(f"{name}2", depends_on=[name]) for name in "dcba"),
    )
    picture = placed(crossed)
    rows = {box.part.title: box.y for box in picture.boxes if isinstance(box.part, Node)}
    assert [rows[f"{name}2"] for name in "abcd"] == [rows[name] for name in "abcd"]


def middles(picture: Placed) -> dict[str, float]:
    boxes = [(box, box.part) for box in picture.boxes]
    return {node.title: box.y + box.height / 2 for box, node in boxes if isinstance(node, Node)}


def test_a_graph_is_level_where_it_can_be() -> None:
    steps = (
        api("a"),
        api("b", depends_on=["a"]),
        api("c", depends_on=["a"]),
        api("d", depends_on=["b", "c"]),
    )
    at = middles(placed(graph(*steps)))
    assert at["a"] == pytest.approx(at["d"]) == pytest.approx((at["b"] + at["c"]) / 2)
    chain = graph(api("a"), api("b", depends_on=["a"]), api("c", depends_on=["b"]), *apis("xyz"))
    level = middles(placed(chain))
    assert level["a"] == pytest.approx(level["b"], abs=1.0) == pytest.approx(level["c"], abs=1.0)


def test_a_few_stand_in_a_column_and_many_in_rows() -> None:
    few = middles(placed(parallel(*apis("abcd"))))
    assert len({few[name] for name in "abcd"}) == 4
    many = placed(LARGE["60 in parallel"])
    assert 0.5 < many.width / many.height < 2.0


def test_crossings_are_counted() -> None:
    assert crossings([[0, 1], [2, 3]], {0: [3], 1: [2]}) == 1
    assert crossings([[0, 1], [2, 3]], {0: [2, 3], 1: [2, 3]}) == 1
    assert crossings([[0, 1], [2, 3]], {0: [2], 1: [3]}) == 0


@pytest.mark.parametrize("seed", range(10))
def test_crossings_are_those_of_each_pair(seed: int) -> None:
    chance = random.Random(seed)
    upper, lower = list(range(12)), list(range(12, 24))
    chance.shuffle(lower)
    after = {i: chance.sample(lower, chance.randint(0, 4)) for i in upper}
    lines = [(i, lower.index(j)) for i in upper for j in after[i]]
    pairs = sum(a < b and one > two for a, one in lines for b, two in lines)
    assert crossings([upper, lower], after) == pairs > 0
