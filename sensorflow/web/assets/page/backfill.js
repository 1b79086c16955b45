// The question before a backfill: what would be made, shown before anything is.
import { post } from "./api.js";
import { asCli, asCurl, Copied, Problem, State } from "./parts.js";
import { go } from "./place.js";
import { html, useEffect, useRef, useSignal } from "./ui.js";

const RANGED = ["hourly", "daily", "weekly", "monthly", "several"];
const SHOWN = 40;
const PLAN_AFTER_MS = 250;

export function BackfillQuestion({ pipeline, partitions, onClose }) {
  const dialog = useRef();
  const ranged = RANGED.includes(pipeline.grain);
  const asked = useSignal({ from: partitions[0] ?? "", to: partitions.at(-1) ?? "", listed: partitions.join(" "), only: "missing", order: "oldest", force: false, reason: "" });
  const failed = useSignal(null);
  const busy = useSignal(false);
  const { plan, error } = usePlan(pipeline, asked.value, ranged);
  useEffect(() => dialog.current.showModal(), []);
  const set = (key) => (event) => (asked.value = { ...asked.value, [key]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
  const act = async (event) => {
    event.preventDefault();
    if (!plan?.total) return;
    busy.value = true;
    failed.value = null;
    try {
      const made = await post("/backfills", body(pipeline, asked.value, ranged));
      dialog.current.close();
      go(["backfills", made.id]);
    } catch (problem) {
      failed.value = problem;
    }
    busy.value = false;
  };
  const { from, to, listed, only, order, force, reason } = asked.value;
  return html`<dialog ref=${dialog} onClose=${onClose} aria-label="Backfill" class="backfill">
    <form method="dialog" onSubmit=${act}>
      <h2>Backfill of ${pipeline.name}</h2>
      ${ranged
        ? html`<div class="filters"><label>From <input value=${from} onInput=${set("from")} required /></label><label>to, included <input value=${to} onInput=${set("to")} required /></label></div>`
        : html`<label>Partitions <input name="partitions" value=${listed} onInput=${set("listed")} required /></label>`}
      <div class="filters">
        <label>Only <select value=${only} onChange=${set("only")}><option value="missing">those without a run, or not started</option><option value="failed">failed ones</option><option value="all">every one again</option></select></label>
        <label>Order <select value=${order} onChange=${set("order")}><option value="oldest">oldest first</option><option value="newest">newest first</option></select></label>
      </div>
      <label><input type="checkbox" checked=${force} onChange=${set("force")} /> without waiting for inputs</label>
      <${Plan} plan=${plan} error=${error} />
      <label>Reason (kept) <input name="reason" value=${reason} onInput=${set("reason")} maxlength="500" /></label>
      <${Problem} error=${failed.value} />
      <div class="row">
        <button type="submit" class="primary" disabled=${busy.value || !plan?.total}>${!plan ? "Make runs" : plan.total === 0 ? "Nothing to do" : plan.total === 1 ? "Make 1 run" : `Make ${plan.total} runs`}</button>
        <button type="button" onClick=${() => dialog.current.close()}>Not now</button>
      </div>
      <details><summary>The same from a terminal</summary>
        <${Copied} text=${asCli(command(pipeline, asked.value, ranged))} />
        <${Copied} text=${asCurl("/backfills", body(pipeline, asked.value, ranged))} />
      </details>
    </form>
  </dialog>`;
}

const keys = (listed) => listed.split(/[\s,]+/).filter(Boolean);

function body(pipeline, { from, to, listed, only, order, force, reason }, ranged) {
  const which = ranged ? { from, to } : { partitions: keys(listed) };
  return { pipeline: pipeline.name, ...which, only, order, ...(force ? { force } : {}), ...(reason ? { reason } : {}) };
}

function command(pipeline, { from, to, listed, only, order, force, reason }, ranged) {
  const which = ranged ? [from, to] : keys(listed).flatMap((key) => ["--partition", key]);
  const more = [...(only === "missing" ? [] : ["--only", only]), ...(order === "oldest" ? [] : ["--order", order])];
  return ["backfill", pipeline.name, ...which, ...more, ...(force ? ["--force"] : []), ...(reason ? ["--reason", reason] : [])];
}

// What would be done, asked anew a little after each change; an answer to what is asked no more is dropped.
function usePlan(pipeline, asked, ranged) {
  const found = useSignal({});
  const { reason, ...rest } = asked;
  const wanted = JSON.stringify(body(pipeline, { ...rest, reason: "" }, ranged));
  useEffect(() => {
    let gone = false;
    const whole = ranged ? asked.from && asked.to : keys(asked.listed).length;
    found.value = {};
    const timer = whole && setTimeout(async () => {
      try {
        const plan = await post("/backfills", { ...JSON.parse(wanted), dry_run: true });
        if (!gone) found.value = { plan };
      } catch (error) {
        if (!gone) found.value = { error };
      }
    }, PLAN_AFTER_MS);
    return () => ((gone = true), clearTimeout(timer));
  }, [wanted]);
  return found.value;
}

function Plan({ plan, error }) {
  if (error) return html`<${Problem} error=${error} />`;
  if (!plan) return html`<p class="quiet" role="status">What would be done is shown here first.</p>`;
  const counts = new Map();
  for (const { action } of plan.items) counts.set(action, (counts.get(action) ?? 0) + 1);
  const WORDS = { make: "made", adopt: "taken over while they wait", retry: "tried again", rerun: "run again", skip: "left as they are" };
  return html`<p role="status">Would be done: ${[...counts].map(([action, count]) => `${count} ${WORDS[action] ?? action}`).join(", ")}; at most ${plan.max_active} at once.</p>
    <div class="log"><table class="cards"><tbody>${plan.items.slice(0, SHOWN).map((item) => html`<tr key=${item.partition}>
      <td class="mono">${item.partition}</td><td><${State} state=${item.action} /></td><td>${item.state && html`<${State} state=${item.state} />`}</td>
      <td>${item.waiting_for.length > 0 && html`<small title=${item.waiting_for[0].text}>${item.waiting_for[0].text.split("; ")[0]}${item.waiting_for.length > 1 ? `, and ${item.waiting_for.length - 1} more` : ""}</small>`}</td></tr>`)}</tbody></table>
      ${plan.items.length > SHOWN && html`<p class="quiet">and ${plan.items.length - SHOWN} more</p>`}</div>`;
}
