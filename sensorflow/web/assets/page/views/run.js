// Runs: the list of them, and one with why it waits, what it did, and what can be done about it.
import { get } from "../api.js";
import { useRead } from "../data.js";
import { Graph } from "../graph.js";
import { Log } from "../log.js";
import { Action, Empty, More, Shown, State, Waits, When, Words } from "../parts.js";
import { filter, link } from "../place.js";
import { Timeline } from "../timeline.js";
import { duration, way } from "../times.js";
import { html, useSignal } from "../ui.js";

const RUN_STATES = ["waiting", "running", "succeeded", "failed", "cancelled"];
// So many events that made an input are named.
const EVENTS = 6;
// Above so many tasks not all are shown at once; which come first then.
const MANY = 100;
const FIRST_OF_MANY = ["failed", "retrying", "running", "queued", "blocked", "waiting", "cancelled", "skipped", "succeeded"];
const ENDED = new Set(["succeeded", "failed", "blocked", "skipped", "cancelled"]);

export function Runs({ query }) {
  const { pipeline, partition, state, backfill, cursor } = query;
  const read = useRead(
    (signal) => get("/runs", { pipeline, partition, state, backfill, cursor }, { signal }),
    [pipeline, partition, state, backfill, cursor],
    (kind, data) => kind === "run" && (!pipeline || data.pipeline === pipeline),
  );
  const zones = useZones();
  const set = (name) => (event) => filter({ [name]: event.target.value.trim(), cursor: undefined });
  return html`<h1>Runs</h1>
    <div class="filters">
      <label>Pipeline <input value=${pipeline ?? ""} onChange=${set("pipeline")} /></label>
      <label>Partition <input value=${partition ?? ""} onChange=${set("partition")} /></label>
      <label>State <select value=${state ?? ""} onChange=${set("state")}>
        <option value="">any</option>${RUN_STATES.map((each) => html`<option value=${each}>${each}</option>`)}</select></label>
      ${backfill && html`<label>Of the backfill <button type="button" onClick=${() => filter({ backfill: undefined })}>${backfill.slice(0, 8)} … remove</button></label>`}
    </div>
    <${Shown} read=${read} of="the runs">${({ items, next }) => items.length === 0
      ? html`<${Empty} command="sensorflow run PIPELINE [PARTITION]">No run is so. A run is made by the first arrival of an input, by a schedule, a backfill, or by hand.<//>`
      : html`<div class="scroll"><table class="cards">
          <thead><tr><th>Run</th><th>State</th><th>Why</th><th>Made</th><th class="number">Took</th></tr></thead>
          <tbody>${items.map((run) => row(run, zones.get(run.pipeline)))}</tbody></table></div>
          <${More} next=${next} onMore=${(more) => filter({ cursor: more })} />`}<//>`;
}

// The zone of each pipeline, where times are to be shown in it.
function useZones() {
  const wanted = way.value === "zone";
  const read = useRead(async (signal) => (wanted ? (await get("/pipelines", { limit: 500 }, { signal })).items : []), [wanted]);
  return new Map((read.value.value ?? []).map((each) => [each.name, each.timezone]));
}

function row(run, zone) {
  return html`<tr data-row key=${run.id}>
    <td><a href=${link(["runs", run.id])}>${run.pipeline} <span class="mono">${run.partition ?? ""}</span></a>${run.generation > 1 && html` <small>generation ${run.generation}</small>`}</td>
    <td><${State} state=${run.state} />${run.stale && html` <${State} state="stale" />`}</td>
    <td><${InShort} run=${run} zone=${zone} /></td>
    <td data-label="Made"><${When} at=${run.created_at} zone=${zone} /></td>
    <td class="number" data-label="Took">${took(run.started_at, run.ended_at)}</td>
  </tr>`;
}

// Of why a run is not done the most important, without its circumstances: those are on its own page.
function InShort({ run, zone }) {
  const failed = run.tasks.filter((task) => task.state === "failed");
  const waits = causes(run);
  if (failed.length + waits.length === 0) return null;
  const [first, more] = failed.length > 0 ? [`${failed[0].name}: ${failed[0].attempts.at(-1)?.error ?? "failed"}`, failed.length - 1] : [waits[0].text.split("; ")[0], waits.length - 1];
  return html`<${Words} text=${first} zone=${zone} />${more > 0 && html` <small>and ${more} more</small>`}`;
}

// What is waited for, without what only waits for another task of the run that waits itself.
function causes(run) {
  const waits = run.tasks.filter((task) => task.state !== "failed").flatMap((task) => task.waiting_for);
  const others = waits.filter((wait) => wait.kind !== "task");
  return others.length > 0 ? others : waits;
}

const took = (from, to) => (from && to ? duration(Date.parse(to) - Date.parse(from)) : "");

export function Run({ id, query }) {
  const read = useRead(
    async (signal) => {
      const run = await get(`/runs/${encodeURIComponent(id)}`, {}, { signal });
      const pipeline = await get(`/pipelines/${encodeURIComponent(run.pipeline)}`, {}, { signal }).catch(() => null);
      return { run, pipeline };
    },
    [id],
    (kind, data) => (kind === "run" && data.id === id) || kind === "partition" || kind === "pipeline",
  );
  return html`<${Shown} read=${read} of="the run">${({ run, pipeline }) => html`
    <h1><a href=${link(["pipelines", run.pipeline], { partition: run.partition })}>${run.pipeline}</a> <span class="mono">${run.partition ?? ""}</span>
      ${" "}<${State} state=${run.state} />${run.stale && html` <${State} state="stale" title="a newer version of an input has come" />`}</h1>
    <p class="quiet">${run.trigger === "event" ? "made by an event" : `made by ${run.trigger}`} <${When} at=${run.created_at} zone=${pipeline?.timezone} />${run.generation > 1 && `, generation ${run.generation}`}${run.ended_at && html`, ended <${When} at=${run.ended_at} zone=${pipeline?.timezone} /> after ${took(run.started_at, run.ended_at)}`}${run.backfill && html`, of <a href=${link(["backfills", run.backfill])}>a backfill</a>`}</p>
    <${Why} run=${run} zone=${pipeline?.timezone} />
    <${Actions} run=${run} />
    ${pipeline && html`<${TaskGraph} run=${run} pipeline=${pipeline} picked=${picked(run, query)} />`}
    <h2>Tasks</h2>
    <${Tasks} run=${run} tasks=${shownTasks(run, query)} zone=${pipeline?.timezone} picked=${picked(run, query)} />
    ${shownTasks(run, query).length < run.tasks.length && html`<p class="quiet">and ${run.tasks.length - shownTasks(run, query).length} more, that went well or come last: <a href=${link(["runs", id], { ...query, all: 1 })}>show all ${run.tasks.length}</a></p>`}
    ${picked(run, query) && html`<${Log} key=${`${id}/${picked(run, query)}/${query.attempt}`} run=${run} task=${picked(run, query)} attempt=${query.attempt} onClose=${() => filter({ task: NONE, attempt: undefined })} />`}
    <h2>Timeline</h2>
    <${Timeline} tasks=${shownTasks(run, query)} />
    <h2>Inputs <small>what the last attempts took</small></h2>
    <${Inputs} run=${run} />
    ${run.operations.length > 0 && html`<h2>What people did</h2><ul>${run.operations.map((each) => html`<li><${When} at=${each.at} /> ${each.kind}${each.task ? ` ${each.task}` : ""}${each.reason ? `: ${each.reason}` : ""}</li>`)}</ul>`}
  `}<//>`;
}

// In the place of a task's name: none is picked. (No task can be called so.)
const NONE = "-";

// Whose log is open: of a run that failed, unless somebody says otherwise, of the task that did.
function picked(run, { task }) {
  if (task) return task === NONE ? undefined : task;
  return run.tasks.find((each) => each.state === "failed")?.name;
}

// First of all in words: what is missing, or what has failed.
function Why({ run, zone }) {
  const waiting = run.tasks.filter((task) => task.waiting_for.some((wait) => wait.kind !== "task") && task.state !== "failed");
  const behind = run.tasks.filter((task) => task.waiting_for.length > 0 && task.state !== "failed" && !waiting.includes(task));
  const failed = run.tasks.filter((task) => task.state === "failed");
  const end = run.state === "cancelled" && run.operations.findLast((each) => (each.kind === "cancel" || each.kind === "expire") && !each.task);
  if (end) {
    return html`<section class="panel" aria-label="Why"><strong>${end.kind === "expire" ? "It waited for too long" : "It was cancelled"}</strong> <${When} at=${end.at} zone=${zone} />
      <div>${end.reason ? html`<${Words} text=${end.reason} zone=${zone} />` : html`<span class="quiet">no reason was given</span>`}</div></section>`;
  }
  if (waiting.length + behind.length + failed.length === 0) return null;
  // Tasks that wait for the same are told together.
  const groups = new Map();
  for (const task of waiting) {
    const key = task.waiting_for.map((wait) => wait.text).join("\n");
    groups.set(key, { names: [...(groups.get(key)?.names ?? []), task.name], waits: task.waiting_for });
  }
  return html`<section class="panel" aria-label="Why">
    <h2 style=${{ marginTop: 0 }}>${failed.length > 0 ? "What has failed, and what waits" : "Why it waits"}</h2>
    ${failed.map((task) => html`<p><${State} state="failed" /> <a href=${link(["runs", run.id], { task: task.name })}>${task.name}</a>: ${task.attempts.at(-1)?.error ?? "failed"} <small>attempt ${task.attempts.at(-1)?.number}</small></p>`)}
    ${[...groups.values()].map(({ names, waits }) => html`<div><strong>${names.join(", ")}</strong><${Waits} waits=${waits} zone=${zone} /></div>`)}
    ${behind.length > 0 && html`<details><summary>${behind.length === 1 ? `${behind[0].name} comes` : `${few(behind)} come`} after ${waiting.length + failed.length > 0 ? "that" : "what runs now"}</summary>
      ${behind.map((task) => html`<div key=${task.name}><strong>${task.name}</strong><${Waits} waits=${task.waiting_for} zone=${zone} /></div>`)}</details>`}
  </section>`;
}

const few = (tasks) => (tasks.length > 6 ? `${tasks.length} tasks` : tasks.map((task) => task.name).join(", "));

function Actions({ run }) {
  const again = run.tasks.filter((task) => task.state === "failed" || task.state === "cancelled");
  const open = run.tasks.some((task) => !ENDED.has(task.state));
  const where = run.partition ? [run.pipeline, run.partition] : [run.pipeline];
  return html`<div class="row">
    ${again.length > 0 && html`<${Action} label="Retry" path=${`/runs/${run.id}/retry`} cli=${["retry", run.id]}
      question=${`${again.map((task) => task.name).join(", ")} will be tried again, and what is blocked below can run then.`} />`}
    ${run.state === "waiting" && html`<${Action} label="Force" path="/runs" body=${{ pipeline: run.pipeline, ...(run.partition ? { partition: run.partition } : {}), force: true }}
      cli=${["run", ...where, "--force"]} question="It will fire without waiting for inputs and times." danger />`}
    ${!open && run.state !== "running" && html`<${Action} label="Run again" path="/runs" body=${{ pipeline: run.pipeline, ...(run.partition ? { partition: run.partition } : {}) }}
      cli=${["run", ...where]} question="All tasks run again, as the run's next generation." />`}
    ${open && html`<${Action} label="Cancel" danger path=${`/runs/${run.id}/cancel`} cli=${["cancel", run.id]}
      question="What runs is stopped (SIGTERM), and what waits will not start." />`}
  </div>`;
}

function TaskGraph({ run, pipeline, picked }) {
  const states = Object.fromEntries(run.tasks.map((task) => [task.name, task.state]));
  const nodes = pipeline.tasks.map((task) => ({ id: task.name, kind: "task", label: task.name, state: states[task.name] }));
  return html`<${Graph} nodes=${nodes} edges=${pipeline.edges} picked=${picked} onPick=${(task) => filter({ task, attempt: undefined })} />`;
}

// Of very many tasks those that somebody looks for: what failed and what goes on before what waits and what is done.
function shownTasks(run, { all, task: named }) {
  if (all || run.tasks.length <= MANY) return run.tasks;
  const place = (task) => (task.name === named ? -1 : FIRST_OF_MANY.indexOf(task.state));
  const wanted = new Set(run.tasks.toSorted((one, other) => place(one) - place(other)).slice(0, MANY));
  return run.tasks.filter((task) => wanted.has(task));
}

function Tasks({ run, tasks, zone, picked }) {
  return html`<div class="scroll"><table class="cards">
    <thead><tr><th>Task</th><th>State</th><th>Attempts</th><th>Last</th><th></th></tr></thead>
    <tbody>${tasks.map((task) => html`<tr data-row key=${task.name} class=${task.name === picked ? "is-picked" : ""}>
      <td><a href=${link(["runs", run.id], { task: task.name })}>${task.name}</a></td>
      <td><${State} state=${task.state} />${task.next_attempt_at && html` <small>again <${When} at=${task.next_attempt_at} zone=${zone} /></small>`}<${Collected} of=${task.collected} /></td>
      <td data-label="Attempts">${task.attempts.map((attempt) => html`<a class="attempt" href=${link(["runs", run.id], { task: task.name, attempt: attempt.number })} title=${`attempt ${attempt.number}: ${attempt.state}${attempt.error ? `, ${attempt.error}` : ""}`}><${State} state=${attempt.state} short /></a> `)}</td>
      <td data-label="Last">${last(task.attempts.at(-1), zone)}</td>
      <td><${TaskActions} run=${run} task=${task} /></td>
    </tr>`)}</tbody></table></div>`;
}

// Without partitions: what has come since the task started, and is for its next start.
function Collected({ of }) {
  const all = Object.entries(of ?? {});
  if (all.length === 0) return null;
  return html`<div><small>collects for its next start: ${all.map(([dataset, count]) => `${count} ${count === 1 ? "arrival" : "arrivals"} of ${dataset}`).join(", ")}</small></div>`;
}

function last(attempt, zone) {
  if (!attempt) return "";
  return html`<${When} at=${attempt.started_at} zone=${zone} /> <small>${took(attempt.started_at, attempt.ended_at)}</small>${attempt.error && html`<div class="mono">${attempt.error}</div>`}`;
}

function TaskActions({ run, task }) {
  const mark = (state) => html`<${Action} label=${`Mark ${state}`} danger path=${`/runs/${run.id}/tasks/${encodeURIComponent(task.name)}/mark`} body=${{ state }}
    cli=${["mark", run.id, task.name, state]} question=${state === "succeeded" ? "It counts as done, and what it makes is ready, without it having run." : "It counts as done, and makes nothing ready."} />`;
  return html`<details><summary>actions</summary><div class="row">
    ${ENDED.has(task.state) && html`<${Action} label="Run this one again" path=${`/runs/${run.id}/retry`} body=${{ tasks: [task.name] }} cli=${["retry", run.id, task.name]}
      question=${`${task.name} runs again.`} />`}
    ${task.state !== "running" && task.state !== "succeeded" && mark("succeeded")}
    ${task.state !== "running" && task.state !== "skipped" && mark("skipped")}
  </div></details>`;
}

// Of each input the partitions and versions that were taken, by the last attempt that took it.
function Inputs({ run }) {
  const taken = new Map();
  for (const task of run.tasks) {
    for (const [dataset, partitions] of Object.entries(task.attempts.at(-1)?.consumed ?? {})) {
      const known = taken.get(dataset) ?? { partitions: {}, tasks: [] };
      taken.set(dataset, { partitions: { ...known.partitions, ...partitions }, tasks: [...known.tasks, task.name] });
    }
  }
  if (taken.size === 0) return html`<p class="quiet">Nothing has been taken yet.</p>`;
  return html`<ul>${[...taken].map(([dataset, { partitions, tasks }]) => {
    const keys = Object.entries(partitions);
    return html`<li key=${dataset}><a href=${link(["datasets", dataset])}>${dataset}</a> <small>by ${tasks.join(", ")}</small>${" "}
      ${keys.length === 1 ? html`<div><${Taken} dataset=${dataset} partition=${keys[0][0]} version=${keys[0][1]} /></div>`
        : html`<${Opened} words=${`${keys.length} partitions`}><ul>${keys.map(([key, version]) => html`<li key=${key}><${Taken} dataset=${dataset} partition=${key} version=${version} /></li>`)}</ul><//>`}</li>`;
  })}</ul>`;
}

// What costs to be read is read when somebody looks at it.
function Opened({ words, children }) {
  const opened = useSignal(false);
  return html`<details onToggle=${(event) => (opened.value = event.target.open)}><summary>${words}</summary>${opened.value && children}</details>`;
}

// A partition in the version that was taken, and the events that made it.
function Taken({ dataset, partition, version }) {
  const read = useRead(
    async (signal) => (await get(`/datasets/${encodeURIComponent(dataset)}/partitions`, { partition, limit: 1 }, { signal })).items[0],
    [dataset, partition],
    (kind, data) => kind === "partition" && data.dataset === dataset,
  );
  const now = read.value.value;
  return html`<a class="mono" href=${link(["datasets", dataset], { partition })}>${partition || "the whole"}</a> version ${version}${now && html`, ${now.version > version ? `of which version ${now.version} has come since` : "made"} by
    ${now.events.slice(0, EVENTS).map((seq, index) => html`${index > 0 && ","} <a href=${link(["events", seq])}>event ${seq}</a>`)}${now.events.length > EVENTS && ` and ${now.events.length - EVENTS} more`}`}`;
}
