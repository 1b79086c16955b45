// When partitions of a dataset came: each a mark above (late) or below (in time) the line of what was expected.
import { duration, shown } from "./times.js";
import { html } from "./ui.js";

const HOUR = 3_600_000;
const SMALL = { column: 8, height: 36, left: 2 };
const LARGE = { column: 16, height: 150, left: 104 };

// Of each partition how long after its expected time it came, or would come now; the oldest first.
function marks(partitions, late) {
  const known = new Set(partitions.map((each) => each.partition));
  const absent = late.filter((key) => !known.has(key)).map((partition) => ({ partition, state: "missing", late: true }));
  const all = [...partitions, ...absent].sort((one, other) => ((one.partition ?? "") < (other.partition ?? "") ? -1 : 1));
  return all.map((each) => {
    const expected = each.expected_at ? Date.parse(each.expected_at) : null;
    const came = each.state === "ready" && each.ready_at ? Date.parse(each.ready_at) : null;
    const after = expected === null ? null : (came ?? Date.now()) - expected;
    return { key: each.partition, state: each.state, came, after, late: each.late || (came !== null && after > 0), words: words(each, came, after) };
  });
}

function words(partition, came, after) {
  const name = partition.partition ?? "the whole";
  if (came === null) return `${name}: ${partition.state}${partition.late ? ", late" : ""}`;
  const at = shown(partition.ready_at).exact;
  return after === null ? `${name}: ready at ${at}` : `${name}: ready at ${at}, ${duration(after)} ${after > 0 ? "late" : "before it was expected"}`;
}

// One that came days late does not press all others together: what is further away stands at the edge.
function reach(found) {
  const far = found.filter((each) => each.after !== null).map((each) => Math.abs(each.after)).sort((one, other) => one - other);
  return Math.max(far[Math.floor((far.length - 1) * 0.9)] ?? 0, HOUR / 60);
}

export function Arrivals({ partitions, late, large = false, onPick }) {
  const found = marks(partitions, late);
  if (found.length === 0) return html`<span class="quiet">nothing has come</span>`;
  const timed = found.some((each) => each.after !== null);
  // Where nobody expects them at a time they stand in a line.
  const { column, height, left } = large && timed ? LARGE : large ? { ...LARGE, height: SMALL.height, left: SMALL.left } : SMALL;
  const most = reach(found);
  const middle = height / 2;
  const y = (after) => middle - Math.max(-1, Math.min(1, after / most)) * (middle - 6);
  const width = left + found.length * column + 4;
  const tardy = found.filter((each) => each.late).length;
  const label = `${found.length} ${found.length === 1 ? "partition" : "partitions"}, ${found.filter((each) => each.state === "ready").length} ready${timed || tardy ? `, ${tardy} late` : ""}`;
  return html`<div class=${large ? "scroll" : ""}><svg class="arrivals ${large ? "is-large" : ""}" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="img" aria-label=${label}>
    ${timed && html`<line class="expected" x1=${left} x2=${width} y1=${middle} y2=${middle} />`}
    ${timed && large && html`<text x="0" y="14">${duration(most)} late</text><text x="0" y=${middle + 4}>expected</text><text x="0" y=${height - 6}>${duration(most)} early</text>`}
    ${found.map((each, index) => html`<${Mark} key=${each.key ?? ""} mark=${each} x=${left + (index + 0.5) * column} y=${each.after !== null ? y(each.after) : timed && each.late ? y(most) : middle}
      middle=${middle} size=${large ? 4.5 : 2.8} column=${column} height=${height} onPick=${onPick} />`)}
  </svg></div>`;
}

// In time a dot, late a triangle, not there a ring: none of them needs its colour.
function Mark({ mark, x, y, middle, size, column, height, onPick }) {
  const there = mark.state === "ready";
  const look = mark.late ? "late" : mark.state;
  const triangle = `M${x} ${y - size * 1.3}L${x + size * 1.2} ${y + size}L${x - size * 1.2} ${y + size}z`;
  return html`<g class="is-${look} ${there ? "" : "is-hollow"}" onClick=${onPick && mark.key ? () => onPick(mark.key) : undefined}>
    <title>${mark.words}</title>
    <rect class="room" x=${x - column / 2} y="0" width=${column} height=${height} />
    <line x1=${x} x2=${x} y1=${middle} y2=${y} />
    ${mark.late ? html`<path d=${triangle} />` : html`<circle cx=${x} cy=${y} r=${size} />`}
  </g>`;
}
