// Pipelines and their newest runs: a table whose last column is drawn, a cell for each run.
import { columns, edges } from "./columns.js";
import { link, go } from "./place.js";
import { SHAPES, State } from "./parts.js";
import { html, signal, useEffect, useLayoutEffect, useMemo, useRef, useSignal } from "./ui.js";

const HEIGHT = 18;
const [NARROWEST, WIDEST] = [11, 18];
// How strongly a state is filled: what is well steps back.
const STRENGTH = { succeeded: 0.32, waiting: 0.2, running: 1, failed: 1, cancelled: 0.35 };

const dark = matchMedia("(prefers-color-scheme: dark)");
const ink = signal(inks());
dark.addEventListener("change", () => (ink.value = inks()));

function inks() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(["ground", "raised", "text", "line", "retrying", ...Object.keys(STRENGTH)].map((name) => [name, of(name)]));
}

export function Heat({ rows, most }) {
  const head = useRef();
  const width = useSignal(0);
  const hover = useSignal(null);
  useLayoutEffect(() => {
    const seen = new ResizeObserver(([entry]) => (width.value = Math.floor(entry.contentRect.width)));
    seen.observe(head.current);
    return () => seen.disconnect();
  }, []);
  const newest = edges(rows, Date.now());
  return html`<table class="heat">
    <thead><tr><th>Pipeline</th><th>Newest</th><th ref=${head} title="An empty cell: that partition has no run">A column for each partition, the newest on the right</th></tr></thead>
    <tbody>${rows.map((row) => html`<${Row} key=${row.name} row=${row} width=${width.value} most=${most} edge=${newest[row.grain]} hover=${hover} />`)}</tbody>
  </table>
  <${Tooltip} hover=${hover} />`;
}

function Row({ row, width, most, edge, hover }) {
  const [newest] = row.recent;
  return html`<tr data-row>
    <th scope="row"><a href=${link(["pipelines", row.name])} title=${row.description || row.name}>${row.name}</a>${row.paused && html` <${State} state="paused" />`}</th>
    <td>${newest ? html`<a href=${link(["runs", newest.id])}><${State} state=${newest.state} /> <span class="mono">${newest.partition ?? ""}</span></a>` : html`<span class="quiet">no run yet</span>`}</td>
    <td><${Strip} row=${row} width=${width} most=${most} edge=${edge} hover=${hover} /></td>
  </tr>`;
}

// The runs of a pipeline in words, for whoever does not see them.
function spoken({ name, recent }, behind) {
  const counts = new Map();
  for (const { state } of recent) counts.set(state, (counts.get(state) ?? 0) + 1);
  const words = [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
  return `${name}: ${words ? `of the newest ${recent.length} runs ${words}` : "no runs"}${behind > 0 ? `, ${behind} behind the newest` : ""}`;
}

function Strip({ row, width, most, edge, hover }) {
  const canvas = useRef();
  const { recent } = row;
  const cell = Math.max(NARROWEST, Math.min(WIDEST, Math.floor(width / most)));
  const count = Math.max(0, Math.min(most, Math.floor(width / cell)));
  const colours = ink.value;
  const { cells, behind } = useMemo(() => columns(row, count, edge), [recent, count, edge]);
  useEffect(() => draw(canvas.current, cells, { cell, colours }), [cells, cell, colours]);
  const runAt = (event) => cells[Math.floor(event.offsetX / cell)];
  const move = (event) => {
    const run = runAt(event);
    hover.value = run ? { run, pipeline: row.name, x: event.clientX, y: event.clientY } : null;
  };
  const open = (event) => {
    const run = runAt(event);
    if (run) go(["runs", run.id]);
  };
  return html`<canvas ref=${canvas} role="img" aria-label=${spoken(row, behind)} style=${{ width: `${cell * count}px`, height: `${HEIGHT}px` }}
    onPointerMove=${move} onPointerLeave=${() => (hover.value = null)} onClick=${open}></canvas>`;
}

function draw(canvas, cells, { cell, colours }) {
  const scale = devicePixelRatio || 1;
  canvas.width = cell * cells.length * scale;
  canvas.height = HEIGHT * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = "600 10px ui-monospace, monospace";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  cells.forEach((run, column) => {
    const x = column * cell;
    if (run === null) {
      pen.strokeStyle = colours.line;
      pen.strokeRect(x + 1.5, 1.5, cell - 3, HEIGHT - 3);
    }
    if (!run) return;
    const strength = STRENGTH[run.state] ?? 0.3;
    pen.globalAlpha = strength;
    pen.fillStyle = colours[run.state];
    pen.fillRect(x + 1, 1, cell - 2, HEIGHT - 2);
    pen.globalAlpha = 1;
    // Colour is not needed: what is not well has its letter, what may be out of date a bar.
    if (run.state !== "succeeded") {
      pen.fillStyle = strength > 0.6 ? colours.raised : colours.text;
      pen.fillText(SHAPES[run.state]?.[1] ?? "?", x + cell / 2, HEIGHT / 2 + 1);
    }
    if (run.stale) {
      pen.fillStyle = colours.retrying;
      pen.fillRect(x + 1, HEIGHT - 4, cell - 2, 3);
    }
  });
}

function Tooltip({ hover }) {
  if (!hover.value) return null;
  const { run, pipeline, x, y } = hover.value;
  // On the side where there is room for it.
  const beside = x > innerWidth / 2 ? { right: `${innerWidth - x + 12}px` } : { left: `${x + 12}px` };
  return html`<div class="heat-tip" style=${{ top: `${y + 14}px`, ...beside }}>
    <strong>${pipeline}</strong> <span class="mono">${run.partition ?? ""}</span> <${State} state=${run.state} />${run.stale && html` <${State} state="stale" />`}</div>`;
}
