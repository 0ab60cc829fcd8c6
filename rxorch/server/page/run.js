// One run: its picture, its steps, what happens in it, and what can be done with it.
import { h } from "./dom.js";
import { Log } from "./log.js";
import { Picture } from "./picture.js";
import { get, listen, post, runPath } from "./server.js";
import { signalForm, twice } from "./controls.js";
import { cause, chip, error, flowHref, moment, short, span, spoken, UNDER_WAY } from "./words.js";

const SOON = 300; // milliseconds in which what happens is shown together

function outcomes(run) {
  const rows = Object.entries(run.outcomes).map(([name, each]) => h("tr", {},
    h("th", { scope: "row" }, name),
    h("td", {}, chip(each.status)),
    h("td", {}, each.error ? error(each.error) : each.reason ?? each.provenance),
    h("td", { class: "number" }, String(each.attempts)),
    h("td", { class: "number" }, span(each.duration))));
  return table("Outcomes", ["Endpoint", "Outcome", "Detail", "Tries", "Time"], rows);
}

function steps(run) {
  const rows = run.steps.map((each) => h("tr", {},
    h("th", { scope: "row" }, each.undo ? `undo ${each.step}` : each.step),
    h("td", {}, chip(each.status)),
    h("td", {}, each.error ? error(each.error) : ""),
    h("td", { class: "number" }, String(each.attempt)),
    h("td", { class: "number" }, each.ended_at === null ? "" : span(Math.max(0, each.ended_at - each.began_at)))));
  return table("Steps", ["Step", "Status", "Detail", "Tries", "Time"], rows);
}

function table(title, words, rows) {
  if (!rows.length) return null;
  const right = (word) => (/Tries|Time/.test(word) ? "number" : null);
  return h("section", {}, h("h3", {}, title), h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {},
    words.map((word) => h("th", { scope: "col", class: right(word) }, word)))), h("tbody", {}, rows))));
}

/** The view of a run; `close()` ends what it listens to. */
export class RunView {
  #id;
  #place;
  #now;
  #said;
  #run = null;
  #timer = null;
  #actions = "";
  #end = () => {};
  #last = null;
  #isEnded = false;
  #asked = 0;
  #log = new Log();
  #parts = { state: h("span", { role: "status" }), facts: h("p", { class: "muted" }), actions: h("div", { class: "row actions" }),
    why: h("p", { class: "notice bad", hidden: true }), table: h("div", {}), result: h("div", {}) };

  constructor(place, id, now, said) {
    this.#id = id;
    this.#place = place;
    this.#now = now;
    this.#said = said;
    this.picture = new Picture(runPath(id, "/picture"), `Picture of the run ${short(id)}`);
  }

  async open() {
    const parts = this.#parts;
    this.#place.replaceChildren(h("a", { href: "#/" }, "← All runs"),
      h("div", { class: "heading" }, h("h2", { tabindex: "-1", class: "mono" }, this.#id), parts.state), parts.facts, parts.actions,
      parts.why, h("div", { class: "beside" }, this.picture.element, parts.table), parts.result, this.#log.element);
    this.#place.querySelector("h2").focus();
    await this.#look();
    if (this.#run !== null) this.#listen();
  }

  #listen() {
    this.#end();
    this.#isEnded = false;
    this.#end = listen(runPath(this.#id, "/events"), {
      after: this.#last,
      event: (kind, data, number) => {
        if (kind !== "end") this.#log.add(kind, data);
        this.#last = number ?? this.#last;
        this.#later();
      },
      state: (state) => {
        this.#isEnded = state === "ended";
        if (state === "gone") this.#look();
      },
    });
  }

  /** A run has begun or ended; it may be this one, which goes on. */
  tell(run) {
    if (run.id === this.#id) this.#goOn(run);
  }

  #goOn(run) {
    if (this.#isEnded && run.duration === null) this.#listen();
    this.#later();
  }

  close() {
    clearTimeout(this.#timer);
    this.#end();
    this.#run = null;
  }

  tick() {
    if (this.#run?.duration === null) this.#facts();
  }

  #later() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#look();
    }, SOON);
  }

  async #look() {
    const { state, why, table, result } = this.#parts;
    const mine = (this.#asked += 1);
    const run = await this.#said(get(runPath(this.#id)).catch((error) => {
      if (error.status !== 404) throw error;
      why.hidden = false;
      why.textContent = `There is no run ${this.#id}, or no more.`;
    }));
    if (!run || mine !== this.#asked || !this.#place.contains(this.picture.element)) return;
    this.#run = run;
    if (state.textContent !== spoken(run.state)) state.replaceChildren(chip(run.state));
    why.hidden = !run.problem;
    why.textContent = [run.problem?.detail, cause({ ...run.problem, detail: "", title: "" })].filter(Boolean).join(" – ");
    table.replaceChildren(...[run.kind === "saga" ? steps(run) : outcomes(run)].filter(Boolean));
    const isKept = run.result !== undefined && run.result !== null;
    result.replaceChildren(...(isKept ? [h("h3", {}, "Result"),
      h("pre", { tabindex: "0", "aria-label": "Result" }, JSON.stringify(run.result, null, 2))] : []));
    this.#facts();
    this.#offer();
    await this.picture.show();
  }

  #facts() {
    const run = this.#run;
    const isUnderWay = UNDER_WAY.includes(run.state);
    const took = run.duration ?? (isUnderWay ? Math.max(0, this.#now() - run.began) : null);
    this.#parts.facts.replaceChildren(h("a", { href: flowHref(run.flow) }, run.flow), ` · ${run.kind} · began `,
      moment(run.began), ` · ${span(took)}${isUnderWay ? " so far" : ""}`);
  }

  /** The buttons; they stay as they are until something else can be done. */
  #offer() {
    const run = this.#run;
    const waiting = run.steps?.filter((each) => each.status === "waiting").map((each) => each.step) ?? [];
    const now = JSON.stringify([run.state, waiting]);
    if (now === this.#actions) return;
    const isHere = this.#parts.actions.contains(document.activeElement);
    this.#actions = now;
    const act = (what, text, body) => this.#said(post(runPath(this.#id, `/${what}`), body), text)
      .then((done) => done && this.#goOn(done));
    const found = [];
    if (run.state === "running") {
      const [word, sure] = run.kind === "saga" ? ["Cancel", "Have it undone?"] : ["Cancel", "End it?"];
      found.push(twice(word, sure, () => act("cancel", "It is being cancelled.")));
      if (run.kind === "saga") found.push(signalForm(waiting, (body) => act("signal", "It is told.", body)));
    }
    if (run.kind === "saga" && run.state === "failed") {
      found.push(h("button", { type: "button", onclick: () => act("retry", "It goes on.") }, "Retry"));
    }
    this.#parts.actions.replaceChildren(...found);
    if (isHere) this.#place.querySelector("h2").focus();
  }
}
