// Events: what came in.
import { get } from "../api.js";
import { useRead } from "../data.js";
import { Shown } from "../parts.js";
import { html } from "../ui.js";

export function Events() {
  const read = useRead((signal) => get("/events", {}, { signal }), []);
  return html`<h1>Events</h1><${Shown} read=${read} of="the events">${({ items }) => html`<p>${items.length}</p>`}<//>`;
}

export function EventPage({ seq }) {
  return html`<h1>Event ${seq}</h1>`;
}

export function Playground() {
  return html`<h1>Playground</h1>`;
}
