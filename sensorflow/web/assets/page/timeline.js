// When each attempt ran: a bar per attempt on one line of time.
import { SHAPES } from "./parts.js";
import { duration, now } from "./times.js";
import { html } from "./ui.js";

const ROW = 22;
const NAMES = 180;
const WIDTH = 900;

export function Timeline({ tasks }) {
  const bars = tasks.flatMap((task, row) => task.attempts.filter((each) => each.started_at).map((attempt) => ({
    row, task: task.name, attempt, from: Date.parse(attempt.started_at), to: attempt.ended_at ? Date.parse(attempt.ended_at) : now.value,
  })));
  if (bars.length === 0) return html`<p class="quiet">No attempt has started yet.</p>`;
  const first = Math.min(...bars.map((bar) => bar.from));
  const last = Math.max(...bars.map((bar) => bar.to), first + 1);
  const x = (at) => NAMES + ((at - first) / (last - first)) * (WIDTH - NAMES - 10);
  const height = tasks.length * ROW + 20;
  return html`<div class="scroll"><svg class="timeline" viewBox=${`0 0 ${WIDTH} ${height}`} role="img" aria-label=${`Attempts over ${duration(last - first)}`}>
    ${tasks.map((task, row) => html`<text x="0" y=${row * ROW + 15}>${task.name}</text>`)}
    ${bars.map(({ row, attempt, task, from, to }) => html`<g class=${`is-${attempt.state}`}>
      <rect x=${x(from)} y=${row * ROW + 4} width=${Math.max(3, x(to) - x(from))} height=${ROW - 8} rx="3"><title>${task}, attempt ${attempt.number}: ${attempt.state}, ${duration(to - from)}</title></rect>
      ${x(to) - x(from) > 16 && html`<text class="on" x=${x(from) + 4} y=${row * ROW + 15} aria-hidden="true">${SHAPES[attempt.state]?.[1]}</text>`}
    </g>`)}
    <text x=${NAMES} y=${height - 4} class="axis">0</text><text x=${WIDTH - 10} y=${height - 4} text-anchor="end" class="axis">${duration(last - first)}</text>
  </svg></div>`;
}
