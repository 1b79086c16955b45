// Playground: paste an event, or name a path or a topic, and see which rules take it, what they read, and
// what would fire. Nothing of it is kept or done.
import { get, post, target } from "../api.js";
import { Entries } from "../entries.js";
import { Copied, Problem, State, Waits } from "../parts.js";
import { filter, link } from "../place.js";
import { html, useEffect, useSignal } from "../ui.js";

const EXAMPLE = { type: "orders.exported", source: "/shop", data: { day: "2026-03-08", region: "eu" } };
const KINDS = { event: "An event", path: "A file's path", topic: "An MQTT message" };
// Longer texts do not go into the link.
const LINKED = 3000;
const BEFORE = { "": ["nothing had come before", 0], day: ["after what came in the last day", 86_400_000], week: ["after what came in the last week", 7 * 86_400_000] };
const MARK = "playground";

export function Playground({ query }) {
  const kind = query.kind ?? (query.path ? "path" : query.topic ? "topic" : "event");
  const text = useSignal(query.event ?? JSON.stringify(EXAMPLE, null, 2));
  const [answer, error, busy] = [useSignal(null), useSignal(null), useSignal(false)];
  const sensors = useSignal([]);
  const ask = async (event) => {
    event?.preventDefault();
    busy.value = true;
    try {
      if (kind === "event") filter({ event: text.value.length <= LINKED ? text.value : undefined, seq: undefined });
      answer.value = await matched(kind, query, text.value);
      error.value = null;
    } catch (problem) {
      answer.value = null;
      error.value = problem;
    }
    busy.value = false;
  };
  useEffect(() => {
    get("/sensors", { limit: 500 }).then((page) => (sensors.value = page.items), (problem) => (error.value = problem));
    if (query.seq) get(`/events/${encodeURIComponent(query.seq)}`).then((event) => (text.value = asPosted(event)), (problem) => (error.value = problem));
    else if (query.event || query.path || query.topic) ask();
  }, []);
  return html`<h1>Playground <small>what would become of an event; nothing of it is kept or done</small></h1>
    <form class="panel" onSubmit=${ask}>
      <div class="filters">
        <label>What <select value=${kind} onChange=${(event) => ((answer.value = null), filter({ kind: event.target.value }))}>
          ${Object.entries(KINDS).map(([each, words]) => html`<option value=${each}>${words}</option>`)}</select></label>
        ${kind !== "event" && html`<${Field} name=${kind} query=${query} label=${kind === "path" ? "Path, relative to the home" : "Topic"} />`}
        <label>Seen by <select value=${query.sensor ?? ""} onChange=${(event) => filter({ sensor: event.target.value })}>
          <option value="">${kind === "event" ? "whoever takes what is posted" : "whoever it fits"}</option>
          ${sensors.value.map(({ pipeline, name, type }) => html`<option value=${`${pipeline}/${name}`}>${pipeline}/${name} (${type})</option>`)}</select></label>
      </div>
      ${kind !== "path" && html`<label class="wide">${kind === "event" ? "The event: a CloudEvent, one of OpenLineage, or only some of type, source, subject, time and data; of a webhook what is sent to it" : "Payload, as JSON"}
        <textarea class="mono" rows="9" spellcheck="false" value=${text.value} onInput=${(event) => (text.value = event.target.value)}></textarea></label>`}
      <div class="row"><button class="primary" disabled=${busy.value}>Which rules take it?</button></div>
    </form>
    <${Problem} error=${error.value} />
    ${answer.value && html`<h2>Rules <small>as the service would keep it: <${State} state=${answer.value.state} /></small></h2>
      <${Rules} answer=${answer.value} />
      <${WouldFire} rules=${answer.value.rules.filter((rule) => rule.state === "accepted")} />`}
    <details><summary>The same from a terminal</summary><${Copied} text=${terminal(kind, query)} /></details>`;
}

function Field({ name, query, label }) {
  return html`<label>${label} <input name=${name} required value=${query[name] ?? ""} onInput=${(event) => filter({ [name]: event.target.value })} /></label>`;
}

async function matched(kind, query, text) {
  const sent = { sensor: query.sensor, ...(kind === "event" ? {} : { [kind]: query[kind] }) };
  const path = target("/match", sent).replace("api/v1", "");
  if (kind === "path") return post(path);
  try {
    return await post(path, JSON.parse(text));
  } catch (problem) {
    if (!(problem instanceof SyntaxError)) throw problem;
    throw new Error(`this is no JSON: ${problem.message}`);
  }
}

// A stored event as somebody could send it.
function asPosted({ id, source, type, subject, time, data, extensions }) {
  const given = Object.entries({ specversion: "1.0", id, source, type, subject, time, data, ...extensions });
  return JSON.stringify(Object.fromEntries(given.filter(([, value]) => value !== null)), null, 2);
}

function terminal(kind, { sensor, path, topic }) {
  const seen = sensor ? ` --sensor ${sensor}` : "";
  if (kind === "path") return `sensorflow match --path '${path ?? "PATH"}'${seen}`;
  return kind === "topic" ? `sensorflow match payload.json --topic '${topic ?? "TOPIC"}'${seen}` : `sensorflow match event.json${seen}`;
}

// Which rules take an event and what each reads; of the others why not.
export function Rules({ answer }) {
  if (answer.rules.length === 0) return html`<p class="quiet">No sensor is asked about what is so.</p>`;
  return html`<div class="scroll"><table>
    <thead><tr><th>Rule</th><th>State</th><th>Reads, or why not</th><th>Makes ready</th></tr></thead>
    <tbody>${answer.rules.map((rule) => html`<tr data-row>
      <td>${rule.sensor} <small>${rule.type}</small></td>
      <td><${State} state=${rule.state} /></td>
      <td>${rule.reason ?? ["partition", "part", "id", "time"].filter((name) => rule[name]).map((name) => html`<div>${name} <span class="mono">${rule[name]}</span></div>`)}</td>
      <td><a href=${link(["datasets", rule.dataset], { partition: rule.partition })}>${rule.dataset}</a></td>
    </tr>`)}</tbody></table></div>
    ${answer.more > 0 && html`<p class="quiet">and ${answer.more} more do not take it</p>`}`;
}

function WouldFire({ rules }) {
  const before = useSignal("");
  const [told, error, busy] = [useSignal(null), useSignal(null), useSignal(false)];
  if (rules.length === 0) return null;
  const rehearse = async () => {
    busy.value = true;
    try {
      told.value = after(await post("/rehearsals", script(rules, BEFORE[before.value][1])));
      error.value = null;
    } catch (problem) {
      error.value = problem;
    }
    busy.value = false;
  };
  return html`<h2>What would fire</h2>
    <div class="row"><button type="button" disabled=${busy.value} onClick=${rehearse}>Rehearse it</button>
      <label>as if <select value=${before.value} onChange=${(event) => (before.value = event.target.value)}>
        ${Object.entries(BEFORE).map(([key, [words]]) => html`<option value=${key}>${words}</option>`)}</select></label>
      <span class="quiet">The service's own rules decide it under a virtual clock; nothing is executed.</span></div>
    <${Problem} error=${error.value} />
    ${told.value && html`<${Told} told=${told.value} />`}`;
}

// What the rules read comes at once, after what was recorded; then a minute, in which tasks succeed at once.
function script(rules, span) {
  const now = Date.now();
  const at = new Date(now).toISOString();
  const steps = rules.map(({ dataset, partition, part }, index) => ({ at, ready: { dataset, partition, part, source: `/${MARK}`, id: `${MARK}-${index}` } }));
  const recorded = span ? { recorded: { from: new Date(now - span).toISOString(), to: at } } : { from: at };
  return { ...recorded, steps, until: new Date(now + 60_000).toISOString() };
}

function after({ timeline, runs }) {
  const begin = timeline.findIndex((entry) => entry.source === `/${MARK}`);
  const entries = begin < 0 ? [] : timeline.slice(begin);
  const touched = new Set(entries.map((entry) => entry.run).filter(Boolean));
  // Of what was there already: what it was for waits less now.
  const brought = new Set(entries.flatMap((entry) => entry.arrivals ?? []).map((each) => `${each.dataset} ${each.partition ?? ""}`));
  const concerned = (run) => run.tasks.some((task) => task.waiting_for.some((wait) => brought.has(`${wait.dataset} ${wait.partition ?? ""}`)));
  return { entries, runs: runs.filter((run) => touched.has(run.id) || concerned(run)) };
}

function Told({ told }) {
  const fired = told.entries.filter((entry) => entry.kind === "fired").length;
  const waiting = told.runs.filter((run) => run.tasks.some((task) => task.waiting_for.length > 0));
  return html`<p><strong>${fired === 0 ? "Nothing would fire" : fired === 1 ? "1 task would fire" : `${fired} tasks would fire`}</strong>${waiting.length > 0 && `, and ${waiting.length} ${waiting.length === 1 ? "run" : "runs"} would still wait`}.</p>
    <${Entries} entries=${told.entries} />
    ${waiting.map((run) => html`<h3><a href=${link(["pipelines", run.pipeline])}>${run.pipeline}</a> <span class="mono">${run.partition ?? ""}</span> would still wait</h3>
      ${run.tasks.filter((task) => task.waiting_for.length > 0).map((task) => html`<div><strong>${task.name}</strong><${Waits} waits=${task.waiting_for} /></div>`)}`)}`;
}
