// Events: what came in, as it comes in, and what became of each.
import { get, post } from "../api.js";
import { useRead } from "../data.js";
import { Action, Copied, Empty, More, Problem, Shown, State, When } from "../parts.js";
import { filter, link } from "../place.js";
import { onNotice } from "../stream.js";
import { html, useEffect, useRef, useSignal } from "../ui.js";
import { Rules } from "./playground.js";

export { Playground } from "./playground.js";

const STATES = ["accepted", "unmatched", "rejected"];
const PAGE = 50;
// Above so many rows those that nobody looks at are let go.
const MOST = 400;
const QUIET_MS = 400;

export function Events({ query }) {
  const { dataset, state } = query;
  const names = useRead((signal) => get("/datasets", { limit: 500 }, { signal }), []);
  return html`<h1>Events <small><a href=${link(["playground"])}>Playground: what would become of an event?</a></small></h1>
    <${Live} key=${`${dataset}/${state}`} dataset=${dataset} state=${state}>
      <label>Dataset <input list="datasets" value=${dataset ?? ""} onChange=${(event) => filter({ dataset: event.target.value.trim() })} /></label>
      <datalist id="datasets">${names.value.value?.items.map((each) => html`<option value=${each.name} />`)}</datalist>
      <label>State <select value=${state ?? ""} onChange=${(event) => filter({ state: event.target.value })}>
        <option value="">any</option>${STATES.map((each) => html`<option value=${each}>${each}</option>`)}</select></label>
    <//>`;
}

function Live({ dataset, state, children }) {
  const list = useRef();
  const { items, next, error, held, loading, paused, hold, show, more } = useEvents(dataset, state);
  useEffect(() => hold(() => scrollY > 40 || Boolean(list.current?.matches(":hover, :focus-within"))), []);
  return html`<div class="filters">${children}
      <button type="button" aria-pressed=${String(paused.value)} onClick=${() => (paused.value = !paused.value)}>${paused.value ? "▶ Go on" : "‖ Pause"}</button>
      <button type="button" class="held" disabled=${held.value === 0} onClick=${show} aria-live="polite">${held.value > 0 ? `Show ${held.value} new` : paused.value ? "paused" : "live"}</button>
    </div>
    <${Problem} error=${error.value} />
    ${loading.value && html`<p class="quiet" role="status">Reading the events …</p>`}
    ${!loading.value && !error.value && items.value.length === 0 && html`<${Empty} command="sensorflow ready DATASET PARTITION">${dataset || state ? "No event is so." : "Nothing has come in yet."}<//>`}
    ${items.value.length > 0 && html`<div class="scroll" ref=${list}><table class="cards">
      <thead><tr><th>Event</th><th>State</th><th>What became of it</th><th>Received</th></tr></thead>
      <tbody>${items.value.map((event) => html`<${Row} key=${event.seq} event=${event} />`)}</tbody></table></div>`}
    <${More} next=${next.value} onMore=${more} />`;
}

// The newest events, and those that come: they are shown at once, unless somebody looks at the list; then
// they are counted and wait, so that nothing moves away under the eye or the pointer.
function useEvents(dataset, state) {
  const [items, next, error, held, loading, paused] = [useSignal([]), useSignal(null), useSignal(null), useSignal(0), useSignal(true), useSignal(false)];
  const reader = useRef(null);
  if (!reader.current) {
    let [waiting, anew, looked, busy, again, gone] = [0, true, () => false, false, false, false];
    const ask = (more) => get("/events", { order: "newest", dataset, state, limit: PAGE, ...more });
    // Puts what is new above the rest; what there is too much of, or is read anew, takes the place of all.
    const take = async () => {
      const newest = items.value[0]?.seq ?? 0;
      const whole = anew || !newest || items.value.length > MOST;
      [waiting, anew] = [0, false];
      const page = await ask(whole ? {} : { after: newest });
      if (gone) return;
      const replaced = whole || page.next !== null;
      items.value = replaced ? page.items : [...page.items, ...items.value];
      if (replaced) next.value = page.next;
    };
    const bring = async (asked) => {
      if (busy) return void (again = true);
      if (!asked && (paused.value || (looked() && items.value.length > 0))) return void (held.value = waiting);
      busy = true;
      try {
        await take();
        error.value = null;
        held.value = waiting;
      } catch (problem) {
        error.value = problem;
      }
      [busy, loading.value] = [false, false];
      if (again && !gone) {
        again = false;
        bring(false);
      }
    };
    const more = async (cursor) => {
      try {
        const page = await ask({ cursor });
        items.value = [...items.value, ...page.items];
        next.value = page.next;
      } catch (problem) {
        error.value = problem;
      }
    };
    const hear = (kind, data) => {
      if (kind === "reset") return void ([waiting, anew] = [waiting + 1, true]);
      const fits = (!state || data.state === state) && (!dataset || data.state === "rejected" || data.datasets?.includes(dataset));
      if (kind !== "event") return;
      // What was read before its notice came is no news, unless it was read anew by other rules.
      const redriven = items.value.some((each) => each.seq === data.seq && each.state !== data.state);
      if (redriven || (fits && data.seq > (items.value[0]?.seq ?? 0))) [waiting, anew] = [waiting + 1, anew || redriven];
    };
    reader.current = {
      more, show: () => bring(true), hold: (look) => (looked = look),
      begin: () => {
        gone = false;
        bring(true);
        const stop = onNotice(hear);
        // Whoever has looked away is shown what has come meanwhile.
        const timer = setInterval(() => waiting > 0 && bring(false), QUIET_MS);
        return () => {
          gone = true;
          clearInterval(timer);
          stop();
        };
      },
    };
  }
  useEffect(() => reader.current.begin(), []);
  return { items, next, error, held, loading, paused, ...reader.current };
}

function Row({ event }) {
  return html`<tr data-row>
    <td><a href=${link(["events", event.seq])}>${event.type}</a> <small>${event.seq}</small><div><small class="mono">${event.source}${event.subject ? ` ${event.subject}` : ""}</small></div></td>
    <td><${State} state=${event.state} /></td>
    <td>${event.reason ? html`<div>${event.reason}</div>` : event.state === "unmatched" && html`<span class="quiet">no rule takes it</span>`}${event.arrivals.slice(0, 4).map((arrival) => html`<div><${Arrival} arrival=${arrival} /></div>`)}${event.arrivals.length > 4 && html`<small>and ${event.arrivals.length - 4} more</small>`}</td>
    <td><${When} at=${event.received_at} /></td>
  </tr>`;
}

function Arrival({ arrival }) {
  return html`<a href=${link(["datasets", arrival.dataset], { partition: arrival.partition })}>${arrival.dataset} <span class="mono">${arrival.partition ?? ""}</span></a>${arrival.part && ` ${arrival.part}`} <small>v${arrival.version}</small>${arrival.ready && html` <${State} state="ready" title="the partition was all there after it" />`}`;
}

export function EventPage({ seq }) {
  const read = useRead(
    (signal) => get(`/events/${encodeURIComponent(seq)}`, {}, { signal }),
    [seq],
    (kind, data) => (kind === "event" && String(data.seq) === seq) || (kind === "run" && read.peek().value?.runs.some((run) => run.id === data.id)),
  );
  return html`<${Shown} read=${read} of="the event">${(event) => html`
    <h1>${event.type} <small>event ${event.seq}</small> <${State} state=${event.state} /></h1>
    ${event.reason && html`<section class="panel" aria-label="Why"><strong>${event.state === "rejected" ? "Why it was rejected" : "Why"}</strong><div>${event.reason}</div></section>`}
    <div class="row"><${Redrive} event=${event} /> <a href=${link(["playground"], { seq })}>Try it in the playground</a></div>
    <${About} event=${event} />
    <h2>Made ready</h2>
    <${Brought} event=${event} />
    <h2>Runs <small>of what it brought</small></h2>
    ${event.runs.length > 0 ? html`<ul>${event.runs.map((run) => html`<li data-row key=${run.id}><${State} state=${run.state} /> <a href=${link(["runs", run.id])}>${run.pipeline} <span class="mono">${run.partition ?? ""}</span></a></li>`)}</ul>`
      : html`<p class="quiet">There is none.</p>`}
    <h2>By the rules of now</h2>
    <${ByNow} key=${seq} seq=${seq} open=${event.state !== "accepted"} />
    <h2>What it carries</h2>
    <${Copied} text=${JSON.stringify(event.data, null, 2)} />
    ${Object.keys(event.extensions).length > 0 && html`<h3>Further attributes</h3><${Copied} text=${JSON.stringify(event.extensions, null, 2)} />`}
  `}<//>`;
}

function Redrive({ event }) {
  return html`<${Action} label="Redrive" path=${`/events/${event.seq}/redrive`} cli=${["redrive", event.seq]} reason=${null}
    question="It is read again by the rules of now, and what it makes ready that was not there arrives. Nothing comes twice." />`;
}

function About({ event }) {
  const fact = (name, value) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`<dl class="facts">
    ${fact("Source", html`<span class="mono">${event.source}</span>`)}
    ${fact("Id", html`<span class="mono">${event.id}</span>`)}
    ${fact("Subject", event.subject)}
    ${fact("Time", event.time && html`<span class="mono">${event.time}</span>`)}
    ${fact("Received", html`<${When} at=${event.received_at} />`)}
    ${fact("Seen by", event.sensor ? html`sensor ${event.sensor}` : "nobody: it was posted")}
  </dl>`;
}

function Brought({ event }) {
  if (event.arrivals.length === 0) return html`<p class="quiet">${event.state === "unmatched" ? "No rule took it." : "Nothing."}</p>`;
  return html`<div class="scroll"><table>
    <thead><tr><th>Partition</th><th>Part</th><th class="number">Version</th><th class="after-number">All there after it</th><th>Read by</th></tr></thead>
    <tbody>${event.arrivals.map((each) => html`<tr data-row>
      <td><a href=${link(["datasets", each.dataset], { partition: each.partition })}>${each.dataset} <span class="mono">${each.partition ?? ""}</span></a></td>
      <td>${each.part ?? ""}</td><td class="number">${each.version}</td>
      <td class="after-number">${each.ready ? html`<${State} state="ready" />` : "not yet"}</td><td>${each.sensor ?? "nobody: it was said outright"}</td>
    </tr>`)}</tbody></table></div>`;
}

// What the rules of now make of it: asked at once where it was not taken, else when somebody wants to know.
function ByNow({ seq, open }) {
  const asked = useSignal(open);
  const read = useRead(async () => (asked.value ? post(`/match?seq=${encodeURIComponent(seq)}`) : null), [seq, asked.value], (kind) => kind === "event");
  if (!asked.value) return html`<button type="button" onClick=${() => (asked.value = true)}>Which rules take it?</button>`;
  return html`<${Shown} read=${read} of="the rules">${(answer) => answer && html`<${Rules} answer=${answer} />`}<//>`;
}
