// The API as the page uses it: the public one, and nothing else.
import { signal } from "./ui.js";

const KEPT = "sensorflow.token";

// True while the service wants a token that the page does not have.
export const tokenWanted = signal(false);

export function token() {
  return sessionStorage.getItem(KEPT) ?? "";
}

export function setToken(text) {
  sessionStorage.setItem(KEPT, text);
  tokenWanted.value = false;
}

// What an answer said when all was not well: `problem` is the problem+json, or what stands for it.
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

export function headers(more = {}) {
  const kept = token();
  return kept ? { ...more, Authorization: `Bearer ${kept}` } : more;
}

async function answered(response) {
  if (response.status === 401) tokenWanted.value = true;
  if (response.ok) return response;
  let problem = { title: response.statusText };
  try {
    problem = await response.json();
  } catch {
    // What stands between the page and the service may answer in another way.
  }
  throw new ApiError(response.status, problem);
}

// Path and query of a call; what is undefined, null or empty is left out.
export function target(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given).toString();
  return `api/v1${path}${text ? `?${text}` : ""}`;
}

export async function get(path, query, { signal } = {}) {
  const response = await answered(await fetch(target(path, query), { headers: headers(), signal }));
  return response.json();
}

export async function getText(path, query, { signal } = {}) {
  return (await answered(await fetch(target(path, query), { headers: headers(), signal }))).text();
}

export async function post(path, body = {}) {
  const sent = { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body) };
  const response = await answered(await fetch(target(path), sent));
  return response.status === 204 ? null : response.json();
}
