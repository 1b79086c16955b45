// When each attempt ran: a bar per attempt on one line of time.
import { SHAPES } from "./parts.js";
import { duration, now } from "./times.js";
import { html, useLayoutEffect, useRef, useSignal } from "./ui.js";

const ROW = 22;
// How much of the width names may take, and how wide it is where there is little room.
const [NAMES, NARROWEST, LETTER] = [0.35, 420, 7];

export function Timeline({ tasks }) {
  const box = useRef();
  const room = useSignal(NARROWEST);
  useLayoutEffect(() => {
    const seen = new ResizeObserver(([entry]) => (room.value = Math.floor(entry.contentRect.width)));
    seen.observe(box.current);
    return () => seen.disconnect();
  }, []);
  return html`<div class="scroll" ref=${box}><${Bars} tasks=${tasks} width=${Math.max(room.value, NARROWEST)} /></div>`;
}

function Bars({ tasks, width }) {
  const bars = tasks.filter((task) => task.attempts.length > 0).flatMap((task, row) => task.attempts.filter((each) => each.started_at).map((attempt) => ({
    row, task: task.name, attempt, from: Date.parse(attempt.started_at), to: attempt.ended_at ? Date.parse(attempt.ended_at) : now.value,
  })));
  if (bars.length === 0) return html`<p class="quiet">No attempt has started yet.</p>`;
  const first = Math.min(...bars.map((bar) => bar.from));
  const last = Math.max(...bars.map((bar) => bar.to), first + 1);
  const begun = tasks.filter((task) => task.attempts.length > 0);
  const left = Math.min(width * NAMES, 12 + LETTER * Math.max(...begun.map((task) => task.name.length)));
  const x = (at) => left + ((at - first) / (last - first)) * (width - left - 10);
  const height = begun.length * ROW + 20;
  const letters = Math.floor((left - 12) / LETTER);
  return html`<svg class="timeline" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="img" aria-label=${`Attempts over ${duration(last - first)}`}>
    ${begun.map(({ name }, row) => html`<text x="0" y=${row * ROW + 15}>${name.length > letters ? `${name.slice(0, letters - 1)}…` : name}<title>${name}</title></text>`)}
    ${bars.map(({ row, attempt, task, from, to }) => html`<g class=${`is-${attempt.state}`}>
      <rect x=${x(from)} y=${row * ROW + 4} width=${Math.max(3, x(to) - x(from))} height=${ROW - 8} rx="3"><title>${task}, attempt ${attempt.number}: ${attempt.state}, ${duration(to - from)}</title></rect>
      ${x(to) - x(from) > 16 && html`<text class="on" x=${x(from) + 4} y=${row * ROW + 15} aria-hidden="true">${SHAPES[attempt.state]?.[1]}</text>`}
    </g>`)}
    <text x=${left} y=${height - 4} class="axis">0</text><text x=${width - 10} y=${height - 4} text-anchor="end" class="axis">${duration(last - first)}</text>
  </svg>`;
}
