// A pipeline: its graph in the states of one partition, its partitions and tasks as a grid, its definition.
import { get } from "../api.js";
import { BackfillQuestion } from "../backfill.js";
import { useRead } from "../data.js";
import { Graph } from "../graph.js";
import { Grid } from "../grid.js";
import { Action, Copied, Shown, State, Waits } from "../parts.js";
import { filter, go, link } from "../place.js";
import { html, useSignal } from "../ui.js";

// Of a pipeline with very many tasks each row is long.
const rowsOf = (pipeline) => (pipeline.tasks.length > 100 ? 10 : 30);
const WAITS = 3;

export function Pipeline({ name, query }) {
  const path = `/pipelines/${encodeURIComponent(name)}`;
  const read = useRead((signal) => get(path, {}, { signal }), [name], (kind, data) => kind === "pipeline" && data.name === name);
  return html`<${Shown} read=${read} of="the pipeline">${(pipeline) => html`
    <h1>${name} ${pipeline.paused && html`<${State} state="paused" />`} <small>${[pipeline.grain === "none" ? "without partitions" : pipeline.grain, pipeline.timezone].join(", ")}</small></h1>
    ${pipeline.description && html`<p>${pipeline.description}</p>`}
    <${Tools} pipeline=${pipeline} path=${path} query=${query} />
    <${Partitions} pipeline=${pipeline} path=${path} query=${query} />
    <${Definition} pipeline=${pipeline} />`}<//>`;
}

function Tools({ pipeline, path, query }) {
  const { name, paused } = pipeline;
  const asking = useSignal(false);
  return html`<div class="row">
    ${paused
      ? html`<${Action} key="resume" label="Resume" path=${`${path}/resume`} cli=${["resume", name]} question="What is ready starts." />`
      : html`<${Action} key="pause" label="Pause" path=${`${path}/pause`} cli=${["pause", name]} question="Nothing new starts; what runs, runs on, and what arrives is recorded." />`}
    ${pipeline.grain !== "none" && html`<button type="button" onClick=${() => (asking.value = true)}>Backfill …</button>`}
    <a href=${link(["pipelines", name, "what-if"], { partition: query.partition })}>What if …</a>
    <a href=${link(["runs"], { pipeline: name })}>Runs</a>
    <a href=${link(["backfills"])}>Backfills</a>
    ${asking.value && html`<${BackfillQuestion} pipeline=${pipeline} partitions=${query.partition ? [query.partition] : []} onClose=${() => (asking.value = false)} />`}
  </div>`;
}

// The page of the grid. Where nothing has run for long it begins with the newest partition that has a run.
async function readPage(path, limit, { cursor, all }, signal) {
  const newest = await get(`${path}/partitions`, { limit, cursor }, { signal });
  if (cursor || all || newest.items.some((item) => item.run) || !newest.next) return newest;
  const run = await get(`${path}/partitions`, { limit, begin: "run" }, { signal });
  return run.items.some((item) => item.run) ? { ...run, later: true } : newest;
}

function Partitions({ pipeline, path, query }) {
  const { name } = pipeline;
  const range = useSignal(null);
  const read = useRead((signal) => readPage(path, rowsOf(pipeline), query, signal), [name, query.cursor, query.all], (kind, data) => kind === "run" && data.pipeline === name);
  return html`<${Shown} read=${read} of="its partitions">${(page) => {
    const newest = page.items.find((item) => item.run) ?? page.items[0];
    const chosen = query.run ? { run: { id: query.run } } : query.partition ? { partition: query.partition } : newest;
    return html`<div class="pipeline">
      <section aria-label="Graph"><${Chosen} pipeline=${pipeline} path=${path} query=${query} partition=${chosen?.partition} run=${chosen?.partition ? undefined : chosen?.run?.id}
        standing=${page.items.find((item) => (item.partition ?? item.run?.id) === (chosen?.partition ?? chosen?.run?.id))?.run?.state} /></section>
      <section aria-label="Partitions">
        ${page.later && html`<p class="quiet">No later partition has a run. <a href=${link(["pipelines", name], { ...query, all: 1 })}>Show them</a></p>`}
        ${query.cursor && html`<p><a href=${link(["pipelines", name], { ...query, cursor: undefined })}>Back to the newest</a></p>`}
        <${Grid} pipeline=${pipeline} page=${page} chosen=${chosen} onRange=${pipeline.grain === "none" ? null : (found) => (range.value = found)} />
      </section>
      ${range.value && html`<${BackfillQuestion} pipeline=${pipeline} partitions=${range.value} onClose=${() => (range.value = null)} />`}
    </div>`;
  }}<//>`;
}

// The graph

function Chosen({ pipeline, path, query, partition, run, standing: state }) {
  const { name } = pipeline;
  const reads = new Set(pipeline.tasks.flatMap((task) => task.reads));
  const why = useRead(
    (signal) => (run ? get(`/runs/${encodeURIComponent(run)}/why`, {}, { signal }) : get(`${path}/why`, { partition }, { signal })),
    [name, partition, run],
    (kind, data) => (kind === "run" && data.pipeline === name) || (kind === "partition" && reads.has(data.dataset)),
  );
  const sensors = useRead((signal) => get("/sensors", { limit: 500 }, { signal }), [name], (kind) => kind === "sensor");
  return html`<${Shown} read=${why} of="why">${(found) => {
    const { nodes, edges } = drawn(pipeline, found, sensors.value.value?.items ?? []);
    const pick = (node) => {
      if (node.kind === "task") filter({ task: node.label === query.task ? undefined : node.label });
      else go(node.kind === "sensor" ? ["sensors"] : ["datasets", node.label]);
    };
    return html`<${Standing} pipeline=${pipeline} why=${found} state=${state} />
      <${Graph} nodes=${nodes} edges=${edges} picked=${query.task && `task ${query.task}`} onPick=${pick} label=${`Graph of ${name}`} />
      ${query.task && html`<${Task} pipeline=${pipeline} why=${found} name=${query.task} />`}`;
  }}<//>`;
}

function drawn(pipeline, why, sensors) {
  const states = new Map(why.tasks.map((task) => [task.name, task]));
  const inputs = new Set(pipeline.tasks.flatMap((task) => task.reads));
  const outputs = new Set(pipeline.tasks.flatMap((task) => task.outputs));
  const fed = sensors.filter((sensor) => inputs.has(sensor.dataset));
  const sensorId = (sensor) => `sensor ${sensor.pipeline}/${sensor.name}`;
  return {
    nodes: [
      ...fed.map((sensor) => ({ id: sensorId(sensor), kind: "sensor", label: sensor.name, state: sensor.state, note: sensor.error ?? undefined })),
      ...[...new Set([...inputs, ...outputs])].map((dataset) => ({ id: `dataset ${dataset}`, kind: "dataset", label: dataset, ...standing(pipeline, dataset, states) })),
      ...pipeline.tasks.map((task) => ({ id: `task ${task.name}`, kind: "task", label: task.name, state: states.get(task.name)?.state ?? "waiting" })),
    ],
    edges: [
      ...fed.map((sensor) => ({ source: sensorId(sensor), target: `dataset ${sensor.dataset}` })),
      ...pipeline.tasks.flatMap((task) => [
        ...task.reads.map((dataset) => ({ source: `dataset ${dataset}`, target: `task ${task.name}` })),
        ...task.outputs.map((dataset) => ({ source: `task ${task.name}`, target: `dataset ${dataset}` })),
      ]),
      ...pipeline.edges.map(({ source, target }) => ({ source: `task ${source}`, target: `task ${target}` })),
    ],
  };
}

// What is there of a dataset for the chosen partition, as those who wait for it say, or who made it.
function standing(pipeline, dataset, states) {
  const waits = [...states.values()].flatMap((task) => task.waiting_for).filter((wait) => wait.kind === "dataset" && wait.dataset === dataset);
  if (waits.length > 0) {
    const state = waits.some((wait) => wait.late) ? "late" : waits.some((wait) => wait.parts_missing?.length) ? "partial" : "missing";
    return { state, note: waits[0].text };
  }
  const maker = pipeline.tasks.find((task) => task.outputs.includes(dataset));
  if (maker) return { state: states.get(maker.name)?.state === "succeeded" ? "ready" : "missing" };
  // Who reads it and waits for nothing of it found it there; where nobody has, that is not known.
  const found = pipeline.tasks.some((task) => task.reads.includes(dataset) && !["cancelled", "waiting", "blocked"].includes(states.get(task.name)?.state));
  return found ? { state: "ready" } : {};
}

// The chosen partition in words: its run, or why there is none yet.
function Standing({ pipeline, why, state }) {
  const waits = new Map(why.tasks.flatMap((task) => task.waiting_for).filter((wait) => wait.kind !== "task").map((wait) => [wait.text, wait]));
  const failed = why.tasks.filter((task) => task.state === "failed");
  const body = why.partition ? { pipeline: pipeline.name, partition: why.partition } : { pipeline: pipeline.name };
  return html`<div class="row">
      <strong class="mono">${why.partition ?? "all of it"}</strong>
      ${why.run
        ? html`${state && html`<${State} state=${state} />`}<a href=${link(["runs", why.run])}>open its run</a>`
        : html`<span class="quiet">has no run yet</span>
          <${Action} key=${why.partition} label="Make its run" path="/runs" body=${body} cli=${["run", pipeline.name, ...(why.partition ? [why.partition] : [])]}
            question="It starts when its inputs are there." />`}
    </div>
    ${failed.map((task) => html`<p key=${task.name}><${State} state="failed" /> <a href=${link(["runs", why.run], { task: task.name })}>${task.name}</a> <small>${task.waiting_for[0]?.text}</small></p>`)}
    ${waits.size > 0 && html`<${Waits} waits=${[...waits.values()].slice(0, WAITS)} zone=${pipeline.timezone} />${waits.size > WAITS && html`<p class="quiet">and ${waits.size - WAITS} more</p>`}`}`;
}

const seconds = (count) => (count >= 3600 ? `${count / 3600} h` : count >= 60 ? `${count / 60} min` : `${count} s`);

function Task({ pipeline, why, name }) {
  const task = pipeline.tasks.find((each) => each.name === name);
  if (!task) return html`<p class="quiet">There is no task ${name} any more.</p>`;
  const { state, waiting_for: waits } = why.tasks.find((each) => each.name === name) ?? { state: "waiting", waiting_for: [] };
  const { action, retries } = task;
  const does = action.kind === "http" ? `${action.method} ${action.url}` : action.kind === "python" ? action.python : [action.run].flat().join(" ");
  return html`<section class="panel" aria-label=${`Task ${name}`}>
    <div class="row"><strong>${name}</strong> <${State} state=${state} />
      ${why.run && html`<a href=${link(["runs", why.run], { task: name })}>attempts and log</a>`}</div>
    ${waits.length > 0 && html`<${Waits} waits=${waits.slice(0, 10)} />`}
    <pre>${does}</pre>
    <ul class="waits">
      ${task.inputs.map((input) => html`<li>needs ${input.text}</li>`)}
      ${task.after.length > 0 && html`<li>after ${task.after.join(", ")}${task.when === "all_succeeded" ? "" : `, when ${task.when.replaceAll("_", " ")}`}</li>`}
      ${task.outputs.length > 0 && html`<li>makes ${task.outputs.join(", ")} ready</li>`}
      <li>${retries.max === 0 ? "is not tried again" : `is tried again up to ${retries.max} times, first after ${seconds(retries.delay_s)}`}${task.timeout_s ? `, ends after ${seconds(task.timeout_s)}` : ""}</li>
    </ul></section>`;
}

function Definition({ pipeline }) {
  const { runs, last_run, task_counts, paused, ...definition } = pipeline;
  return html`<details><summary>Definition <small>${pipeline.file}</small></summary>
    <${Copied} text=${JSON.stringify(definition, null, 2)} label="copy" /></details>`;
}
