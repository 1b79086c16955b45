// What if: the core decides under a virtual clock, and nothing is executed.
import { html } from "../ui.js";

export function WhatIf({ name }) {
  return html`<h1>What if: ${name}</h1>`;
}
