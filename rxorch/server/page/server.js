// What is asked of the server: values, and events that go on coming.
import { ask } from "./dom.js";

const SILENCE = 40_000; // the server sends something every 15 s
const WAITS = [200, 500, 1_000, 2_000, 4_000, 8_000];

/** Why the server did not do it; `status` is 0 if it cannot be reached. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }
}

/** The path of a run, and of what belongs to it. */
export const runPath = (id, what = "") => `runs/${encodeURIComponent(id)}${what}`;

async function problemOf(answer) {
  try {
    return await answer.json();
  } catch {
    return {};
  }
}

/** An answer that is none of an error; `refused` is told to the window if the token is not that of the server. */
export async function answered(path, options = {}) {
  let answer;
  try {
    answer = await ask(path, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refusal(0, { detail: "The server cannot be reached." });
  }
  if (answer.status === 401) dispatchEvent(new Event("refused"));
  if (!answer.ok) throw new Refusal(answer.status, await problemOf(answer));
  return answer;
}

export const get = async (path) => (await answered(path)).json();

export async function post(path, text = null, headers = {}) {
  const options = { method: "POST", headers };
  if (text !== null) {
    options.body = text;
    options.headers = { "Content-Type": "application/json", ...headers };
  }
  return (await answered(path, options)).json();
}

/**
 * Listens to events; goes on with the one after the last when the connection breaks.
 * `event(kind, data, number)` is told each one behind `after`, `state` "open", "lost" (and why, if it is refused), "ended" or "gone".
 * Returns what ends it.
 */
export function listen(path, { event, state, after = null }) {
  const over = new AbortController();
  follow(path, event, state, after, over.signal);
  return () => over.abort();
}

async function follow(path, event, state, last, over) {
  let tries = 0;
  while (!over.aborted) {
    await seen();
    if (over.aborted) return;
    let why = null;
    try {
      const ended = await connection(path, last, over, () => {
        tries = 0;
        state("open");
      }, (kind, data, number) => {
        last = number ?? last;
        event(kind, data, number);
      });
      if (ended) return state("ended");
    } catch (error) {
      if (over.aborted) return;
      if (error instanceof Refusal && [401, 404].includes(error.status)) return state("gone");
      if (!(error instanceof Refusal || error instanceof TypeError || error instanceof DOMException)) throw error;
      if (error.status) why = error.message;
    }
    if (over.aborted) return;
    if (!document.hidden) state("lost", why);
    await pause(WAITS[Math.min(tries, WAITS.length - 1)] * (0.8 + 0.4 * Math.random()), over);
    tries += 1;
  }
}

/** A browser has few connections for one server: who is not looked at has none. */
function seen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((go) => document.addEventListener("visibilitychange", go, { once: true }));
}

function pause(milliseconds, over) {
  return new Promise((go) => {
    const timer = setTimeout(go, milliseconds);
    over.addEventListener("abort", () => (clearTimeout(timer), go()), { once: true });
  });
}

async function connection(path, last, over, opened, event) {
  const mine = new AbortController();
  const stop = () => mine.abort();
  const look = () => document.hidden && stop();
  let silence = setTimeout(stop, SILENCE);
  over.addEventListener("abort", stop);
  document.addEventListener("visibilitychange", look);
  try {
    const headers = last === null ? {} : { "Last-Event-ID": String(last) };
    const answer = await answered(path, { headers, signal: mine.signal });
    opened();
    const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let next = await pieces.read(); !next.done; next = await pieces.read()) {
      clearTimeout(silence);
      silence = setTimeout(stop, SILENCE);
      const whole = (rest + next.value).split("\n\n");
      rest = whole.pop();
      for (const block of whole) {
        if (tell(block, event) === "end") return true;
      }
    }
    return false;
  } finally {
    clearTimeout(silence);
    over.removeEventListener("abort", stop);
    document.removeEventListener("visibilitychange", look);
    stop();
  }
}

function tell(block, event) {
  const fields = {};
  for (const line of block.split("\n")) {
    const [name, value] = line.split(/: (.*)/s);
    if (name) fields[name] = value;
  }
  if (fields.event === undefined) return null;
  event(fields.event, JSON.parse(fields.data), fields.id === undefined ? null : Number(fields.id));
  return fields.event;
}
