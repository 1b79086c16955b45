// Alerts: what somebody should know, open ones first.
import { get } from "../api.js";
import { useRead } from "../data.js";
import { Empty, More, Shown, State, When, Words } from "../parts.js";
import { filter, link } from "../place.js";
import { html } from "../ui.js";

// How each kind of alert looks.
export const KINDS = { failed: "failed", late: "late", sensor_down: "down" };

export function Alerts({ query }) {
  const state = query.state ?? "open";
  const read = useRead(
    (signal) => get("/alerts", { state, cursor: query.cursor }, { signal }),
    [state, query.cursor],
    (kind) => kind === "alert",
  );
  return html`<h1>Alerts</h1>
    <div class="filters"><label>Show
      <select value=${state} onChange=${(event) => filter({ state: event.target.value, cursor: undefined })}>
        <option value="open">open</option><option value="all">all</option></select></label></div>
    <${Shown} read=${read} of="the alerts">${({ items, next }) => items.length === 0
      ? html`<${Empty}>${state === "open" ? "Nothing is wrong." : "There has been no alert."}<//>`
      : html`<div class="scroll"><table class="cards">
          <thead><tr><th>What</th><th></th><th>Opened</th>${state === "all" && html`<th>Resolved</th>`}</tr></thead>
          <tbody>${items.map((alert) => row(alert, state))}</tbody></table></div>
          <${More} next=${next} onMore=${(cursor) => filter({ cursor })} />`}<//>`;
}

export function about(alert) {
  return alert.run ? link(["runs", alert.run])
    : alert.dataset ? link(["datasets", alert.dataset])
    : alert.kind === "sensor_down" ? link(["sensors"])
    : alert.pipeline ? link(["pipelines", alert.pipeline]) : undefined;
}

function row(alert, asked) {
  return html`<tr data-row key=${alert.id}>
    <td><${State} state=${alert.state === "resolved" ? "resolved" : KINDS[alert.kind]} /></td>
    <td><a href=${about(alert)}><${Words} text=${alert.text} /></a></td>
    <td data-label="Opened"><${When} at=${alert.opened_at} /></td>
    ${asked === "all" && html`<td data-label="Resolved">${alert.resolved_at && html`<${When} at=${alert.resolved_at} />`}</td>`}
  </tr>`;
}
