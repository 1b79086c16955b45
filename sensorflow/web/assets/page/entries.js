// What a rehearsal tells, entry by entry, in words.
import { State } from "./parts.js";
import { link } from "./place.js";
import { html } from "./ui.js";

const LOOKS = { held: "missing", refused: "rejected", ready: "ready", run: "waiting", rerun: "waiting", fired: "running", retried: "running", alert: "late", resolved: "resolved", resumed: "up" };
// So many of the same instant that say the same of a dataset are told one by one.
const ONE_BY_ONE = 3;

export const look = (entry) => (entry.kind === "event" || entry.kind === "ended" ? entry.state : (LOOKS[entry.kind] ?? entry.kind));

const named = ({ dataset, partition, part }) => [dataset, partition, part].filter(Boolean).join(" ");
const nth = (entry) => (entry.attempt > 1 ? `, attempt ${entry.attempt}` : "");

export function words(entry) {
  const { task, text, attempt } = entry;
  const brought = (entry.arrivals ?? []).map(named).join(", ");
  switch (entry.kind) {
    case "event": return brought ? `${brought} comes` : `an event of ${entry.source}: ${text ?? "no rule takes it"}`;
    case "held": return `${brought} is held back`;
    case "refused": return `refused: ${text}`;
    case "ready": return `${named(entry)} is complete, as nothing more came`;
    case "run": return `the run is made (${entry.trigger})`;
    case "rerun": return `generation ${entry.generation} begins`;
    case "stale": return "the run is marked stale";
    case "ended": return `the run has ${entry.state}`;
    case "fired": return `${task} starts${nth(entry)}${text ? ` (${short(text)})` : ""}`;
    case "retried": return `${task} starts again${nth(entry)}`;
    case "retrying": return `attempt ${attempt} of ${task} fails${text ? `: ${text}` : ""}; it will be tried again`;
    case "failed": return `${task} fails for good${text ? `: ${text}` : ""}`;
    case "blocked": return `${task} is blocked`;
    case "waiting": return `${task} waits again`;
    case "paused": case "resumed": return `${entry.pipeline} is ${entry.kind}`;
    case "alert": return `alert: ${text}`;
    case "resolved": return `resolved: ${text}`;
    default: return `${task} ${entry.kind}`;
  }
}

// Of a list that may name hundreds, the first.
function short(text) {
  const all = text.split(", ");
  return all.length > 4 ? `${all.slice(0, 3).join(", ")} and ${all.length - 3} more` : text;
}

// Virtual time says nothing as "3 hours ago": it is always shown as a clock.
export function Clock({ at, zone = "UTC" }) {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return html`<time datetime=${at} title=${`${at}, shown in ${zone}`} class="mono">${format.format(Date.parse(at))}</time>`;
}

// Entries as told: of many arrivals of a dataset at one time, how many.
export function gathered(entries) {
  const groups = new Map();
  for (const entry of entries) {
    const dataset = (entry.kind === "event" || entry.kind === "held") && entry.arrivals?.length === 1 ? entry.arrivals[0].dataset : null;
    const key = dataset ? `${entry.at} ${entry.kind} ${dataset}` : Symbol("alone");
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return [...groups.values()].flatMap((group) => {
    if (group.length <= ONE_BY_ONE) return group.map((entry) => ({ entry, text: words(entry) }));
    const [entry] = group;
    const what = `${group.length} arrivals of ${entry.arrivals[0].dataset}`;
    return [{ entry, text: entry.kind === "held" ? `${what} are held back` : `${what} come` }];
  });
}

// `own` is the pipeline whose page this is: of others the name stands beside.
export function Entries({ entries, zone, own }) {
  return html`<ul class="entries">${gathered(entries).map(({ entry, text }) => html`<li class=${own && entry.pipeline && entry.pipeline !== own ? "quiet" : ""}>
    <${State} state=${look(entry)} short title=${entry.kind} />
    ${entry.pipeline && entry.pipeline !== own && html` <a href=${link(["pipelines", entry.pipeline])}>${entry.pipeline}</a> <span class="mono">${entry.partition ?? ""}</span>`} ${text}
    ${entry.next_attempt_at && html` <small>at <${Clock} at=${entry.next_attempt_at} zone=${zone} /></small>`}
  </li>`)}</ul>`;
}
