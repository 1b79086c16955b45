// The page: its frame, its places, its keys.
import { get, setToken, tokenWanted } from "./api.js";
import { useRead } from "./data.js";
import { health } from "./health.js";
import { Asked, Problem } from "./parts.js";
import { go, link, place } from "./place.js";
import { connection, live } from "./stream.js";
import { nextWay, way } from "./times.js";
import { html, render, signal, useEffect, useErrorBoundary, useRef, useSignal } from "./ui.js";
import { Alerts } from "./views/alerts.js";
import { Backfill, Backfills } from "./views/backfills.js";
import { Dataset, Datasets } from "./views/datasets.js";
import { EventPage, Events, Playground } from "./views/events.js";
import { Overview } from "./views/overview.js";
import { Pipeline } from "./views/pipeline.js";
import { Run, Runs } from "./views/run.js";
import { Sensors } from "./views/sensors.js";
import { WhatIf } from "./views/whatif.js";

const NAVIGATION = [
  ["overview", "Overview", []],
  ["runs", "Runs", ["runs"]],
  ["datasets", "Datasets", ["datasets"]],
  ["events", "Events", ["events"]],
  ["sensors", "Sensors", ["sensors"]],
  ["alerts", "Alerts", ["alerts"]],
  ["backfills", "Backfills", ["backfills"]],
];

const KEYS = [
  ["/", "search pipelines, runs and datasets"], ["j, k", "next and previous row"], ["Enter", "open the row"],
  ["g o", "overview"], ["g p", "pipelines (in the search)"], ["g r", "runs"], ["g d", "datasets"], ["g e", "events"],
  ["g s", "sensors"], ["g a", "alerts"], ["g b", "backfills"], ["t", "times: relative, pipeline's zone, UTC"], ["?", "these keys"],
];

const helpOpen = signal(false);
const searchOpen = signal(false);

// Which view a place shows; a key makes it a new one where the same view shows something else.
function view({ path, query }) {
  const [first, second, third] = path;
  switch (first) {
    case undefined: return html`<${Overview} />`;
    case "pipelines": return second && third === "what-if"
      ? html`<${WhatIf} key=${second} name=${second} query=${query} />`
      : second ? html`<${Pipeline} key=${second} name=${second} query=${query} />` : html`<${Overview} />`;
    case "runs": return second ? html`<${Run} key=${second} id=${second} query=${query} />` : html`<${Runs} query=${query} />`;
    case "datasets": return second ? html`<${Dataset} key=${second} name=${second} query=${query} />` : html`<${Datasets} query=${query} />`;
    case "events": return second ? html`<${EventPage} key=${second} seq=${second} />` : html`<${Events} query=${query} />`;
    case "playground": return html`<${Playground} query=${query} />`;
    case "sensors": return html`<${Sensors} query=${query} />`;
    case "alerts": return html`<${Alerts} query=${query} />`;
    case "backfills": return second ? html`<${Backfill} key=${second} id=${second} />` : html`<${Backfills} query=${query} />`;
    default: return html`<p class="empty">There is no such place. <a href=${link([])}>Overview</a></p>`;
  }
}

function Health() {
  const lost = health.value?.error || connection.value === "lost";
  const [looks, words] = lost ? ["is-ill", "service not reached"] : !health.value ? ["", "asking …"] : health.value.ready ? ["is-well", "live"] : ["is-ill", "not ready"];
  return html`<span class="health ${looks}" role="status" title=${Object.values(health.value?.problems ?? {}).join("; ")}>${looks === "is-ill" ? "▲" : "●"} ${words}</span>`;
}

function Search() {
  const dialog = useRef();
  const typed = useSignal("");
  const read = useRead(
    async (signal) => {
      const [pipelines, datasets] = await Promise.all([get("/pipelines", { limit: 500 }, { signal }), get("/datasets", { limit: 500 }, { signal })]);
      return [
        ...pipelines.items.map((each) => ({ name: each.name, kind: "pipeline", href: link(["pipelines", each.name]) })),
        ...datasets.items.map((each) => ({ name: each.name, kind: "dataset", href: link(["datasets", each.name]) })),
      ];
    },
    [],
  );
  useEffect(() => dialog.current.showModal(), []);
  const words = typed.value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = read.value.value ?? [];
  // As `sensorflow why` takes it: a pipeline and one of its partitions.
  const [pipeline, partition] = typed.value.trim().split(/[\s/]+/, 2);
  const named = partition && all.some((each) => each.kind === "pipeline" && each.name === pipeline);
  const exact = named ? [{ name: `${pipeline} ${partition}`, kind: "partition", href: link(["pipelines", pipeline], { partition }) }] : [];
  const found = exact.concat(all.filter((each) => words.every((word) => `${each.name} ${each.kind}`.toLowerCase().includes(word)))).slice(0, 30);
  const open = (href) => {
    location.hash = href;
    dialog.current.close();
  };
  return html`<dialog ref=${dialog} class="search" onClose=${() => (searchOpen.value = false)} aria-label="Search">
    <form method="dialog" onSubmit=${(event) => (event.preventDefault(), found.length ? open(found[0].href) : go(["runs", typed.value.trim()]))}>
      <input autofocus aria-label="Search" placeholder="pipeline, pipeline and partition, dataset, or the id of a run" value=${typed.value} onInput=${(event) => (typed.value = event.target.value)} />
    </form>
    <${Problem} error=${read.value.error} />
    <ul>${found.map((each) => html`<li><a href=${each.href} onClick=${() => dialog.current.close()}>${each.name}</a> <small>${each.kind}</small></li>`)}</ul>
  </dialog>`;
}

function Help() {
  const dialog = useRef();
  useEffect(() => dialog.current.showModal(), []);
  return html`<dialog ref=${dialog} onClose=${() => (helpOpen.value = false)} aria-label="Keys">
    <h2>Keys</h2>
    <dl class="keys">${KEYS.map(([key, words]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${words}</dd></div>`)}</dl>
    <form method="dialog"><button>Close</button></form>
  </dialog>`;
}

function TokenQuestion() {
  const typed = useSignal("");
  const take = (event) => {
    event.preventDefault();
    setToken(typed.value.trim());
    location.reload();
  };
  return html`<form class="token" onSubmit=${take}>
    <h1>This service asks for a token</h1>
    <p>Make one on its machine: <code>sensorflow token create --scope operate</code>. It is kept until this tab is closed.</p>
    <label>Token <input type="password" autocomplete="off" value=${typed.value} onInput=${(event) => (typed.value = event.target.value)} /></label>
    <button class="primary">Go on</button>
  </form>`;
}

// A place that fails says so, and the way to all others stays.
function Guarded({ children }) {
  const [error, again] = useErrorBoundary();
  return error ? html`<${Problem} error=${error} /><button type="button" onClick=${again}>Try again</button>` : children;
}

function App() {
  const [first] = place.value.path;
  const current = (path) => (path[0] === first ? "page" : undefined);
  useEffect(() => document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [first]);
  if (tokenWanted.value) return html`<main><${TokenQuestion} /></main>`;
  return html`
    <a class="skip" href="#content" onClick=${(event) => (event.preventDefault(), document.getElementById("content").focus())}>To the content</a>
    <header>
      <a class="brand" href=${link([])} aria-label="sensorflow"><img src=${new URL("./icon.svg", import.meta.url).pathname} alt="" width="22" height="22" /><span>sensorflow</span></a>
      <nav aria-label="Main">${NAVIGATION.map(([, words, path]) => html`<a href=${link(path)} aria-current=${current(path)}>${words}</a>`)}</nav>
      <div class="tools">
        <button type="button" onClick=${() => (searchOpen.value = true)} title="Search ( / )">Search</button>
        <button type="button" onClick=${nextWay} title="How times are shown ( t )">Times: ${way.value}</button>
        <button type="button" onClick=${() => (helpOpen.value = true)} title="Keys ( ? )" aria-label="Keys">?</button>
        <${Health} />
      </div>
    </header>
    <main id="content" tabindex="-1"><${Guarded} key=${place.value.path.join("/")}>${view(place.value)}<//></main>
    <${Asked} place=${place.value.path.join("/")} />
    ${searchOpen.value && html`<${Search} />`}
    ${helpOpen.value && html`<${Help} />`}
  `;
}

// Rows that `j` and `k` walk over: whatever a view marks with `data-row`, which holds a link.
function walk(step) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + step))];
  (next.matches("a") ? next : next.querySelector("a"))?.focus();
}

const PLACES = { o: [], r: ["runs"], d: ["datasets"], e: ["events"], s: ["sensors"], a: ["alerts"], b: ["backfills"] };
let going = 0;

addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (Date.now() - going < 1000) {
    going = 0;
    if (event.key === "p") searchOpen.value = true;
    else if (event.key in PLACES) go(PLACES[event.key]);
    else return;
  } else if (event.key === "g") going = Date.now();
  else if (event.key === "/") searchOpen.value = true;
  else if (event.key === "?") helpOpen.value = true;
  else if (event.key === "t") nextWay();
  else if (event.key === "j") walk(1);
  else if (event.key === "k") walk(-1);
  else return;
  event.preventDefault();
});

render(html`<${App} />`, document.getElementById("app"));
live();
