// Of a what-if: what the run needs, the script that is rehearsed, and what of the answer stands when.
import { post } from "./api.js";

const ROUNDS = 8;
// So long a task takes in the virtual time of what is shown.
const TAKES = "5m";
const TOLD = new Set(["waiting", "retrying", "succeeded", "skipped", "failed", "blocked", "cancelled"]);
const STARTS = new Set(["fired", "retried"]);

// What has to come for a run to go through: asked of the rules themselves, by rehearsals in which nothing
// but that has come, until no input is waited for any more.
export async function needs(pipeline, partition, datasets) {
  const now = new Date().toISOString();
  const own = partition ? { pipeline: pipeline.name, partition } : { pipeline: pipeline.name };
  const found = { run: null, first: [], inputs: new Map(), unknown: new Set() };
  for (let round = 0; round < ROUNDS; round++) {
    const comes = [...found.inputs.values()].flat().map((ready) => ({ ready }));
    const { runs, timeline } = await post("/rehearsals", { from: now, until: now, steps: [{ make: own }, ...found.first, ...comes], retries: 0 });
    found.run = runs.find((run) => run.pipeline === pipeline.name && (!found.run || run.partition === found.run.partition));
    if (!found.run) throw new Error(timeline.find((entry) => entry.kind === "refused")?.text ?? "no run is made");
    if (!learn(found, datasets, pipeline)) break;
  }
  return found;
}

// Takes in what the run still waits for; tells whether that was news.
function learn(found, datasets, pipeline) {
  let news = false;
  const seen = new Set();
  for (const wait of found.run.tasks.flatMap((task) => task.waiting_for)) {
    if (wait.kind === "paused" && found.first.length === 0) {
      found.first.push({ resume: pipeline.name });
      news = true;
    }
    const dataset = wait.kind === "dataset" ? datasets.get(wait.dataset) : null;
    // What the pipeline makes itself comes of its tasks.
    if (!dataset || dataset.producer?.split("/")[0] === pipeline.name) continue;
    const known = found.inputs.get(dataset.name) ?? [];
    const partition = wait.partition ?? fitting(dataset, pipeline, found.run);
    if (partition === null) found.unknown.add(dataset.name);
    if (partition === null || seen.has(`${dataset.name} ${partition}`) || known.some((each) => each.partition === partition)) continue;
    seen.add(`${dataset.name} ${partition}`);
    found.inputs.set(dataset.name, [...known, ...arrivals(dataset, partition, wait.parts_missing)]);
    news = true;
  }
  return news;
}

// Where any partition will do: the run's own, else the newest that there is; null where none is known.
function fitting(dataset, pipeline, run) {
  if (dataset.grain === "none") return undefined;
  return dataset.grain === pipeline.grain ? run.partition : (dataset.newest?.partition ?? null);
}

function arrivals(dataset, partition, parts) {
  const one = partition === undefined ? { dataset: dataset.name } : { dataset: dataset.name, partition };
  if (parts?.length) return parts.map((part) => ({ ...one, part }));
  return Array.from({ length: dataset.complete?.count ?? 1 }, () => one);
}

// `choices`: {fail: {task: "always" | "once" | "skipped"}, hold: {dataset: "" for all of it, or a part}, retries, apart: how long
// after another an input comes}.
export function script({ run, first, inputs }, choices, datasets) {
  const [steps, hold] = [[{ make: about(run) }, ...first], []];
  for (const [name, comes] of inputs) {
    const part = choices.hold[name];
    const made = Boolean(datasets.get(name).producer);
    const held = (ready) => part !== undefined && (part === "" || ready.part === part);
    // What a task elsewhere makes cannot be held: it is left out instead.
    const sent = made ? comes.filter((ready) => !held(ready)) : comes;
    steps.push(...sent.map((ready, index) => ({ at: index === 0 ? `+${choices.apart}` : "+0s", ready })));
    if (part !== undefined && !made) hold.push(part === "" ? { dataset: name } : { dataset: name, part });
  }
  const ends = Object.entries(choices.fail).map(([task, how]) => ({
    ...about(run), task, ends: how === "skipped" ? "skipped" : "failed", ...(how === "once" ? { attempt: 1 } : {}), ...(how === "skipped" ? {} : { error: "what if it failed" }),
  }));
  return {
    from: run.partition_end ?? new Date().toISOString(), steps, tasks: [...ends, { takes: TAKES }],
    ...(hold.length ? { hold } : {}), ...(choices.retries === undefined ? {} : { retries: choices.retries }),
  };
}

const about = ({ pipeline, partition }) => (partition ? { pipeline, partition } : { pipeline });

// The instants at which something happens, each with its entries; of other pipelines only where wanted.
export function frames(answer, run, inputs, others) {
  const own = answer.runs.find((each) => each.pipeline === run.pipeline && each.partition === run.partition)?.id;
  const concerns = (entry) => others || entry.run === own || (!entry.run && (!entry.pipeline || entry.pipeline === run.pipeline)
    && (!entry.dataset || inputs.has(entry.dataset)));
  const found = [];
  for (const entry of answer.timeline.filter(concerns)) {
    if (found.at(-1)?.at !== entry.at) found.push({ at: entry.at, entries: [] });
    found.at(-1).entries.push(entry);
  }
  return { own, found };
}

// How tasks and datasets stand after some of the frames.
export function standing(seen, own, pipeline, inputs) {
  const tasks = Object.fromEntries(pipeline.tasks.map((task) => [task.name, "waiting"]));
  const came = new Map();
  const complete = new Set();
  for (const entry of seen.flatMap((frame) => frame.entries)) {
    if (entry.run === own && STARTS.has(entry.kind)) tasks[entry.task] = "running";
    if (entry.run === own && TOLD.has(entry.kind)) tasks[entry.task] = entry.kind;
    if (entry.kind === "ready") complete.add(entry.dataset);
    if (entry.kind === "event") for (const { dataset } of entry.arrivals ?? []) came.set(dataset, (came.get(dataset) ?? 0) + 1);
  }
  const dataset = (name) => {
    const there = came.get(name) ?? 0;
    if (there === 0) return "missing";
    return complete.has(name) || there >= (inputs.get(name)?.length ?? 1) ? "ready" : "partial";
  };
  return { tasks, dataset };
}
