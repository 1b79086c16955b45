// Alerts: what somebody should know, open ones first.
import { get } from "../api.js";
import { useRead } from "../data.js";
import { Empty, More, Shown, State, When } from "../parts.js";
import { filter, link } from "../place.js";
import { html } from "../ui.js";

const KINDS = { failed: "a run has failed", late: "data is late", sensor_down: "a sensor is down" };

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
      : html`<div class="scroll"><table>
          <thead><tr><th>State</th><th>What</th><th>Opened</th><th>Resolved</th></tr></thead>
          <tbody>${items.map(row)}</tbody></table></div>
          <${More} next=${next} onMore=${(cursor) => filter({ cursor })} />`}<//>`;
}

function row(alert) {
  const about = alert.run ? link(["runs", alert.run])
    : alert.dataset ? link(["datasets", alert.dataset])
    : alert.kind === "sensor_down" ? link(["sensors"])
    : alert.pipeline ? link(["pipelines", alert.pipeline]) : undefined;
  return html`<tr data-row key=${alert.id}>
    <td><${State} state=${alert.state} /></td>
    <td><div><a href=${about}>${alert.text}</a></div><small>${KINDS[alert.kind] ?? alert.kind}</small></td>
    <td><${When} at=${alert.opened_at} /></td>
    <td>${alert.resolved_at && html`<${When} at=${alert.resolved_at} />`}</td>
  </tr>`;
}
