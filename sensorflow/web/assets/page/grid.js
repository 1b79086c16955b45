// Partitions and tasks: a row for each partition, a column for each task. Dragged over, rows are a range.
import { Empty, More, SHAPES, State, When } from "./parts.js";
import { filter, link } from "./place.js";
import { html, useSignal } from "./ui.js";

// More tasks than that are told by how many are in each state.
const COLUMNS = 24;
const HANDLE = "⠿";
const TASK_STATES = ["failed", "blocked", "retrying", "running", "queued", "waiting", "skipped", "cancelled", "succeeded"];

export function Grid({ pipeline, page, chosen, onRange }) {
  const drag = useRange(page.items, onRange);
  const tasks = pipeline.tasks.length > COLUMNS ? null : pipeline.tasks.map((task) => task.name);
  if (page.items.length === 0) return html`<${Empty} command=${`sensorflow run ${pipeline.name}${pipeline.grain === "none" ? "" : " PARTITION"}`}>There is no run yet: the first arrival of an input makes one.<//>`;
  return html`<div class="scroll"><table class="grid" onPointerMove=${drag.over} onPointerUp=${drag.end} onPointerLeave=${drag.cancel} onPointerCancel=${drag.cancel} onDragStart=${(event) => event.preventDefault()}>
      <thead><tr><th>${pipeline.grain === "none" ? "Run" : "Partition"}</th><th>State</th>
        ${tasks ? tasks.map((task) => html`<th class="task" title=${task}><span>${task}</span></th>`) : html`<th>Tasks</th>`}</tr></thead>
      <tbody>${page.items.map((item, index) => html`<${Row} key=${item.partition ?? item.run.id} item=${item} index=${index} tasks=${tasks} pipeline=${pipeline}
        chosen=${item.partition ? item.partition === chosen?.partition : item.run.id === chosen?.run?.id} marked=${drag.marks(index)} onPointerDown=${onRange && drag.begin} />`)}</tbody>
    </table></div>
    <${More} next=${page.next} onMore=${(cursor) => filter({ cursor })} />
    ${onRange && html`<p class="quiet">Drag over partitions<span class="by-finger">, by their handles ${HANDLE},</span> to backfill them.</p>`}`;
}

function Row({ item, index, tasks, pipeline, chosen, marked, onPointerDown }) {
  const { partition, run } = item;
  const here = partition ? { partition, run: undefined } : { run: run.id, partition: undefined };
  const choose = (event) => {
    event.preventDefault();
    filter(here);
  };
  return html`<tr data-row data-index=${index} class=${`${chosen ? "is-chosen" : ""} ${marked ? "is-marked" : ""}`} onPointerDown=${onPointerDown}>
    <th scope="row">${onPointerDown && html`<span class="handle by-finger" aria-hidden="true">${HANDLE}</span>`}<a class="mono" href=${link(["pipelines", pipeline.name], here)} onClick=${choose} aria-current=${chosen ? "true" : undefined}>${partition ?? html`<${When} at=${run.created_at} zone=${pipeline.timezone} />`}</a></th>
    <td>${run ? html`<a href=${link(["runs", run.id])} title="the run"><${State} state=${run.state} /></a>${run.stale && html` <${State} state="stale" />`}` : html`<span class="quiet">no run</span>`}</td>
    ${tasks ? tasks.map((task) => html`<td class="task">${run && html`<${Cell} run=${run} task=${task} />`}</td>`) : html`<td>${run && html`<${Counts} run=${run} />`}</td>`}
  </tr>`;
}

function Cell({ run, task }) {
  const state = run.tasks[task] ?? "waiting";
  const [shape] = SHAPES[state] ?? ["•"];
  return html`<a class="cell is-${state}" href=${link(["runs", run.id], { task })} title=${`${task}: ${state}`} aria-label=${`${task}: ${state}`} tabindex="-1">${shape}</a>`;
}

function Counts({ run }) {
  const counts = new Map();
  for (const state of Object.values(run.tasks)) counts.set(state, (counts.get(state) ?? 0) + 1);
  return TASK_STATES.filter((state) => counts.has(state)).map((state) => html`<span class="is-${state} count" title=${state}>${SHAPES[state][0]} ${counts.get(state)}</span> `);
}

// Rows that the pointer is drawn over; more than one of them are given to `onRange`, the oldest first.
function useRange(items, onRange) {
  const range = useSignal(null);
  // A finger's moves are all told to where it began, so what it is over is looked for.
  const rowAt = ({ clientX, clientY }) => {
    const found = document.elementFromPoint(clientX, clientY)?.closest("tr[data-index]");
    return found ? Number(found.dataset.index) : null;
  };
  const marks = (index) => range.value && index >= Math.min(range.value.from, range.value.to) && index <= Math.max(range.value.from, range.value.to);
  return {
    marks: (index) => range.value && range.value.from !== range.value.to && marks(index),
    begin: (event) => {
      // A finger scrolls, but where it begins on a handle.
      const takes = event.pointerType === "touch" ? event.target.closest(".handle") : event.button === 0;
      if (takes) range.value = { from: rowAt(event), to: rowAt(event) };
    },
    over: (event) => {
      const to = rowAt(event);
      if (range.value && to !== null && to !== range.value.to) {
        getSelection()?.removeAllRanges();
        range.value = { ...range.value, to };
      }
    },
    end: () => {
      const found = items.filter((item, index) => item.partition && range.value && marks(index)).map((item) => item.partition);
      range.value = null;
      if (found.length > 1) onRange(found.reverse());
    },
    cancel: () => (range.value = null),
  };
}
