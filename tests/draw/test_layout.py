"""Where things are put: nothing overlaps, arrows lead on, and large flows stay readable."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch import graph, parallel, sequential
from rxorch.draw.boxes import Box
from rxorch.draw.layers import crossings, layers_of
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
    picture = placed(random_graph(data))
    for route in picture.routes:
        if route.straight:
            continue
        for (x0, y0), (x1, y1) in pairwise(route.points):
            assert x0 < x1
            level = y0 == y1
            for box in picture.boxes:
                if level and box.x < x1 - 1e-6 and x0 + 1e-6 < box.x + box.width:
                    assert not box.y < y0 < box.y + box.height, (route, box)


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
