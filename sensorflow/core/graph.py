"""Cycles in graphs, such as tasks that name each other in `after`."""

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def find_cycles(edges: Mapping[Node, Iterable[Node]]) -> list[tuple[Node, ...]]:
    """Return cycles that share no node, each as its members in the order of the edges.

    Each is the shortest through its first member; the first member is the first in `edges`. What
    an edge names and `edges` does not have leads nowhere. Empty where the graph has no cycle.
    """
    graph = _between_cycles({node: [n for n in nexts if n in edges] for node, nexts in edges.items()})
    cycles = []
    for start in list(graph):
        if start in graph and (cycle := _shortest_cycle(graph, start)):
            cycles.append(cycle)
            for node in cycle:
                del graph[node]
    return cycles


def _between_cycles(graph: dict[Node, list[Node]]) -> dict[Node, list[Node]]:
    """Return what is left when nodes without a way on are taken away, one after the other."""
    before: dict[Node, list[Node]] = {node: [] for node in graph}
    for node, nexts in graph.items():
        for following in nexts:
            before[following].append(node)
    ways_on = {node: len(nexts) for node, nexts in graph.items()}
    ends = [node for node, count in ways_on.items() if not count]
    while ends:
        for node in before[ends.pop()]:
            ways_on[node] -= 1
            if not ways_on[node]:
                ends.append(node)
    return {node: nexts for node, nexts in graph.items() if ways_on[node]}


def _shortest_cycle(graph: Mapping[Node, Collection[Node]], start: Node) -> tuple[Node, ...]:
    came_from: dict[Node, Node] = {}
    found = deque([start])
    while found:
        node = found.popleft()
        for following in graph[node]:
            if following == start:
                cycle = [node]
                while cycle[-1] != start:
                    cycle.append(came_from[cycle[-1]])
                return tuple(reversed(cycle))
            if following in graph and following not in came_from:
                came_from[following] = node
                found.append(following)
    return ()
