// The runs, the newest first: as they begin and end, or a page of older ones.
import { h } from "./dom.js";
import { get } from "./server.js";
import { cause, chip, FLOW_STATES, moment, runHref, SAGA_STATES, short, span, spoken, UNDER_WAY } from "./words.js";

const MOST = 50;
const SOON = 250; // milliseconds in which what happens is shown together
const COUNTED = 3_000; // from one look at the list to the next while there is more than is told

const STATES = [...new Set([...FLOW_STATES, ...SAGA_STATES])];

class Row {
  #state = h("td", {});
  #why = h("div", { class: "why" });
  #duration = h("td", { class: "number" });

  constructor(run) {
    const link = h("a", { class: "mono", href: runHref(run.id), title: run.id }, short(run.id));
    this.element = h("tr", {}, this.#state, h("td", { class: "what" }, h("span", {}, run.flow), " ", link, this.#why),
      h("td", { class: "began" }, moment(run.began)), this.#duration);
  }

  show(run, now) {
    if (this.run !== run) {
      this.run = run;
      this.#state.replaceChildren(chip(run.state));
      this.#why.textContent = cause(run.problem);
    }
    this.#duration.textContent = span(run.duration ?? (UNDER_WAY.includes(run.state) ? Math.max(0, now - run.began) : null));
  }
}

/** The list, its filters and its pages. */
export class Runs {
  #runs = new Map();
  #rows = new Map();
  #query = { flow: "", state: "" };
  #after = null;
  #next = null;
  #held = false;
  #hasNews = false;
  #isBehind = false;
  #late = null;
  #timer = null;
  #asked = 0;
  #number = 0;
  #now;

  constructor(place, now, said) {
    this.#now = now;
    this.said = said;
    const choice = (name, word, values) => h("label", {}, word, h("select", { id: `runs-${name}`, onchange: (event) => {
      this.#query[name] = event.target.value;
      this.#go(null);
    } }, h("option", { value: "" }, "all"), values.map((each) => h("option", { value: each }, spoken(each)))));
    this.flows = choice("flow", "Orchestration", []);
    this.body = h("tbody", {});
    this.empty = h("p", { class: "muted" }, "No runs yet.");
    this.note = h("span", { class: "muted note" });
    this.hold = h("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => this.#pause() }, "Pause");
    this.older = h("button", { type: "button", class: "quiet", onclick: () => this.#back() }, "Older");
    this.newest = h("button", { type: "button", class: "quiet", onclick: () => this.#go(null) }, "Newest");
    this.table = h("table", { class: "runs" }, h("thead", {}, h("tr", {},
      h("th", { scope: "col" }, "State"), h("th", { scope: "col" }, "Run"),
      h("th", { scope: "col", class: "began" }, "Began"), h("th", { scope: "col", class: "number" }, "Duration"))), this.body);
    place.append(h("div", { class: "heading" }, h("h2", { id: "runs-title" }, "Runs"), this.note,
      h("div", { class: "filters" }, this.flows, choice("state", "State", STATES), this.hold)),
      this.table, this.empty, h("div", { class: "row" }, this.newest, this.older));
    this.#arrange();
  }

  /** The names that can be chosen. */
  offer(names) {
    const select = this.flows.querySelector("select");
    const chosen = select.value;
    select.replaceChildren(h("option", { value: "" }, "all"), ...names.map((name) => h("option", { value: name }, name)));
    select.value = chosen;
  }

  /** Shows only these. */
  choose(flow, state) {
    this.#query = { flow, state };
    for (const [name, value] of Object.entries(this.#query)) document.getElementById(`runs-${name}`).value = value;
    return this.#go(null);
  }

  /** A run has begun or ended. */
  tell(run) {
    if (!this.#isLive()) return;
    this.#late?.push(run);
    this.#take(run);
    this.#hasNews = true;
    this.#later();
  }

  #take(run) {
    if ((this.#query.flow && run.flow !== this.#query.flow) || (this.#query.state && run.state !== this.#query.state)) {
      this.#runs.delete(run.id);
    } else this.#runs.set(run.id, run);
  }

  /** So many were not told; a look at the list finds those that are new. */
  skipped(number) {
    this.note.textContent = number && this.#isLive() ? `${number} more in the last second` : "";
    this.#isBehind ||= number > 0;
    if (this.#isBehind && this.#isLive() && performance.now() - this.#asked > COUNTED) this.load();
  }

  /** Asks for the list. */
  async load() {
    const mine = (this.#number += 1);
    const late = (this.#late = []); // what is told meanwhile is newer than the answer
    this.#asked = performance.now();
    this.#isBehind = false;
    const query = new URLSearchParams({ limit: MOST });
    for (const [name, value] of Object.entries(this.#query)) if (value) query.set(name, value);
    if (this.#after) query.set("after", this.#after);
    const found = await this.said(get(`runs?${query}`));
    if (mine !== this.#number) return;
    this.#late = null;
    this.#isBehind ||= !found;
    if (!found) return;
    this.#runs = new Map(found.runs.map((run) => [run.id, run]));
    this.#next = found.next;
    this.#hasNews = late.length > 0;
    late.forEach((run) => this.#take(run));
    this.#draw();
    this.#arrange();
  }

  #isLive() {
    return !this.#held && this.#after === null;
  }

  #go(after) {
    this.#after = after;
    this.skipped(0);
    return this.load();
  }

  /** What is older than all that is shown; where that begins is asked for anew if runs have come since. */
  async #back() {
    if (this.#hasNews) await this.load();
    if (this.#next !== null) await this.#go(this.#next);
  }

  #pause() {
    this.#held = !this.#held;
    this.hold.setAttribute("aria-pressed", String(this.#held));
    this.skipped(0);
    if (!this.#held) this.#go(null);
  }

  #arrange() {
    this.older.hidden = this.#next === null;
    this.newest.hidden = this.#after === null;
    this.hold.disabled = this.#after !== null;
  }

  #later() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#draw();
    }, SOON);
  }

  /** Durations of what is under way go on. */
  tick() {
    for (const row of this.#rows.values()) if (row.run.duration === null) row.show(row.run, this.#now());
  }

  #draw() {
    const newest = [...this.#runs.values()].sort((one, other) => other.began - one.began);
    for (const run of newest.splice(MOST)) this.#runs.delete(run.id);
    if (newest.length === MOST && this.#after === null) this.#older();
    for (const [id, row] of this.#rows) {
      if (this.#runs.has(id) || row.element.contains(document.activeElement)) continue;
      row.element.remove(); // a row that is in use stays until it is left
      this.#rows.delete(id);
    }
    let place = this.body.firstElementChild;
    for (const run of newest) {
      if (!this.#rows.has(run.id)) this.#rows.set(run.id, new Row(run));
      const row = this.#rows.get(run.id);
      row.show(run, this.#now());
      if (row.element === place) place = place.nextElementSibling;
      else this.body.insertBefore(row.element, place);
    }
    this.table.hidden = !newest.length;
    this.empty.hidden = newest.length > 0;
    this.empty.textContent = this.#query.flow || this.#query.state ? "No such runs." : "No runs yet.";
  }

  /** There may be more than fits now: where they begin is known when the list is asked for. */
  #older() {
    if (this.#next === null && performance.now() - this.#asked > COUNTED) this.load();
  }
}
