// The one place where views take their building blocks from.
import { h, render, Fragment } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { render, Fragment };
export { signal, computed, effect, batch } from "./vendor/signals-core.js";
export { useSignal, useComputed, useSignalEffect } from "./vendor/signals.js";
export { useEffect, useLayoutEffect, useRef, useState, useMemo, useCallback, useErrorBoundary } from "./vendor/preact-hooks.js";
export const html = htm.bind(h);
