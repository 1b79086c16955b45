// The events of the last hour, as a line.
import { get } from "./api.js";
import { useRead } from "./data.js";
import { Problem } from "./parts.js";
import { link } from "./place.js";
import { onNotice } from "./stream.js";
import { now, way } from "./times.js";
import { html, useEffect, useRef, useSignal } from "./ui.js";

const HEIGHT = 110;
const READ_AGAIN_MS = 5000;
// Between two times that are told: so that they do not run into each other on a narrow screen.
const stepS = (plot) => (plot.width > 560 ? 600 : 1200);

export function Rates({ begun }) {
  const again = useSignal(0);
  const minute = Math.floor(now.value / 60000);
  const read = useRead(begun && (async (signal) => {
    // What draws is much larger than the rest of the page, which does not wait for it.
    const [{ items }, { default: UPlot }] = await Promise.all([get("/events/rates", {}, { signal }), import("./vendor/uplot.js")]);
    return { items, UPlot };
  }), [begun, again.value, minute]);
  useEffect(() => {
    let timer = 0;
    const stop = onNotice((kind) => {
      if (kind === "event") timer ||= setTimeout(() => ((timer = 0), again.value++), READ_AGAIN_MS);
    });
    return () => (stop(), clearTimeout(timer));
  }, []);
  const { value, error } = read.value;
  // A token for some pipelines only is not told how much comes for the others.
  if (error?.status === 403) return null;
  const words = value && spoken(value.items);
  return html`<section class="rates-of" aria-label="Events of the last hour">
    <h2><a href=${link(["events"], { order: "newest" })}>Events</a> <small>of the last hour: ${words ?? "…"}</small></h2>
    <${Problem} error=${error} />
    ${value && html`<${Line} ...${value} label=${`Events of each minute: ${words}`} />`}
  </section>`;
}

function spoken(items) {
  const sum = (key) => items.reduce((total, item) => total + item[key], 0);
  const most = Math.max(...items.map((item) => item.events));
  const rejected = sum("rejected");
  return `${sum("events").toLocaleString("en")}${most ? `, at most ${most.toLocaleString("en")} a minute` : ""}${rejected ? `, ${rejected.toLocaleString("en")} rejected` : ""}`;
}

const clock = (at) => new Date(at * 1000).toISOString().slice(11, 16);
const ago = (at, last) => (last - at < 60 ? "now" : `${Math.round((last - at) / 60)} min ago`);

function Line({ items, UPlot, label }) {
  const box = useRef();
  const plot = useRef(null);
  const times = way.value === "relative" ? "relative" : "utc";
  const xs = items.map((item) => Date.parse(item.at) / 1000);
  const data = [xs, items.map((item) => item.events), items.map((item) => item.rejected)];
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const make = () => {
      plot.current?.destroy();
      plot.current = drawn(UPlot, box.current, latest.current, times);
    };
    const resized = new ResizeObserver(([entry]) => plot.current?.setSize({ width: Math.floor(entry.contentRect.width), height: HEIGHT }));
    make();
    resized.observe(box.current);
    scheme.addEventListener("change", make);
    return () => (resized.disconnect(), scheme.removeEventListener("change", make), plot.current?.destroy(), (plot.current = null));
  }, [times]);
  useEffect(() => plot.current?.setData(data), [items]);
  return html`<div class="rates" ref=${box} role="img" aria-label=${label}></div>`;
}

function drawn(UPlot, box, data, times) {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: of("quiet"), font: "11px system-ui, sans-serif", grid: { stroke: of("line"), width: 1 }, ticks: { show: false } };
  const whole = (splits) => splits.map((each) => (Number.isInteger(each) ? each.toLocaleString("en") : ""));
  return new UPlot({
    width: Math.max(200, box.clientWidth), height: HEIGHT, legend: { show: false }, cursor: { show: false },
    scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(4, most * 1.1)] } },
    axes: [
      { ...axis, size: 22, grid: { show: false }, splits: (plot) => plot.data[0].filter((at) => (times === "utc" ? at : plot.data[0].at(-1) - at) % stepS(plot) === 0),
        values: (plot, splits) => splits.map((at) => (times === "utc" ? `${clock(at)}Z` : ago(at, plot.data[0].at(-1)))) },
      { ...axis, size: 44, space: 28, values: (_, splits) => whole(splits) },
    ],
    series: [{}, { stroke: of("running"), width: 1.5, fill: `${of("running")}22`, points: { show: false } }, { stroke: of("failed"), width: 1.5, dash: [4, 3], points: { show: false } }],
  }, data, box);
}
