// The page of the server: who may see it, what is live, and what is opened.
import { DeadLetters } from "./dead.js";
import { h, token } from "./dom.js";
import { FlowView } from "./flow.js";
import { Flows } from "./flows.js";
import { RunView } from "./run.js";
import { Runs } from "./runs.js";
import { get, listen, Refusal } from "./server.js";
import { counted, figure } from "./words.js";

const at = (id) => document.getElementById(id);
const LINK = { open: "live", lost: "no connection; trying again …", gone: "", ended: "" };

let ahead = 0; // seconds by which the clock of the server is ahead of ours
const now = () => Date.now() / 1000 + ahead;
let hideSaid = null;

function say(text, isBad = false) {
  clearTimeout(hideSaid);
  at("said").textContent = text;
  at("said").classList.toggle("bad", isBad);
  hideSaid = setTimeout(() => (at("said").textContent = ""), isBad ? 15_000 : 5_000);
}

/** The value of a promise, and a word about it; undefined if the server refuses. */
async function said(promise, text = "") {
  try {
    const value = await promise;
    if (text) say(text);
    return value;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status !== 401) say(error.message, true);
    return undefined;
  }
}

const tiles = {};
for (const [key, word] of [["in_flight", "under way"], ["rate", "runs per second"], ["open", "open breakers"], ["dead", "dead letters"]]) {
  tiles[key] = h("dd", {}, "–");
  at("tiles").append(h("div", {}, h("dt", {}, word), tiles[key]));
}
const flows = new Flows(at("flows"));
const runs = new Runs(at("runs"), now, said);
const dead = new DeadLetters(at("dead"), said, () => {
  runs.choose("", "failed");
  at("runs").scrollIntoView();
});
let view = null;
let end = () => {};

function snapshot(data) {
  ahead = data.at - Date.now() / 1000;
  const each = Object.values(data.flows);
  const open = each.flatMap((figures) => Object.values(figures.breakers)).filter((state) => state !== "closed" && state !== "disabled");
  tiles.in_flight.textContent = counted(data.runs_in_flight);
  tiles.rate.textContent = figure(each.reduce((sum, figures) => sum + figures.rate, 0));
  tiles.open.textContent = counted(open.length);
  tiles.open.classList.toggle("bad", open.length > 0);
  flows.show(data.flows);
  dead.counted(data.dead_letters);
  tiles.dead.textContent = counted(dead.number);
  tiles.dead.classList.toggle("bad", dead.number > 0);
  runs.skipped(data.skipped);
  runs.tick();
  view?.tick();
}

function told(run) {
  runs.tell(run);
  view?.tell(run);
  if (run.kind === "saga" && run.state === "failed") dead.load();
}

async function connected() {
  const found = await said(get("orchestrations"));
  if (!found) return;
  const names = found.orchestrations.map((each) => each.name);
  runs.offer(names);
  runs.load();
  dead.of(found.orchestrations.filter((each) => each.kind === "saga").map((each) => each.name));
}

/** Begins anew, with the token that there is. */
function start() {
  end();
  end = listen("live", {
    event: (kind, data) => (kind === "run" ? told(data) : snapshot(data)),
    state: (state, why) => {
      at("link").textContent = why ? `${why}; trying again …` : LINK[state];
      at("link").className = `link ${state}`;
      if (state === "open") {
        at("gate").hidden = true;
        at("forget").hidden = !token.get();
        connected();
        if (view === null) show();
      }
    },
  });
}

function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function show() {
  view?.close();
  view = null;
  const [, kind, name] = /^#\/(run|flow)\/(.+)$/.exec(location.hash) ?? [];
  at("overview").hidden = Boolean(kind);
  at("opened").hidden = !kind;
  if (kind) at("home").removeAttribute("aria-current");
  else at("home").setAttribute("aria-current", "page");
  const title = kind ? decoded(name) : "";
  document.title = title ? `${title} – Orchestrations` : "Orchestrations";
  if (!kind) return at("opened").replaceChildren();
  view = kind === "run" ? new RunView(at("opened"), title, now, said) : new FlowView(at("opened"), title, said);
  scrollTo(0, 0);
  view.open();
}

function lock() {
  end();
  view?.close();
  view = null;
  if (token.get()) at("gate-said").textContent = "That is not the token of this server.";
  token.set("");
  at("token").value = "";
  for (const id of ["overview", "opened", "forget"]) at(id).hidden = true;
  at("link").textContent = "";
  at("gate").hidden = false;
  at("token").focus();
}

at("gate").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(at("token").value.trim());
  start();
});
at("forget").addEventListener("click", () => {
  token.set("");
  location.reload();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  at("main").focus();
});
addEventListener("refused", lock);
addEventListener("hashchange", () => at("gate").hidden && show());
start();
