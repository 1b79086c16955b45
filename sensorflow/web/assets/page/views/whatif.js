// What if: let a task fail or an input not come, and see what the service's rules would decide.
import { get, post } from "../api.js";
import { useRead } from "../data.js";
import { Clock, Entries } from "../entries.js";
import { Graph } from "../graph.js";
import { asCurl, Copied, Empty, Problem, Shown, State, Waits } from "../parts.js";
import { filter, link } from "../place.js";
import { html, useEffect, useRef, useSignal } from "../ui.js";
import { frames, needs, script, standing } from "../whatif.js";

const FATES = { "": "succeeds", always: "fails, each time", once: "fails at first", skipped: "is skipped" };
const APART = ["10m", "1h", "0s"];
const SETTLED_MS = 150;

export function WhatIf({ name, query }) {
  const read = useRead(async (signal) => {
    const where = `/pipelines/${encodeURIComponent(name)}`;
    const [pipeline, partitions] = await Promise.all([get(where, {}, { signal }), get(`${where}/partitions`, { limit: 60 }, { signal })]);
    const reads = [...new Set(pipeline.tasks.flatMap((task) => task.reads))];
    const datasets = await Promise.all(reads.map((each) => get(`/datasets/${encodeURIComponent(each)}`, {}, { signal })));
    return { pipeline, partitions: partitions.items, datasets: new Map(datasets.map((each) => [each.name, each])) };
  }, [name]);
  return html`<h1>What if <small><a href=${link(["pipelines", name])}>${name}</a></small></h1>
    <p class="quiet">Nothing is executed and nothing is kept: the service's own rules decide under a virtual clock, over an empty store. Each task takes 5 min.</p>
    <${Shown} read=${read} of="the pipeline">${(known) => html`<${Trying} ...${known} query=${query} />`}<//>`;
}

// Choices stand in the link: `fail=load,convert@once`, `hold=orders/eu,rates`.
function chosen({ fail, hold, retries, apart }) {
  const pairs = (text, mark) => (text ?? "").split(",").filter(Boolean).map((each) => each.split(mark).map(decodeURIComponent));
  return {
    fail: Object.fromEntries(pairs(fail, "@").map(([task, how]) => [task, how in FATES ? how : "always"])),
    hold: Object.fromEntries(pairs(hold, "/").map(([dataset, part]) => [dataset, part ?? ""])),
    retries: retries ? Number(retries) : undefined,
    apart: APART.includes(apart) ? apart : APART[0],
  };
}

function choose(kind, choices, name, value) {
  const { [name]: _, ...rest } = choices[kind];
  const all = Object.entries(value === null ? rest : { ...rest, [name]: value });
  const text = all.map(([key, how]) => [key, how].filter((each) => each && each !== "always").map(encodeURIComponent).join(kind === "fail" ? "@" : "/"));
  filter({ [kind]: text.join(","), step: undefined });
}

function Trying({ pipeline, partitions, datasets, query }) {
  const choices = chosen(query);
  // Of a sequential pipeline only the first partition waits for no other.
  const partition = query.partition ?? (pipeline.sequential ? pipeline.start : pipeline.last_run?.partition) ?? partitions[0]?.partition;
  const { told, error } = useRehearsal(pipeline, partition, datasets, choices, JSON.stringify(choices));
  if (!partition && pipeline.grain !== "none") {
    return html`<${Empty}>Name a partition.<//><${Partition} pipeline=${pipeline} partitions=${partitions} partition="" />`;
  }
  return html`<${Choices} pipeline=${pipeline} partitions=${partitions} partition=${partition} datasets=${datasets} choices=${choices} needed=${told.value?.needed} />
    <${Problem} error=${error.value} />
    ${told.value ? html`<${Played} told=${told.value} pipeline=${pipeline} datasets=${datasets} choices=${choices} query=${query} />`
      : !error.value && html`<p class="quiet" role="status">Rehearsing …</p>`}`;
}

// Rehearses anew after each choice; what is told stays until the next answer is there.
function useRehearsal(pipeline, partition, datasets, choices, key) {
  const [told, error] = [useSignal(null), useSignal(null)];
  const known = useRef({});
  useEffect(() => {
    let gone = false;
    const rehearse = async () => {
      try {
        if (known.current.pipeline !== pipeline || known.current.partition !== partition) {
          known.current = { pipeline, partition, needed: await needs(pipeline, partition, datasets) };
        }
        if (gone) return;
        const { needed } = known.current;
        const sent = script(needed, choices, datasets);
        const answer = await post("/rehearsals", sent);
        if (gone) return;
        told.value = { needed, sent, answer };
        error.value = null;
      } catch (problem) {
        if (!gone) [told.value, error.value] = [null, problem];
      }
    };
    if (partition || pipeline.grain === "none") rehearse();
    return () => (gone = true);
  }, [pipeline, partition, key]);
  return { told, error };
}

function Partition({ pipeline, partitions, partition }) {
  if (pipeline.grain === "none") return null;
  return html`<label>Partition <input list="partitions" value=${partition} onChange=${(event) => filter({ partition: event.target.value.trim(), step: undefined })} />
    <datalist id="partitions">${partitions.map((each) => html`<option value=${each.partition} />`)}</datalist></label>`;
}

function Choices({ pipeline, partitions, partition, datasets, choices, needed }) {
  const outside = [...datasets.values()].filter((each) => each.producer?.split("/")[0] !== pipeline.name);
  return html`<section class="panel whatif" aria-label="What is otherwise">
    <div class="filters"><${Partition} pipeline=${pipeline} partitions=${partitions} partition=${partition} />
      <label>Retries <select value=${choices.retries ?? ""} onChange=${(event) => filter({ retries: event.target.value, step: undefined })}>
        <option value="">as the file says</option><option value="0">off</option>${[1, 2, 3, 5].map((each) => html`<option value=${each}>${each} for every task</option>`)}</select></label>
      <label>Inputs come <select value=${choices.apart} onChange=${(event) => filter({ apart: event.target.value, step: undefined })}>
        ${APART.map((each) => html`<option value=${each}>${each === "0s" ? "at once" : each === "1h" ? "an hour apart" : "10 min apart"}</option>`)}</select></label>
      <button type="button" onClick=${() => filter({ fail: undefined, hold: undefined, retries: undefined, step: undefined })}>All goes well</button></div>
    ${pipeline.sequential && pipeline.start && partition !== pipeline.start && html`<p class="quiet">Its partitions go one after the other, and here none has gone before: choose ${pipeline.start}, the first, to see one go through.</p>`}
    <div class="columns">
      <fieldset><legend>Tasks</legend>${pipeline.tasks.map((task) => html`<label key=${task.name}><span>${task.name}</span>
        <select aria-label=${`How ${task.name} ends`} value=${choices.fail[task.name] ?? ""} onChange=${(event) => choose("fail", choices, task.name, event.target.value || null)}>
          ${Object.entries(FATES).map(([each, words]) => html`<option value=${each}>${words}</option>`)}</select></label>`)}</fieldset>
      <fieldset><legend>Inputs</legend>${outside.length === 0 && html`<p class="quiet">It reads none from outside.</p>`}
        ${outside.map((each) => html`<label key=${each.name}><span>${each.name}</span>
        <select aria-label=${`How ${each.name} comes`} value=${each.name in choices.hold ? `-${choices.hold[each.name]}` : ""} onChange=${(event) => choose("hold", choices, each.name, event.target.value ? event.target.value.slice(1) : null)}>
          <option value="">comes</option><option value="-">does not come</option>${(each.complete?.parts ?? []).map((part) => html`<option value=${`-${part}`}>without ${part}</option>`)}</select>
        ${needed?.unknown.has(each.name) && html`<small>no partition of it is known, so it does not come</small>`}</label>`)}</fieldset>
    </div></section>`;
}

function Played({ told: { needed, sent, answer }, pipeline, datasets, choices, query }) {
  const others = query.others === "1";
  const { own, found } = frames(answer, needed.run, needed.inputs, others);
  const last = found.length - 1;
  const step = Math.max(0, Math.min(last, query.step === undefined ? last : Number(query.step) || 0));
  const move = (to) => filter({ step: to === last ? undefined : to });
  const frame = found[step];
  const state = standing(found.slice(0, step + 1), own, pipeline, needed.inputs);
  const zone = pipeline.timezone;
  return html`<${Outcome} run=${answer.runs.find((run) => run.id === own)} />
    <div class="row stepping">
      <button type="button" disabled=${step === 0} onClick=${() => move(0)}>From the start</button>
      <button type="button" disabled=${step === 0} onClick=${() => move(step - 1)}>Back</button>
      <button type="button" class="primary" disabled=${step >= last} onClick=${() => move(step + 1)}>Next</button>
      <input type="range" min="0" max=${last} value=${step} aria-label="Step" aria-valuetext=${`step ${step + 1} of ${found.length}`} onInput=${(event) => move(Number(event.target.value))} />
      <span>step ${step + 1} of ${found.length}, <${Clock} at=${frame.at} zone=${zone} /></span>
      <label><input type="checkbox" checked=${others} onChange=${() => filter({ others: others ? undefined : "1", step: undefined })} /> other pipelines too</label>
    </div>
    <${Picture} pipeline=${pipeline} datasets=${datasets} state=${state} choices=${choices} />
    <div class="columns">
      <section aria-label="What happens"><h2>What happens</h2>
        <ol class="frames">${found.map((each, index) => html`<li key=${each.at} class=${index > step ? "is-ahead" : ""} aria-current=${index === step ? "step" : undefined}>
          <button type="button" class="small" onClick=${() => move(index)}><${Clock} at=${each.at} zone=${zone} /></button>
          <${Entries} entries=${each.entries} own=${pipeline.name} zone=${zone} /></li>`)}</ol></section>
      <section aria-label="What waits"><h2>What waits <small>at this step, and why</small></h2><${Waiting} sent=${sent} at=${frame.at} own=${own} /></section>
    </div>
    <details><summary>The same from a terminal</summary><${Copied} text=${`sensorflow rehearse script.json   # with this in it:\n${JSON.stringify(sent, null, 2)}`} /><${Copied} text=${asCurl("/rehearsals", sent)} /></details>`;
}

function Outcome({ run }) {
  if (!run) return html`<p class="problem">No run would be made.</p>`;
  const groups = new Map();
  for (const task of run.tasks) groups.set(task.state, [...(groups.get(task.state) ?? []), task]);
  return html`<p class="outcome">In the end the run is <${State} state=${run.state} />: ${[...groups].map(([state, tasks], index) => html`${index > 0 && "; "}<strong>${state}</strong> ${tasks.length > 6 ? `${tasks.length} tasks` : tasks.map((task) => `${task.name}${task.attempts > 1 ? ` (${task.attempts} attempts)` : ""}`).join(", ")}`)}.</p>`;
}

function Picture({ pipeline, datasets, state, choices }) {
  const outputs = [...new Set(pipeline.tasks.flatMap((task) => task.outputs))];
  const named = [...new Set([...datasets.keys(), ...outputs])];
  const nodes = [
    ...named.map((each) => ({ id: `dataset ${each}`, kind: "dataset", label: each, state: state.dataset(each), note: each in choices.hold ? "held back" : undefined })),
    ...pipeline.tasks.map(({ name }) => ({ id: `task ${name}`, kind: "task", label: name, state: state.tasks[name], note: choices.fail[name] && FATES[choices.fail[name]] })),
  ];
  const between = (from, to) => (source, target) => ({ source: `${from} ${source}`, target: `${to} ${target}` });
  const edges = [
    ...pipeline.edges.map(({ source, target }) => between("task", "task")(source, target)),
    ...pipeline.tasks.flatMap((task) => task.reads.map((each) => between("dataset", "task")(each, task.name))),
    ...pipeline.tasks.flatMap((task) => task.outputs.map((each) => between("task", "dataset")(task.name, each))),
  ];
  const pick = ({ kind, label }) => {
    if (kind === "task") choose("fail", choices, label, label in choices.fail ? null : "always");
    else if (!outputs.includes(label)) choose("hold", choices, label, label in choices.hold ? null : "");
  };
  return html`<${Graph} nodes=${nodes} edges=${edges} onPick=${pick} label="Tasks and datasets at this step" />
    <p class="quiet">Pick a task to let it fail, or an input to hold it back.</p>`;
}

// Why the rest waits at an instant: the same rehearsal, that ends there, tells.
function Waiting({ sent, at, own }) {
  const body = JSON.stringify({ ...sent, until: at });
  const read = useRead(async (signal) => {
    // The slider passes many steps on its way; only where it stays is asked about.
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    signal.throwIfAborted();
    return (await post("/rehearsals", JSON.parse(body))).runs.find((run) => run.id === own) ?? null;
  }, [body]);
  return html`<${Shown} read=${read} of="what waits">${(run) => {
    const waiting = (run?.tasks ?? []).filter((task) => task.waiting_for.length > 0);
    if (waiting.length === 0) return html`<p class="quiet">Nothing.</p>`;
    return waiting.map((task) => html`<div key=${task.name}><strong>${task.name}</strong> <${State} state=${task.state} /><${Waits} waits=${few(task.waiting_for)} /></div>`);
  }}<//>`;
}

// A task may wait for hundreds of partitions.
const few = (waits) => (waits.length <= 4 ? waits : [...waits.slice(0, 3), { text: `and ${waits.length - 3} more` }]);
