// What all views are put together from.
import { ApiError, post, token } from "./api.js";
import { shown, way } from "./times.js";
import { html, signal, useEffect, useRef, useSignal } from "./ui.js";

// A state has a colour, a shape and a letter, so that none of them is needed alone.
export const SHAPES = {
  waiting: ["○", "W"], queued: ["◔", "Q"], running: ["▶", "R"], retrying: ["↻", "T"], succeeded: ["✓", "S"],
  failed: ["✗", "F"], blocked: ["⊘", "B"], skipped: ["⇥", "K"], cancelled: ["⊝", "C"], interrupted: ["‖", "I"],
  accepted: ["✓", "A"], unmatched: ["○", "U"], rejected: ["✗", "R"], duplicate: ["=", "D"],
  up: ["✓", "U"], down: ["✗", "D"], starting: ["◔", "S"], paused: ["‖", "P"], late: ["!", "L"],
  ready: ["✓", "R"], partial: ["◔", "P"], missing: ["○", "M"], open: ["!", "O"], resolved: ["✓", "R"], stale: ["≈", "S"],
  withdrawn: ["⊖", "W"], make: ["+", "M"], adopt: ["=", "A"], retry: ["↻", "T"], rerun: ["↻", "R"], skip: ["⇥", "K"],
};

export function State({ state, short = false, title }) {
  const [shape, letter] = SHAPES[state] ?? ["•", state?.[0]?.toUpperCase() ?? "?"];
  return html`<span class="state is-${state}" title=${title ?? state}>
    <span class="shape" aria-hidden="true">${shape}</span>${short ? html`<span class="letter">${letter}</span>` : state}
  </span>`;
}

export function When({ at, zone }) {
  const { text, exact } = shown(at, zone);
  return html`<time datetime=${exact} title=${exact}>${text}</time>`;
}

const SPECIAL = /`([^`]+)`|((?:at )?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))/;

// What the service says in words: commands in it look like such, and instants are shown in the way that is chosen.
export function Words({ text, zone }) {
  const [before, command, instant, ...after] = (text ?? "").split(SPECIAL);
  if (after.length === 0) return before;
  const rest = text.slice(before.length + (command ? command.length + 2 : instant.length));
  return html`${before}${command ? html`<code>${command}</code>` : html`${way.value !== "relative" && instant.startsWith("at ") && "at "}<${When} at=${instant.replace("at ", "")} zone=${zone} />`}<${Words} text=${rest} zone=${zone} />`;
}

// One thing that is wrong, in a file or in what was sent.
function fault({ file, line, column, path, message, where, expected, found }) {
  return file ? `${file}:${line}:${column}: ${path ? `${path}: ` : ""}${message}` : `${where}: expected ${expected}, found ${found}`;
}

export function Problem({ error }) {
  if (!error) return null;
  const errors = error instanceof ApiError ? (error.problem.errors ?? []) : [];
  // Where it is only one, the words before it mostly have it already.
  const more = errors.filter((each) => !each.expected || !error.message.includes(each.expected));
  return html`<div class="problem" role="alert">
    <strong>${error.problem?.title ?? "That did not work"}</strong> ${error.message}
    ${more.length > 0 && html`<ul>${more.map((each) => html`<li>${fault(each)}</li>`)}</ul>`}
  </div>`;
}

// Shows what was read; `children` is a function of it. What is shown stays while it is read again.
export function Shown({ read, children, of = "this" }) {
  const { value, error, loading } = read.value;
  return html`
    ${error && html`<${Problem} error=${error} />`}
    ${value !== undefined ? children(value) : loading && html`<p class="quiet" role="status">Reading ${of} …</p>`}
  `;
}

export function Empty({ children, command }) {
  return html`<div class="empty"><p>${children}</p>${command && html`<${Copied} text=${command} />`}</div>`;
}

// A command with a button that copies it.
export function Copied({ text, label = "copy" }) {
  const said = useSignal("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.value = "copied";
    } catch {
      said.value = "select and copy";
    }
    setTimeout(() => (said.value = ""), 1500);
  };
  return html`<div class="copied"><pre tabindex="0">${text}</pre>
    <button type="button" class="small" onClick=${copy}>${said.value || label}</button></div>`;
}

function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export function asCurl(path, body) {
  const auth = token() ? ' -H "Authorization: Bearer $SENSORFLOW_TOKEN"' : "";
  const data = body && Object.keys(body).length ? ` -H 'Content-Type: application/json' -d ${quoted(JSON.stringify(body))}` : "";
  return `curl -X POST${auth}${data} ${quoted(new URL(`api/v1${path}`, location.href).href)}`;
}

export function asCli(words) {
  return `sensorflow ${words.map((word) => quoted(String(word))).join(" ")}`;
}

// The question that is open, as its button asks it. It is shown outside of the place that asked, so that it stays
// while what it is about changes: the service judges what is sent.
const asked = signal(null);

// A button that opens a question: what will be done, why, and how to do the same by curl and on the command line.
// `body` is sent with the reason; `choice` lets one of some `options` be taken, or anything be typed where there are none,
// and `with` makes body and words of it.
export function Action({ label, danger = false, ...more }) {
  return html`<button type="button" class=${danger ? "danger" : ""} onClick=${() => (asked.value = { label, danger, ...more })}>${label}</button>`;
}

// Shows the question that is open, for as long as the page stays at `place`.
export function Asked({ place }) {
  useEffect(() => () => (asked.value = null), [place]);
  return asked.value && html`<${Question} ...${asked.value} />`;
}

function Question({ label, question, path, body = {}, cli, danger, choice, reason = "kept" }) {
  const dialog = useRef();
  const [why, taken, busy, error] = [useSignal(""), useSignal(choice?.value ?? ""), useSignal(false), useSignal(null)];
  useEffect(() => dialog.current.showModal(), []);
  const chosen = taken.value ? choice.with(taken.value) : { body: {}, cli: [] };
  const sent = { ...body, ...chosen.body, ...(why.value ? { reason: why.value } : {}) };
  const command = [...cli, ...chosen.cli, ...(why.value ? ["--reason", why.value] : [])];
  const act = async (event) => {
    event.preventDefault();
    busy.value = true;
    error.value = null;
    try {
      await post(path, sent);
      dialog.current?.close();
    } catch (problem) {
      error.value = problem;
    }
    busy.value = false;
  };
  return html`<dialog ref=${dialog} onClose=${() => (asked.value = null)} aria-label=${label}>
    <form method="dialog" onSubmit=${act}>
      <h2>${label}</h2>
      <p>${question}</p>
      ${choice && !choice.options && html`<label>${choice.label} <input name="choice" value=${taken.value} onInput=${(event) => (taken.value = event.target.value.trim())} required /></label>`}
      ${choice?.options && html`<label>${choice.label} <select value=${taken.value} onChange=${(event) => (taken.value = event.target.value)}>
        <option value="">${choice.none}</option>${choice.options.map((each) => html`<option value=${each}>${each}</option>`)}</select></label>`}
      ${reason && html`<label>Reason (${reason}) <input name="reason" value=${why.value} onInput=${(event) => (why.value = event.target.value)} maxlength="500" required=${reason === "needed"} /></label>`}
      <${Problem} error=${error.value} />
      <div class="row">
        <button type="submit" class=${danger ? "danger primary" : "primary"} disabled=${busy.value}>${label}</button>
        <button type="button" onClick=${() => dialog.current.close()}>Not now</button>
      </div>
      <details><summary>The same from a terminal</summary>
        <${Copied} text=${asCli(command)} />
        <${Copied} text=${asCurl(path, sent)} />
      </details>
    </form>
  </dialog>`;
}

// From so many on, missing partitions of one dataset are told together.
const FOLDED = 4;

// What a task waits for, in words: what is late first, many partitions of a dataset as one line.
export function Waits({ waits, zone }) {
  const byDataset = Map.groupBy(waits, (wait) => (wait.kind === "dataset" && wait.partition ? wait.dataset : wait));
  const told = [...byDataset.values()].sort((a, b) => b.some((each) => each.late) - a.some((each) => each.late));
  return html`<ul class="waits">${told.map((group) => (group.length < FOLDED ? group.map((wait) => oneWait(wait, zone)) : html`<${FoldedWaits} waits=${group} zone=${zone} />`))}</ul>`;
}

const oneWait = (wait, zone) => html`<li class="wait ${wait.late ? "is-late" : ""}"><${Words} text=${wait.text} zone=${zone} /></li>`;

function FoldedWaits({ waits, zone }) {
  const late = waits.filter((wait) => wait.late).length;
  return html`<li class="wait ${late ? "is-late" : ""}"><details>
    <summary>waiting for ${waits.length} partitions of ${waits[0].dataset}: ${waits[0].partition} to ${waits.at(-1).partition}${late > 0 && `, ${late} of them late`}</summary>
    <ul>${waits.map((wait) => oneWait(wait, zone))}</ul></details></li>`;
}

// Pages through a list that answers {items, next}.
export function More({ next, onMore }) {
  return next ? html`<button type="button" onClick=${() => onMore(next)}>More</button>` : null;
}
