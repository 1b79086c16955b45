// The output of an attempt: its end, growing while the attempt runs.
import { getText, headers, target } from "./api.js";
import { Problem } from "./parts.js";
import { html, useEffect, useLayoutEffect, useRef, useSignal } from "./ui.js";

// More than this is cut off at the front; the whole can be saved.
const SHOWN = 200_000;

export function Log({ run, task, attempt, onClose }) {
  const text = useSignal("");
  const saving = useSignal(false);
  const error = useSignal(null);
  const box = useRef();
  const follows = useRef(true);
  const path = `/runs/${encodeURIComponent(run.id)}/tasks/${encodeURIComponent(task)}/log`;
  const known = run.tasks.find((each) => each.name === task);
  const begun = (known?.attempts.length ?? 0) > 0;
  const newest = known?.attempts.at(-1)?.number;
  useEffect(() => {
    if (!begun) return undefined;
    const stop = new AbortController();
    text.value = "";
    error.value = null;
    read(target(path, { attempt, follow: 1 }), stop.signal, (more) => (text.value = (text.value + more).slice(-SHOWN))).catch((problem) => {
      if (problem.name !== "AbortError") error.value = problem;
    });
    return () => stop.abort();
    // A new attempt is followed where no certain one was asked for.
  }, [path, attempt, attempt ? 0 : newest, begun]);
  useLayoutEffect(() => {
    if (follows.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text.value]);
  const save = async () => {
    saving.value = true;
    try {
      const number = attempt ?? newest;
      offer(await getText(path, { attempt: number }), [run.pipeline, run.partition, task, number].filter(Boolean).join("-"));
    } catch (problem) {
      error.value = problem;
    }
    saving.value = false;
  };
  const scrolled = ({ target: { scrollTop, scrollHeight, clientHeight } }) => (follows.current = scrollTop + clientHeight >= scrollHeight - 4);
  return html`<section class="panel" aria-label=${`Log of ${task}`}>
    <div class="row"><h2 style=${{ margin: 0 }}>Log of ${task} <small>attempt ${attempt ?? newest ?? "none yet"}</small></h2>
      ${begun && html`<button type="button" class="small" disabled=${saving.value} onClick=${save}>save the whole</button>`}
      <button type="button" class="small" onClick=${onClose}>close</button></div>
    <${Problem} error=${error.value} />
    ${text.value.length === SHOWN && html`<p class="quiet">Only its end is shown.</p>`}
    ${begun ? html`<pre class="log" tabindex="0" ref=${box} onScroll=${scrolled}>${text.value || "nothing has been written yet"}</pre>` : html`<p class="quiet">It has not started yet.</p>`}
  </section>`;
}

async function read(url, signal, take) {
  const response = await fetch(url, { headers: headers(), signal });
  if (!response.ok) throw new Error(`the log cannot be read: HTTP ${response.status}`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    take(value);
  }
}

// Gives a text to whoever asked for it, as a file: a link to it would come without the token.
function offer(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = `${name.replaceAll(/[^\w.=+-]+/g, "_")}.log`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
