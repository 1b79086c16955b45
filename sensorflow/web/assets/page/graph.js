// The graph of a pipeline or a run: tasks, datasets and sensors, each with its state.
//
//   <Graph nodes=[{id, kind: "task" | "dataset" | "sensor", label, state, note?}] edges=[{source, target}]
//     picked="id" onPick=${(node) => ...} />
//
// States may change as often as they like: what is laid out anew is only another structure.
import { SHAPES } from "./parts.js";
import { html, useEffect, useLayoutEffect, useMemo, useRef, useSignal } from "./ui.js";

// Above so many nodes only those around the one that is picked are shown.
export const MOST = 300;
// So many of them, the nearest first.
const AROUND = 80;
const LETTERS = 30;
const HEIGHT = 30;
const KEPT_LAYOUTS = 30;
const [SMALLEST, LARGEST] = [0.25, 2.5];
// What a reader wants to see first in a graph that is too large to be shown whole.
const URGENT = ["failed", "down", "retrying", "running", "queued", "late", "blocked", "missing", "partial", "waiting"];

const layouts = new Map();
const asked = new Map();
let worker = null;

// The places of a structure: a promise, or what it came to.
function laidOut(key, nodes, edges) {
  if (layouts.has(key)) return layouts.get(key);
  if (!worker) {
    worker = new Worker(new URL("./graph-worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => answered(data.key, data);
    worker.onerror = () => [...asked.keys()].forEach((each) => answered(each, { error: "the thread that draws it did not start" }));
  }
  if (!asked.has(key)) {
    let tell;
    const promise = new Promise((resolve) => (tell = resolve));
    asked.set(key, { promise, tell });
    worker.postMessage({ key, nodes, edges });
  }
  return asked.get(key).promise;
}

function answered(key, found) {
  if (layouts.size >= KEPT_LAYOUTS) layouts.delete(layouts.keys().next().value);
  if (!found.error) layouts.set(key, found);
  asked.get(key)?.tell(found);
  asked.delete(key);
}

let pen = null;

function widthOf(label) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = "13px system-ui, sans-serif";
  return Math.ceil(pen.measureText(label).width) + 44;
}

const shortened = (label) => (label.length > LETTERS ? `${label.slice(0, LETTERS - 1)}…` : label);

// The nodes around one, the nearest first, over edges of both directions.
function around(nodes, edges, centre) {
  const beside = new Map(nodes.map(({ id }) => [id, []]));
  for (const { source, target } of edges) {
    beside.get(source)?.push(target);
    beside.get(target)?.push(source);
  }
  const found = new Set([centre]);
  for (const id of found) {
    for (const other of beside.get(id) ?? []) if (found.size < AROUND) found.add(other);
  }
  return found;
}

function urgent(nodes) {
  for (const state of URGENT) {
    const found = nodes.find((node) => node.state === state);
    if (found) return found.id;
  }
  return nodes[0].id;
}

export function Graph({ nodes, edges, onPick, picked, label = "Graph" }) {
  const centre = useSignal(null);
  if (nodes.length === 0) return html`<p class="empty">There is nothing to draw.</p>`;
  const large = nodes.length > MOST;
  const known = (id) => nodes.some((node) => node.id === id);
  // Once chosen it stays, so that what changes its state elsewhere does not move the picture.
  if (large && !known(centre.peek())) centre.value = urgent(nodes);
  const middle = large ? (known(picked) ? picked : centre.value) : null;
  const near = large ? around(nodes, edges, middle) : null;
  const seen = near ? nodes.filter((node) => near.has(node.id)) : nodes;
  const ids = new Set(seen.map((node) => node.id));
  const lines = edges.filter((edge) => ids.has(edge.source) && ids.has(edge.target));
  const pick = (node) => {
    if (large) centre.value = node.id;
    onPick?.(node);
  };
  return html`<div class="graph">
    ${large && html`<${Chooser} nodes=${nodes} middle=${middle} shown=${seen.length} pick=${pick} />`}
    <${Drawing} nodes=${seen} edges=${lines} picked=${picked ?? (large ? middle : undefined)} pick=${onPick || large ? pick : null} label=${label} />
  </div>`;
}

// The way to the other nodes of a graph that is too large to be shown whole.
function Chooser({ nodes, middle, shown, pick }) {
  const choose = (event) => {
    const found = nodes.find((node) => node.label === event.target.value);
    if (found) pick(found);
  };
  return html`<div class="row"><span class="quiet">${shown} of ${nodes.length} nodes, those around</span>
    <input list="graph-nodes" aria-label="Node to show the neighbourhood of" value=${nodes.find((node) => node.id === middle)?.label} onChange=${choose} />
    <datalist id="graph-nodes">${nodes.map((node) => html`<option value=${node.label}>${node.kind}, ${node.state}</option>`)}</datalist></div>`;
}

function useLayout(nodes, edges) {
  const structure = JSON.stringify([nodes.map((node) => [node.id, shortened(node.label)]), edges.map((edge) => [edge.source, edge.target])]);
  const found = useSignal(null);
  useEffect(() => {
    let gone = false;
    const sized = nodes.map((node) => ({ id: node.id, width: widthOf(shortened(node.label)), height: HEIGHT }));
    const answer = laidOut(structure, sized, edges.map(({ source, target }) => ({ source, target })));
    if (answer instanceof Promise) answer.then((layout) => gone || (found.value = layout));
    else found.value = answer;
    return () => (gone = true);
  }, [structure]);
  return found.value;
}

function Drawing({ nodes, edges, picked, pick, label }) {
  const layout = useLayout(nodes, edges);
  const box = useRef();
  const view = useView(box, layout, picked ?? nodes.find((node) => node.state === "failed")?.id);
  if (layout?.error) return html`<p class="problem" role="alert">The graph cannot be drawn: ${layout.error}</p>`;
  if (!layout) return html`<p class="quiet" role="status">Drawing the graph …</p>`;
  const placed = nodes.filter((node) => layout.nodes.has(node.id));
  const { x, y, k } = view.at;
  // One node is in the order of tabs; from there arrows go on.
  const held = placed.some((node) => node.id === picked);
  return html`<div class="graph-box" ref=${box} style=${{ height: `${view.height}px` }}>
    <svg role="group" aria-label=${label} ...${view.handlers} onKeyDown=${(event) => walk(event, placed, layout)}>
      <defs><marker id="graph-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" /></marker></defs>
      <g transform="translate(${x} ${y}) scale(${k})">
        <${Lines} edges=${layout.edges} picked=${picked} />
        ${placed.map((node, index) => html`<${Node} key=${node.id} node=${node} at=${layout.nodes.get(node.id)} pick=${pick}
          picked=${node.id === picked} reached=${held ? node.id === picked : index === 0} />`)}
      </g>
    </svg>
    <div class="graph-tools">
      <button type="button" class="small" aria-label="Larger" onClick=${() => view.zoom(1.25)}>+</button>
      <button type="button" class="small" aria-label="Smaller" onClick=${() => view.zoom(0.8)}>−</button>
      <button type="button" class="small" onClick=${view.fit}>Fit</button>
    </div>
  </div>`;
}

function Lines({ edges, picked }) {
  const drawn = useMemo(() => edges.map((edge) => ({ ...edge, path: curve(edge.points) })), [edges]);
  return drawn.map(({ source, target, path }) => html`<path key=${`${source}\n${target}`} d=${path}
    class="graph-line ${picked && (source === picked || target === picked) ? "is-near" : ""}" marker-end="url(#graph-head)" />`);
}

function curve(points) {
  const [first, ...rest] = points.map(({ x, y }) => [x.toFixed(1), y.toFixed(1), x, y]);
  let path = `M${first[0]} ${first[1]}`;
  for (let at = 0; at < rest.length - 1; at++) {
    const [x, y, fromX, fromY] = rest[at];
    const last = at === rest.length - 2;
    const [, , toX, toY] = rest[at + 1];
    path += last ? `Q${x} ${y} ${toX.toFixed(1)} ${toY.toFixed(1)}` : `Q${x} ${y} ${((fromX + toX) / 2).toFixed(1)} ${((fromY + toY) / 2).toFixed(1)}`;
  }
  return rest.length === 1 ? `${path}L${rest[0][0]} ${rest[0][1]}` : path;
}

function Node({ node, at, pick, picked, reached }) {
  const [shape] = SHAPES[node.state] ?? ["•"];
  const { width } = at;
  const act = pick && {
    role: "button", tabindex: reached ? 0 : -1, "aria-pressed": String(picked), onClick: () => pick(node),
    onKeyDown: (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      pick(node);
    },
  };
  const words = `${node.kind} ${node.label}, ${node.state}${node.note ? `, ${node.note}` : ""}`;
  return html`<g class="graph-node is-${node.kind} is-${node.state} ${picked ? "is-picked" : ""}" data-node=${node.id}
      transform="translate(${at.x - width / 2} ${at.y - HEIGHT / 2})" role=${pick ? undefined : "img"} aria-label=${words} ...${act ?? {}}>
    <title>${words}</title>
    <path class="graph-shape" d=${outline(node.kind, width)} />
    <text class="shape" x="16" y="20" text-anchor="middle" aria-hidden="true">${shape}</text>
    <text x="29" y="19.5">${shortened(node.label)}</text>
  </g>`;
}

// A task is a box, a dataset a pill, a sensor has a point on each side: none of them needs a colour.
function outline(kind, width) {
  if (kind === "sensor") return `M8 0H${width - 8}L${width} 15L${width - 8} 30H8L0 15z`;
  const round = kind === "dataset" ? 15 : 5;
  return `M${round} 0H${width - round}a${round} ${round} 0 0 1 ${round} ${round}V${HEIGHT - round}a${round} ${round} 0 0 1 -${round} ${round}H${round}a${round} ${round} 0 0 1 -${round} -${round}V${round}a${round} ${round} 0 0 1 ${round} -${round}z`;
}

// Arrows go over the edges, and up and down to the nodes above and below.
function walk(event, nodes, layout) {
  const from = event.target.closest("[data-node]")?.dataset.node;
  const here = layout.nodes.get(from);
  if (!here || !event.key.startsWith("Arrow")) return;
  const beside = {
    ArrowRight: () => layout.edges.filter((edge) => edge.source === from).map((edge) => edge.target),
    ArrowLeft: () => layout.edges.filter((edge) => edge.target === from).map((edge) => edge.source),
    ArrowUp: () => nodes.map((node) => node.id).filter((id) => layout.nodes.get(id).y < here.y - 1),
    ArrowDown: () => nodes.map((node) => node.id).filter((id) => layout.nodes.get(id).y > here.y + 1),
  }[event.key]();
  const far = (id) => Math.hypot((layout.nodes.get(id).x - here.x) / 4, layout.nodes.get(id).y - here.y);
  const [next] = beside.sort((one, other) => far(one) - far(other));
  event.preventDefault();
  if (next) [...event.currentTarget.querySelectorAll("[data-node]")].find((node) => node.dataset.node === next)?.focus();
}

// Where the reader looks: dragged by the pointer, zoomed by the buttons or by the wheel with Ctrl (a pinch).
function useView(box, layout, middle) {
  const width = useSignal(0);
  const moved = useSignal(null);
  const drag = useRef(null);
  useLayoutEffect(() => {
    if (!box.current) return undefined;
    const seen = new ResizeObserver(([entry]) => (width.value = entry.contentRect.width));
    seen.observe(box.current);
    width.value = box.current.clientWidth;
    const wheel = (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const { left, top } = box.current.getBoundingClientRect();
      zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, event.clientX - left, event.clientY - top);
    };
    box.current.addEventListener("wheel", wheel, { passive: false });
    const element = box.current;
    return () => (seen.disconnect(), element.removeEventListener("wheel", wheel));
  }, [layout]);
  useEffect(() => void (moved.value = null), [layout]);

  const most = Math.max(240, Math.min(560, innerHeight * 0.6));
  const scale = layout?.nodes && width.value ? Math.max(0.55, Math.min(1, width.value / layout.width, most / layout.height)) : 1;
  // Where it does not fit there is room below for the buttons.
  const below = layout?.nodes && layout.width * scale > width.value ? 34 : 0;
  const height = layout?.nodes ? Math.max(96, Math.min(most, layout.height * scale + below)) : most;
  // What does not fit begins around the node that matters when it was laid out; later picks move nothing.
  const first = useMemo(() => layout?.nodes?.get(middle), [layout]);
  const begin = (room, size, middle) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, room / 2 - middle)));
  const fitted = layout?.nodes
    ? { x: begin(width.value, layout.width * scale, (first?.x ?? 0) * scale), y: begin(height - below, layout.height * scale, (first?.y ?? layout.height / 2) * scale), k: scale }
    : { x: 0, y: 0, k: 1 };
  const at = moved.value ?? fitted;
  const now = useRef(at);
  now.current = at;

  function zoom(by, x = width.value / 2, y = height / 2) {
    const { k, ...from } = now.current;
    const next = Math.min(LARGEST, Math.max(SMALLEST, k * by));
    moved.value = { x: x - ((x - from.x) * next) / k, y: y - ((y - from.y) * next) / k, k: next };
  }
  const handlers = {
    onPointerDown: (event) => {
      if (event.button === 0) drag.current = { x: event.clientX, y: event.clientY, from: now.current, far: false };
    },
    onPointerMove: (event) => {
      const { current } = drag;
      if (!current) return;
      const [x, y] = [event.clientX - current.x, event.clientY - current.y];
      // A hand that trembles while it picks a node does not move the picture.
      if (!current.far && Math.hypot(x, y) < 5) return;
      if (!current.far) event.currentTarget.setPointerCapture(event.pointerId);
      current.far = true;
      moved.value = { ...current.from, x: current.from.x + x, y: current.from.y + y };
    },
    onPointerUp: () => (drag.current = null),
    onPointerCancel: () => (drag.current = null),
  };
  return { at, height, zoom, fit: () => (moved.value = null), handlers };
}
