// Datasets: what is there of each, what is missing, and when it came against when it should have.
import { get } from "../api.js";
import { Arrivals } from "../arrivals.js";
import { useRead } from "../data.js";
import { Action, Empty, More, Shown, State, When } from "../parts.js";
import { filter, link } from "../place.js";
import { duration } from "../times.js";
import { html, useEffect, useRef, useSignal } from "../ui.js";

const STRIP = 30;
// So many parts are named one by one; of more, how many.
const NAMED = 8;

const concerns = (kind) => kind === "partition" || kind === "alert";
const where = (name, rest = "") => `/datasets/${encodeURIComponent(name)}${rest}`;

export function Datasets({ query }) {
  const read = useRead((signal) => get("/datasets", { limit: 500, cursor: query.cursor }, { signal }), [query.cursor], concerns);
  const words = (query.q ?? "").toLowerCase();
  const wanted = (dataset) => dataset.name.toLowerCase().includes(words)
    && (query.show !== "late" || dataset.late.length > 0) && (query.show !== "partial" || dataset.partial > 0);
  return html`<h1>Datasets</h1>
    <div class="filters">
      <label>Name <input value=${query.q ?? ""} onInput=${(event) => filter({ q: event.target.value })} /></label>
      <label>Show <select value=${query.show ?? ""} onChange=${(event) => filter({ show: event.target.value })}>
        <option value="">all</option><option value="late">late ones</option><option value="partial">those with parts missing</option></select></label>
    </div>
    <${Shown} read=${read} of="the datasets">${({ items, next }) => {
      const shown = items.filter(wanted);
      if (items.length === 0) return html`<${Empty} command="sensorflow validate">No pipeline reads or makes a dataset.<//>`;
      if (shown.length === 0) return html`<${Empty}>No dataset is so.<//>`;
      return html`<div class="scroll"><table class="cards">
          <thead><tr><th>Dataset</th><th>Newest ready</th><th class="number">Ready</th><th class="after-number">Late</th><th>Parts missing</th><th>Arrivals, the last ${STRIP}</th></tr></thead>
          <tbody>${shown.map((dataset) => html`<${Row} key=${dataset.name} dataset=${dataset} />`)}</tbody></table></div>
        <${More} next=${next} onMore=${(cursor) => filter({ cursor })} />`;
    }}<//>`;
}

// Partitions are read for rows that are looked at, as there may be hundreds.
function Row({ dataset }) {
  const row = useRef();
  const seen = useSignal(false);
  useEffect(() => {
    const watcher = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      seen.value = true;
      watcher.disconnect();
    }, { rootMargin: "200px" });
    watcher.observe(row.current);
    return () => watcher.disconnect();
  }, []);
  const read = useRead(
    async (signal) => (seen.value ? (await get(where(dataset.name, "/partitions"), { limit: STRIP }, { signal })).items : undefined),
    [dataset.name, seen.value],
    (kind, data) => kind === "partition" && data.dataset === dataset.name,
  );
  const { value: partitions } = read.value;
  const { newest, late } = dataset;
  return html`<tr data-row ref=${row}>
    <td><a href=${link(["datasets", dataset.name])}>${dataset.name}</a><div><small>${grain(dataset)}</small></div></td>
    <td data-label="Newest">${newest ? html`<span class="mono">${newest.partition ?? "the whole"}</span> <small>v${newest.version}, <${When} at=${newest.ready_at} zone=${dataset.timezone} /></small>` : html`<span class="quiet">none yet</span>`}</td>
    <td class="number" data-label="Ready">${dataset.ready}</td>
    <td class="after-number">${late.length > 0 && html`<${State} state="late" /> <span class="mono">${few(late)}</span>`}</td>
    <td data-label="Missing"><${Lacking} name=${dataset.name} partial=${dataset.partial} partitions=${partitions ?? []} /></td>
    <td>${partitions ? html`<${Arrivals} partitions=${partitions} late=${late} />` : html`<div class="arrivals-room"></div>`}</td>
  </tr>`;
}

const grain = (dataset) => (dataset.grain === "none" ? "one for all times" : `${dataset.grain}, ${dataset.timezone}`);
const few = (names, most = 3) => `${names.slice(0, most).join(", ")}${names.length > most ? ` and ${names.length - most} more` : ""}`;

// Of the newest partitions those of which something is there and something is not.
function Lacking({ name, partial, partitions }) {
  const open = partitions.filter((each) => each.state === "partial" && each.parts_missing.length > 0);
  if (open.length === 0) return partial > 0 ? html`${partial} in part` : null;
  return html`${open.slice(0, 2).map((each) => html`<div><a class="mono" href=${link(["datasets", name], { partition: each.partition })}>${each.partition ?? "the whole"}</a> ${few(each.parts_missing)}</div>`)}
    ${partial > 2 && html`<small>${partial} in part in all</small>`}`;
}

export function Dataset({ name, query }) {
  const { partition, cursor } = query;
  const read = useRead(
    async (signal) => {
      const [dataset, newest, page] = await Promise.all([
        get(where(name), {}, { signal }),
        get(where(name, "/partitions"), { limit: 60 }, { signal }),
        get(where(name, "/partitions"), { limit: 50, cursor, partition }, { signal }),
      ]);
      return { dataset, newest: newest.items, page };
    },
    [name, cursor, partition],
    (kind, data) => (kind === "partition" && data.dataset === name) || kind === "alert",
  );
  return html`<${Shown} read=${read} of="the dataset">${({ dataset, newest, page }) => html`
    <h1>${name} <small>${grain(dataset)}</small></h1>
    <${About} dataset=${dataset} />
    <div class="row"><${Ready} dataset=${dataset} partition=${partition ?? dataset.late[0] ?? ""} /></div>
    <h2>Arrivals <small>${dataset.expect ? "against the time at which they are expected" : "no time is set at which they are expected"}</small></h2>
    <${Arrivals} partitions=${newest} late=${dataset.late} large onPick=${(key) => filter({ partition: key, cursor: undefined })} />
    <h2>Partitions ${partition && html`<small><button type="button" class="small" onClick=${() => filter({ partition: undefined })}>only ${partition} … show all</button></small>`}</h2>
    ${page.items.length > 0 ? html`<${Partitions} dataset=${dataset} items=${page.items} />`
      : html`<${Empty} command=${`sensorflow ready ${name}${dataset.grain === "none" ? "" : ` ${partition ?? dataset.late[0] ?? "PARTITION"}`}`}>${partition ? `Nothing has come of ${partition}.` : "Nothing has come yet."}<//>`}
    <${More} next=${page.next} onMore=${(next) => filter({ cursor: next })} />
  `}<//>`;
}

const list = (items) => items.map((item, index) => html`${index > 0 && ", "}${item}`);
const ofTask = (text) => {
  const [pipeline, task] = text.split("/");
  return html`<a href=${link(["pipelines", pipeline])}>${pipeline}</a> <small>${task}</small>`;
};

function About({ dataset }) {
  const { complete, expect, late, sensors, producer, consumers, name } = dataset;
  return html`<dl class="facts">
    <div><dt>Complete when</dt><dd>${completeness(complete)}</dd></div>
    <div><dt>Expected</dt><dd>${!expect ? "no time is set" : expect.clock ? `by ${expect.clock} (${dataset.timezone}) after the partition's end` : `${duration(expect.after_s * 1000)} after the partition's end`}</dd></div>
    <div><dt>There</dt><dd>${dataset.ready} ready${dataset.partial > 0 ? `, ${dataset.partial} in part` : ""}</dd></div>
    ${late.length > 0 && html`<div><dt><${State} state="late" /></dt><dd>${list(late.slice(0, 20).map((key) => html`<a class="mono" href=${link(["datasets", name], { partition: key })}>${key}</a>`))}${late.length > 20 && ` and ${late.length - 20} more`}</dd></div>`}
    <div><dt>Fed by</dt><dd>${producer && html`task ${ofTask(producer)}`}${producer && sensors.length > 0 && ", "}
      ${sensors.length > 0 && html`${sensors.length > 1 ? "sensors" : "sensor"} ${sensors.join(", ")} <small><a href=${link(["events"], { dataset: name })}>its events</a></small>`}
      ${!producer && sensors.length === 0 && html`nobody but <code>sensorflow ready</code>`}</dd></div>
    <div><dt>Read by</dt><dd>${consumers.length > 0 ? list(consumers.map(ofTask)) : "no task"}</dd></div>
  </dl>`;
}

function completeness(complete) {
  if (!complete) return "one arrival has come";
  if (complete.parts) return `its ${complete.parts.length} parts are there: ${few(complete.parts, NAMED)}`;
  if (complete.count) return `${complete.count} arrivals have come`;
  return `nothing more has come for ${duration(complete.quiet_s * 1000)}`;
}

function Partitions({ dataset, items }) {
  const zone = dataset.timezone;
  return html`<div class="scroll"><table class="cards">
    <thead><tr><th>Partition</th><th>State</th><th>Parts</th><th class="number">Version</th><th class="after-number">Ready</th><th>Expected</th><th>Came last</th><th aria-label="What can be done"></th></tr></thead>
    <tbody>${items.map((each) => ({ ...each, ready_at: each.state === "ready" ? each.ready_at : null })).map((each) => html`<tr data-row key=${each.partition ?? ""}>
      <td><a class="mono" href=${link(["datasets", dataset.name], { partition: each.partition })}>${each.partition ?? "the whole"}</a></td>
      <td><${State} state=${each.state} />${each.late && html` <${State} state="late" />`}</td>
      <td><${Parts} of=${each} complete=${dataset.complete} /></td>
      <td class="number" data-label="Version">${each.version}</td>
      <td class="after-number" data-label="Ready">${each.ready_at && html`<${When} at=${each.ready_at} zone=${zone} />`}</td>
      <td data-label="Expected">${each.expected_at && html`<${When} at=${each.expected_at} zone=${zone} />${each.ready_at && html` <small>${against(each)}</small>`}`}</td>
      <td data-label="Came last">${each.last_seq === null ? "" : html`<a href=${link(["events", each.last_seq])}>event ${each.last_seq}</a> <small><${When} at=${each.last_at} zone=${zone} /></small>`}</td>
      <td><${Withdraw} dataset=${dataset} partition=${each} /></td>
    </tr>`)}</tbody></table></div>`;
}

function against(partition) {
  const after = Date.parse(partition.ready_at) - Date.parse(partition.expected_at);
  return after > 0 ? `${duration(after)} late` : `${duration(after)} before`;
}

function Parts({ of, complete }) {
  const { parts, parts_missing: missing } = of;
  if (parts.length + missing.length === 0) return complete?.count ? `${of.arrivals} of ${complete.count}` : "";
  const named = html`${parts.map((part) => html`<${State} state="ready" short title=${`${part} is there`} /> ${part} `)}
    ${missing.map((part) => html`<${State} state="missing" short title=${`${part} is missing`} /> ${part} `)}`;
  if (parts.length + missing.length <= NAMED) return named;
  return html`<details><summary>${parts.length} there${missing.length > 0 ? `, ${missing.length} missing` : ""}</summary>${named}</details>`;
}

// For data that came by a way that no sensor watches. (Of a dataset with parts, all of them.)
function Ready({ dataset, partition }) {
  const { name, grain: own } = dataset;
  const which = own === "none" ? undefined : { label: "Partition", value: partition, with: (key) => ({ body: { partition: key }, cli: [key] }) };
  return html`<${Action} label="Say it is there" path="/ready" body=${{ dataset: name }} cli=${["ready", name]} choice=${which} reason=${null}
    question="It counts as arrived, and what was waiting for it fires." />`;
}

function Withdraw({ dataset, partition }) {
  if (partition.state === "withdrawn") return null;
  const key = partition.partition;
  const parts = { label: "What of it", none: "all of it", options: partition.parts, with: (part) => ({ body: { part }, cli: ["--part", part] }) };
  return html`<details><summary>actions</summary><${Action} label="Withdraw" danger path=${where(dataset.name, "/withdraw")} body=${key ? { partition: key } : {}}
    cli=${["withdraw", dataset.name, ...(key ? [key] : [])]} choice=${partition.parts.length > 0 ? parts : undefined} reason="needed"
    question=${`${dataset.name} ${key ?? ""} is missing again until it comes anew; runs that took it are marked stale.`} /></details>`;
}
