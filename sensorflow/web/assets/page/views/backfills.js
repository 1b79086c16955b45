// Backfills: how far each is, and the way to take one back.
import { get } from "../api.js";
import { useRead } from "../data.js";
import { Action, Empty, More, Shown, State, When } from "../parts.js";
import { filter, link } from "../place.js";
import { html } from "../ui.js";

const STATES = ["succeeded", "running", "failed", "cancelled", "waiting"];
const concerns = (kind) => kind === "backfill" || kind === "run";

export function Backfills({ query }) {
  const read = useRead((signal) => get("/backfills", { cursor: query.cursor }, { signal }), [query.cursor], concerns);
  return html`<h1>Backfills</h1>
    <${Shown} read=${read} of="the backfills">${({ items, next }) => items.length === 0
      ? html`<${Empty} command="sensorflow backfill PIPELINE FROM TO --dry-run">No backfill has been made.<//>`
      : html`<div class="scroll"><table class="cards">
          <thead><tr><th>Backfill</th><th>State</th><th>Range</th><th>Progress</th><th>Made</th></tr></thead>
          <tbody>${items.map(row)}</tbody></table></div>
          <${More} next=${next} onMore=${(cursor) => filter({ cursor })} />`}<//>`;
}

function row(backfill) {
  return html`<tr data-row key=${backfill.id}>
    <td><a href=${link(["backfills", backfill.id])}>${backfill.pipeline}</a></td>
    <td><${State} state=${backfill.state} /></td>
    <td class="mono">${range(backfill)}</td>
    <td style=${{ minWidth: "160px" }}><${Progress} backfill=${backfill} /></td>
    <td data-label="Made"><${When} at=${backfill.created_at} /></td>
  </tr>`;
}

const range = (backfill) => (backfill.from ? `${backfill.from} to ${backfill.to}` : `${backfill.total} partitions`);

function Progress({ backfill }) {
  const { runs, total } = backfill;
  const ended = runs.succeeded + runs.failed + runs.cancelled;
  const words = STATES.filter((state) => runs[state]).map((state) => `${runs[state]} ${state}`).join(", ");
  return html`<div class="progress" role="progressbar" aria-valuenow=${ended} aria-valuemin="0" aria-valuemax=${total} aria-label=${words || "no runs"}>
      ${STATES.filter((state) => state !== "waiting").map((state) => html`<span class="is-${state}" style=${{ width: `${(100 * runs[state]) / Math.max(1, total)}%` }}></span>`)}
    </div><small>${words || "no runs of its own"}, of ${total}</small>`;
}

export function Backfill({ id }) {
  const read = useRead(
    async (signal) => {
      const backfill = await get(`/backfills/${encodeURIComponent(id)}`, {}, { signal });
      return { backfill, runs: await get("/runs", { pipeline: backfill.pipeline, backfill: id, limit: 200 }, { signal }) };
    },
    [id],
    concerns,
  );
  return html`<${Shown} read=${read} of="the backfill">${({ backfill, runs }) => html`
    <h1>Backfill of <a href=${link(["pipelines", backfill.pipeline])}>${backfill.pipeline}</a> <small class="mono">${range(backfill)}</small></h1>
    <div class="row"><${State} state=${backfill.state} /> made <${When} at=${backfill.created_at} />
      <span class="quiet">only ${backfill.only}, ${backfill.order} first, at most ${backfill.max_active} at once${backfill.force ? ", without waiting for inputs" : ""}</span></div>
    ${backfill.reason && html`<p>Reason: ${backfill.reason}</p>`}
    <${Progress} backfill=${backfill} />
    <div class="row">${!backfill.cancelled_at && html`<${Action} danger label="Cancel backfill" path=${`/backfills/${backfill.id}/cancel`} cli=${["cancel", backfill.id]}
      question="Runs that it made and that have not started are taken back. What runs, runs on." />`}</div>
    <h2>Runs</h2>
    <ul>${runs.items.map((run) => html`<li data-row key=${run.id}><${State} state=${run.state} /> <a class="mono" href=${link(["runs", run.id])}>${run.partition ?? run.id}</a></li>`)}</ul>
    ${runs.next && html`<p class="quiet">and more: <a href=${link(["runs"], { pipeline: backfill.pipeline, backfill: id })}>all of its runs</a></p>`}
  `}<//>`;
}
