// The first look of a morning: is the service well, what is wrong, and how the newest partitions did.
import { get } from "../api.js";
import { useRead } from "../data.js";
import { health } from "../health.js";
import { Heat } from "../heat.js";
import { Empty, Problem, State, Words } from "../parts.js";
import { filter, link, place } from "../place.js";
import { Rates } from "../rates.js";
import { onNotice } from "../stream.js";
import { html, useEffect, useRef, useSignal } from "../ui.js";
import { about, KINDS } from "./alerts.js";

const RECENT = 60;
// So many pipelines are more than fit on a screen: they are asked for first, and shown before the rest is there.
const FIRST = 30;
const MOST = 500;
// So many alerts are told at once.
const WRONG = 5;
const RUN_STATES = ["failed", "running", "waiting", "succeeded", "cancelled"];
const DATED = ["hourly", "daily", "weekly", "monthly"];

export function Overview() {
  const { rows, whole, error } = usePipelines();
  // What is looked for comes first: the rest is asked for when that is on its way to the screen.
  const begun = rows !== undefined || error !== undefined;
  const alerts = useRead(begun && ((signal) => get("/alerts", { limit: MOST }, { signal })), [begun], (kind) => kind === "alert").value.value;
  return html`<h1>Overview</h1>
    <${Problem} error=${error} />
    <${Numbers} begun=${begun} pipelines=${whole ? rows : undefined} alerts=${alerts?.items} />
    <div class="columns"><${Wrong} alerts=${alerts?.items ?? []} /><${Rates} begun=${begun} /></div>
    ${rows === undefined ? !error && html`<p class="quiet" role="status">Reading the pipelines …</p>` : html`<${Pipelines} rows=${rows} whole=${whole} />`}`;
}

// The pipelines with their newest runs: read once, then kept by what the stream tells of each run, as
// thousands of them are too many to be read again for each step of one.
function usePipelines() {
  const again = useSignal(0);
  const rows = useSignal(undefined);
  // What was told while an answer was on its way, which may be older.
  const meanwhile = useRef(null);
  const read = useRead(
    async (signal) => {
      meanwhile.current = new Map();
      const found = [];
      for (let cursor, next = true; next; cursor = next) {
        const page = await get("/pipelines", { recent: RECENT, limit: found.length ? MOST : FIRST, cursor }, { signal });
        found.push(...page.items);
        next = page.next;
        if (next && rows.peek() === undefined) rows.value = page.items;
      }
      return found;
    },
    [again.value],
    (kind) => kind === "pipeline" || kind === "backfill",
  );
  const { value, error } = read.value;
  useEffect(() => {
    if (!value) return;
    rows.value = withRuns(value, meanwhile.current ?? new Map()).rows;
    meanwhile.current = null;
  }, [value]);
  useEffect(() => {
    let told = new Map();
    let timer = 0;
    let later = 0;
    const take = () => {
      timer = 0;
      const taken = told;
      told = new Map();
      if (!rows.peek()) return;
      const next = withRuns(rows.peek(), taken);
      rows.value = next.rows;
      if (next.unsure && !later) later = setTimeout(() => ((later = 0), again.value++), 3000);
    };
    const stop = onNotice((kind, run) => {
      if (kind !== "run") return;
      told.set(run.id, run);
      meanwhile.current?.set(run.id, run);
      timer ||= setTimeout(take, 120);
    });
    return () => (stop(), clearTimeout(timer), clearTimeout(later));
  }, []);
  return { rows: rows.value, whole: value !== undefined, error };
}

// The pipelines with what was told of runs; `unsure` where only reading again says how counts changed.
function withRuns(rows, told) {
  const byPipeline = Map.groupBy(told.values(), (run) => run.pipeline);
  let unsure = false;
  const withTold = (row, run) => {
    const next = withRun(row, run);
    unsure ||= next === null;
    return next ?? row;
  };
  return { rows: rows.map((row) => (byPipeline.get(row.name) ?? []).reduce(withTold, row)), unsure };
}

// A pipeline with what was told of a run; null where only reading again says how its counts changed.
function withRun(row, { id, partition, state, stale }) {
  const at = row.recent.findIndex((run) => run.id === id);
  const run = { id, partition, state, stale };
  const runs = { ...row.runs };
  if (at >= 0) {
    runs[row.recent[at].state] -= 1;
    runs[state] += 1;
    return { ...row, runs, recent: row.recent.with(at, run) };
  }
  // Ids are given in order: what is below one that is known may have been counted before.
  if (row.recent.some((each) => each.id > id)) return null;
  runs[state] += 1;
  const recent = [run, ...row.recent];
  if (DATED.includes(row.grain)) recent.sort((one, other) => (one.partition < other.partition ? 1 : -1));
  return { ...row, runs, recent: recent.slice(0, RECENT) };
}

// Numbers

function Numbers({ begun, pipelines, alerts }) {
  const sensors = useRead(begun && ((signal) => get("/sensors", { limit: 500 }, { signal })), [begun], (kind) => kind === "sensor" || kind === "alert");
  const down = sensors.value.value?.items.filter((sensor) => sensor.state === "down").length;
  const all = sensors.value.value?.items.length;
  const late = alerts
    ?.filter((alert) => alert.kind === "late")
    .reduce((sum, alert) => sum + Math.max(1, alert.partitions.length), 0);
  const count = (state) => pipelines?.reduce((sum, row) => sum + row.runs[state], 0);
  const asked = health.value;
  return html`<div class="numbers">
    <${Figure} href="readyz" state="down" number=${asked && (asked.ready ? "ready" : "not ready")} words=${Object.values(asked?.problems ?? {})[0] ?? "the service"} on=${asked && !asked.ready} />
    <${Figure} href=${link(["sensors"])} state="down" number=${down} words=${all === 1 ? "of 1 sensor down" : all ? `of ${all} sensors down` : "sensors"} on=${down > 0} />
    <${Figure} href=${link(["alerts"])} state="late" number=${late} words=${late === 1 ? "partition late" : "partitions late"} on=${late > 0} />
    ${["failed", "running", "waiting"].map((state) => html`<${Figure} href=${link(["runs"], { state })} state=${state} number=${count(state)} words=${`${count(state) === 1 ? "run" : "runs"} ${state}`} on=${count(state) > 0} />`)}
  </div>`;
}

function Figure({ href, state, number, words, on }) {
  return html`<a href=${href} class=${on ? `is-${state} is-on` : ""}><strong>${number?.toLocaleString("en") ?? "…"}</strong> ${words}</a>`;
}

// What is wrong now, the newest first: the few lines that a look in the morning is for.
function Wrong({ alerts }) {
  if (alerts.length === 0) return null;
  return html`<section class="wrong" aria-label="Open alerts"><h2><a href=${link(["alerts"])}>Wrong now</a> <small>${alerts.length === MOST ? `${MOST} and more` : alerts.length}</small></h2><ul>${alerts.slice(0, WRONG).map((alert) => html`<li key=${alert.id}>
      <${State} state=${KINDS[alert.kind]} /> <a href=${about(alert)} title=${alert.text}><${Words} text=${alert.text} /></a></li>`)}</ul>
    ${alerts.length > WRONG && html`<p class="quiet"><a href=${link(["alerts"])}>${alerts.length - WRONG} more</a></p>`}</section>`;
}

// Pipelines

function Pipelines({ rows, whole }) {
  const { named = "", state = "" } = place.value.query;
  if (rows.length === 0) return html`<${Empty} command="sensorflow init">There is no pipeline yet.<//>`;
  const words = named.toLowerCase();
  const fits = (row) => row.name.toLowerCase().includes(words) && (!state || (state === "paused" ? row.paused : row.runs[state] > 0));
  const seen = rows.filter(fits);
  return html`<div class="filters">
      <label>Pipelines <input value=${named} placeholder="part of a name" onInput=${(event) => filter({ named: event.target.value })} /></label>
      <label>with runs
        <select value=${state} onChange=${(event) => filter({ state: event.target.value })}><option value="">in any state</option>
          ${[...RUN_STATES, "paused"].map((each) => html`<option value=${each} selected=${each === state}>${each}</option>`)}</select></label>
    </div>
    ${seen.length === 0 && !whole ? html`<p class="quiet" role="status">Reading the pipelines …</p>` : seen.length === 0
      ? html`<p class="empty">No pipeline is like that. <a href=${link([])}>All of them</a></p>`
      : html`<${Heat} rows=${seen} most=${RECENT} />`}`;
}
