// Where the page is: `#/runs/ID?tab=log`. Every filter stands in it, so that a link shows the same.
import { computed, signal } from "./ui.js";

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

// Addresses are typed and cut off by people: what cannot be decoded stands for itself.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// {path: ["runs", "ID"], query: {tab: "log"}}
export const place = computed(() => {
  const [path, query = ""] = hash.value.replace(/^#\/?/, "").split("?");
  return {
    path: path.split("/").filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
});

export function link(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export function go(path, query) {
  location.hash = link(path, query);
}

// Changes filters of the place where the page is, without a step back for each.
export function filter(changes) {
  const { path, query } = place.value;
  history.replaceState(null, "", link(path, { ...query, ...changes }));
  hash.value = location.hash;
}
