// Sensors: how each does, what it saw last, and what is wrong.
import { get } from "../api.js";
import { useRead } from "../data.js";
import { Empty, Shown, State, When } from "../parts.js";
import { link } from "../place.js";
import { duration } from "../times.js";
import { html } from "../ui.js";

export function Sensors() {
  const read = useRead((signal) => get("/sensors", { limit: 500 }, { signal }), [], (kind) => kind === "sensor");
  return html`<h1>Sensors</h1>
    <${Shown} read=${read} of="the sensors">${({ items }) => items.length === 0
      ? html`<${Empty} command="sensorflow validate">No file names a sensor. What is ready can be said by POST /api/v1/ready.<//>`
      : html`<div class="scroll"><table class="cards">
          <thead><tr><th>Sensor</th><th>Type</th><th>State</th><th>Last event</th><th title="from when it happened, as it says, to when it was received">Lag</th><th class="number">Accepted</th>
            <th class="number">Duplicate</th><th class="number">Rejected</th><th class="number">Unmatched</th><th class="after-number">Feeds</th></tr></thead>
          <tbody>${items.map(row)}</tbody></table></div>`}<//>`;
}

function row(sensor) {
  const name = `${sensor.pipeline}/${sensor.name}`;
  return html`<tr data-row key=${name}>
    <td>${sensor.pipeline === "-" ? name : html`<a href=${link(["pipelines", sensor.pipeline])}>${name}</a>`}</td>
    <td>${sensor.type}</td>
    <td><${State} state=${sensor.state} />${sensor.error && html`<div class="mono">${sensor.error}</div>`}</td>
    <td data-label="Last event">${sensor.last_seq ? html`<a href=${link(["events", sensor.last_seq])}><${When} at=${sensor.last_event_at} /></a>` : "none yet"}</td>
    <td data-label="Lag">${lag(sensor)}</td>
    <td class="number" data-label="Accepted">${sensor.accepted}</td><td class="number" data-label="Duplicate">${sensor.duplicates}</td>
    <td class="number" data-label="Rejected">${sensor.rejected ? html`<a href=${link(["events"], { state: "rejected", dataset: sensor.dataset })}>${sensor.rejected}</a>` : 0}</td>
    <td class="number" data-label="Unmatched">${sensor.unmatched}</td>
    <td class="after-number" data-label="Feeds"><a href=${link(["datasets", sensor.dataset])}>${sensor.dataset}</a></td>
  </tr>`;
}

// How long after it happened the last event was received, where it says when that was.
function lag({ last_event_at: received, last_event_time: happened }) {
  const after = Date.parse(received) - Date.parse(happened);
  return Number.isNaN(after) ? "" : after < 0 ? `${duration(after)} ahead` : duration(after);
}
