// Datasets: what is there of each, what is late, and when it came.
import { get } from "../api.js";
import { useRead } from "../data.js";
import { Shown } from "../parts.js";
import { link } from "../place.js";
import { html } from "../ui.js";

export function Datasets() {
  const read = useRead((signal) => get("/datasets", { limit: 500 }, { signal }), []);
  return html`<h1>Datasets</h1><${Shown} read=${read} of="the datasets">${({ items }) => html`<ul>${items.map((each) => html`<li data-row><a href=${link(["datasets", each.name])}>${each.name}</a></li>`)}</ul>`}<//>`;
}

export function Dataset({ name }) {
  return html`<h1>${name}</h1>`;
}
