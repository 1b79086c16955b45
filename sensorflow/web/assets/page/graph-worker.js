// Puts the nodes of a graph into places; in a thread of its own, as a large one takes its time.
import { Graph, layout } from "./vendor/dagre.js";

onmessage = ({ data: { key, nodes, edges } }) => {
  const graph = new Graph({ multigraph: false });
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 46, marginx: 8, marginy: 8 });
  for (const { id, width, height } of nodes) graph.setNode(id, { width, height });
  for (const { source, target } of edges) graph.setEdge(source, target, {});
  try {
    layout(graph);
  } catch (error) {
    postMessage({ key, error: error.message });
    return;
  }
  const { width, height } = graph.graph();
  postMessage({
    key,
    width,
    height,
    nodes: new Map(graph.nodes().map((id) => [id, graph.node(id)])),
    edges: graph.edges().map((edge) => ({ source: edge.v, target: edge.w, points: graph.edge(edge).points })),
  });
};
