// How the service is: asked again and again, as the stream does not tell of it.
import { onNotice } from "./stream.js";
import { signal } from "./ui.js";

const ASKED_EVERY_MS = 15_000;

// {ready, problems}; {error} where it was not reached; undefined before the first answer.
export const health = signal(undefined);

// It stands outside of /api/v1, and asks for no token.
async function ask() {
  try {
    const response = await fetch("readyz");
    health.value = { ready: response.ok, ...(await response.json().catch(() => ({}))) };
  } catch (error) {
    health.value = { ready: false, error };
  }
}

ask();
setInterval(() => document.hidden || ask(), ASKED_EVERY_MS);
document.addEventListener("visibilitychange", () => document.hidden || ask());
onNotice((kind) => kind === "reset" && ask());
