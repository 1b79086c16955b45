// Times in the way the reader has chosen: UTC, the pipeline's zone, or how long ago.
import { signal } from "./ui.js";

export const WAYS = ["relative", "zone", "utc"];
const KEPT = "sensorflow.times";

export const way = signal(WAYS.includes(localStorage.getItem(KEPT)) ? localStorage.getItem(KEPT) : "relative");
export const now = signal(Date.now());
setInterval(() => (now.value = Date.now()), 5000);

export function nextWay() {
  way.value = WAYS[(WAYS.indexOf(way.value) + 1) % WAYS.length];
  localStorage.setItem(KEPT, way.value);
}

export function duration(ms) {
  const seconds = Math.abs(ms) / 1000;
  if (seconds < 1) return `${Math.round(Math.abs(ms))} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.round((seconds % 86400) / 3600)} h`;
}

function relative(at) {
  const ago = now.value - at;
  if (Math.abs(ago) < 2000) return "now";
  const words = duration(ago).replace(/\.\d/, "").replace(/ min \d+ s$/, " min");
  return ago < 0 ? `in ${words}` : `${words} ago`;
}

// The text of an instant (ISO 8601) and, always, the exact one for the tooltip.
export function shown(instant, zone = "UTC") {
  if (!instant) return { text: "-", exact: "" };
  const at = Date.parse(instant);
  const exact = new Date(at).toISOString().replace(".000Z", "Z");
  if (way.value === "relative") return { text: relative(at), exact };
  const there = way.value === "utc" ? "UTC" : zone;
  const format = new Intl.DateTimeFormat("sv-SE", {
    timeZone: there, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
  return { text: `${format.format(at)}${there === "UTC" ? "Z" : ` ${there}`}`, exact };
}
