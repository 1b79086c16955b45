// The live stream: one connection for the whole page, by fetch, as an EventSource cannot send a token.
import { headers, target, tokenWanted } from "./api.js";
import { signal } from "./ui.js";

// "connecting", "live" or "lost".
export const connection = signal("connecting");

// Resolved once changes are told, or cannot be: what is read from then on misses none.
let begin;
export const begun = new Promise((resolve) => (begin = () => ((reading = true), resolve())));
let reading = false;

const listeners = new Set();
let lastId = "";

// Calls `listen(kind, data)` for each notice until the function that is returned is called.
// `reset` means: read again what you show.
export function onNotice(listen) {
  listeners.add(listen);
  return () => listeners.delete(listen);
}

function tell(kind, data) {
  for (const listen of [...listeners]) listen(kind, data);
}

async function follow() {
  const more = { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) };
  const response = await fetch(target("/stream"), { headers: headers(more) });
  if (response.status === 401) tokenWanted.value = true;
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  connection.value = "live";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const pieces = (rest + value).split("\n\n");
    rest = pieces.pop();
    for (const piece of pieces) notice(piece);
  }
}

function notice(piece) {
  let kind = "message";
  const data = [];
  for (const line of piece.split("\n")) {
    if (line.startsWith("id:")) lastId = line.slice(3).trim();
    else if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (!data.length) return;
  const told = JSON.parse(data.join("\n"));
  // Whoever reads waits for the start, so that it is no reason to read again.
  if (reading || kind !== "reset") tell(kind, told);
  if (!reading) begin();
}

// Follows the stream for as long as the page lives; after a break it goes on where it was.
export async function live() {
  let wait = 500;
  for (;;) {
    try {
      await follow();
      wait = 500;
    } catch {
      begin();
      wait = Math.min(wait * 2, 15000);
    }
    connection.value = "lost";
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
