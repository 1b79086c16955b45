from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.graph import find_cycles

EDGES = st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 10), max_size=4), max_size=9)


def test_a_cycle_names_its_members_in_order_from_the_first_of_the_edges() -> None:
    assert find_cycles({"x": ["b"], "b": ["c", "x0"], "c": ["d"], "d": ["b"]}) == [("b", "c", "d")]


def test_the_shortest_cycle_is_named() -> None:
    assert find_cycles({1: [2, 3], 2: [4], 3: [1], 4: [1]}) == [(1, 3)]


def test_a_node_that_leads_to_itself_is_a_cycle() -> None:
    assert find_cycles({1: [1, 2], 2: []}) == [(1,)]


def test_cycles_that_share_nothing_are_all_named() -> None:
    assert find_cycles({1: [2], 2: [1], 3: [2], 4: [5], 5: [4]}) == [(1, 2), (4, 5)]


def test_a_long_chain_is_no_cycle_and_no_recursion() -> None:
    chain = {n: [n + 1] for n in range(100_000)}
    assert find_cycles(chain) == []


@given(EDGES)
def test_what_is_named_is_a_cycle_and_without_cycles_an_order_exists(edges: dict[int, list[int]]) -> None:
    cycles = find_cycles(edges)
    for cycle in cycles:
        assert len(set(cycle)) == len(cycle)
        assert all(
            following in edges[node] for node, following in zip(cycle, (*cycle[1:], cycle[0]), strict=True)
        )
    assert len({node for cycle in cycles for node in cycle}) == sum(map(len, cycles))
    assert bool(cycles) != _can_be_ordered(edges)


def _can_be_ordered(edges: dict[int, list[int]]) -> bool:
    done: set[int] = set()
    while free := [n for n in edges if n not in done and all(m in done or m not in edges for m in edges[n])]:
        done.update(free)
    return len(done) == len(edges)
