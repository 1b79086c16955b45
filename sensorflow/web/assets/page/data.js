// What a view shows: read once, read again when a notice concerns it, and never twice at once.
import { begun, onNotice } from "./stream.js";
import { useEffect, useSignal } from "./ui.js";

// Returns a signal of {value, error, loading}. `read(signal)`, where there is one, is called at first, when a dependency
// changes, and when `concerns(kind, data)` is true of a notice; notices of half a second are one.
export function useRead(read, dependencies, concerns = () => false) {
  const state = useSignal({ value: undefined, error: undefined, loading: true });
  useEffect(() => {
    let gone = false;
    let running = null;
    let again = false;
    let timer = 0;
    state.value = { ...state.value, loading: true };
    if (!read) return undefined;
    const start = async () => {
      if (running) {
        again = true;
        return;
      }
      running = new AbortController();
      await begun;
      if (gone) return;
      try {
        const value = await read(running.signal);
        if (!gone) state.value = { value, error: undefined, loading: false };
      } catch (error) {
        if (!gone && error.name !== "AbortError") state.value = { ...state.value, error, loading: false };
      }
      running = null;
      if (again && !gone) {
        again = false;
        start();
      }
    };
    start();
    const stop = onNotice((kind, data) => {
      if (kind !== "reset" && kind !== "definitions" && !concerns(kind, data)) return;
      if (!timer) timer = setTimeout(() => ((timer = 0), start()), kind === "run" ? 150 : 400);
    });
    return () => {
      gone = true;
      clearTimeout(timer);
      running?.abort();
      stop();
    };
  }, dependencies);
  return state;
}
