// Numbers, times and states as people read them.
import { h } from "./dom.js";

const MOODS = {
  running: "", started: "", waiting: "", open: "bad", half_open: "warn", closed: "good", forced_open: "bad",
  completed: "good", ok: "good", success: "good",
  partial: "warn", compensated: "warn", compensating: "warn", cancel_requested: "warn", unknown: "warn",
  degraded: "warn", failed: "bad", cancelled: "dull", skipped: "dull", disabled: "dull",
};
const NUMBER = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

const UNTOLD = new Set(["at", "call", "key"]);
const SECONDS = new Set(["duration", "wait", "waited", "late"]);

export const UNDER_WAY = ["running", "cancel_requested", "compensating"];
export const FLOW_STATES = ["running", "completed", "partial", "failed", "cancelled"];
export const SAGA_STATES = ["running", "cancel_requested", "compensating", "completed", "compensated", "failed"];

export const spoken = (name) => String(name).replaceAll("_", " ");
export const counted = (number) => NUMBER.format(number);
export const many = (number, one, more = `${one}s`) => `${counted(number)} ${number === 1 ? one : more}`;

/** "12.4", "1,204": at most three digits that matter below a thousand. */
export const figure = (number) => NUMBER.format(number >= 100 ? Math.round(number) : Number(number.toPrecision(3)));

/** "8.41 ms", "1.2 s", "2 min 3 s". */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${figure(seconds * 1000)} ms`;
  if (seconds < 60) return `${figure(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return rest(minutes, "min", Math.floor(seconds % 60), "s");
  return rest(Math.floor(minutes / 60), "h", minutes % 60, "min");
}

const rest = (many, unit, few, part) => `${many} ${unit}${few ? ` ${few} ${part}` : ""}`;

/** The time of the day, with the day if it is another one. */
export function moment(at) {
  const date = new Date(at * 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  return h("time", { datetime: date.toISOString() }, (isToday ? TIME : DAY).format(date));
}

/** A state in its colour. */
export function chip(state, text = spoken(state)) {
  return h("span", { class: `chip ${MOODS[state] ?? ""}` }, text);
}

/** What a problem says in few words: the kind of error, or its detail. */
export function cause(problem) {
  if (!problem) return "";
  const lost = Object.entries(problem.outcomes ?? {}).filter(([, each]) => each.error);
  if (problem.error?.type) return `${problem.step ? `${problem.step}: ` : ""}${error(problem.error)}`;
  if (lost.length) return lost.map(([name, each]) => `${name}: ${error(each.error)}`).join(", ");
  return problem.detail ?? problem.title ?? "";
}

/** "ApiHttpError 503". */
export const error = (given) => [given.type, given.upstream_status].filter(Boolean).join(" ");

/** The members of an event in a line: "endpoint users · attempt 2 · error ApiHttpError 503". */
export function facts(data) {
  return Object.entries(data)
    .filter(([name, value]) => !UNTOLD.has(name) && ![null, "", false, 0].includes(value) && value.length !== 0)
    .map(([name, value]) => `${spoken(name)} ${SECONDS.has(name) ? span(value) : plain(value)}`)
    .join(" · ");
}

function plain(value) {
  if (value === true) return "";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : figure(value);
  if (Array.isArray(value)) return value.map(plain).join(", ");
  if (value && typeof value === "object") return value.type ? error(value) : JSON.stringify(value);
  return String(value);
}

/** The end of an id that the server made: those of one server begin alike. */
export const short = (id) => (/^[0-9a-f]{32}$/.test(id) ? `…${id.slice(-8)}` : id);
export const runHref = (id) => `#/run/${encodeURIComponent(id)}`;
export const flowHref = (name) => `#/flow/${encodeURIComponent(name)}`;
