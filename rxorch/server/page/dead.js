// Dead letters: runs of sagas that a person has to look at.
import { h } from "./dom.js";
import { get, post, runPath } from "./server.js";
import { cause, many, moment, runHref, short } from "./words.js";

const MOST = 5;

/** The table of them, with what goes on with each. */
export class DeadLetters {
  #place;
  #said;
  #more;
  #sagas = [];
  #count = 0;
  #known = 0;
  #busy = false;
  #again = false;
  #isLate = false;
  #isMine = false;

  /** `said(promise, text)` tells how it went; `more()` shows all of them. */
  constructor(place, said, more) {
    this.#place = place;
    this.#said = said;
    this.#more = more;
    for (const left of ["pointerleave", "focusout"]) {
      place.addEventListener(left, () => setTimeout(() => this.#isLate && !this.#isUsed() && this.load()));
    }
  }

  /** Rows do not move under a hand. */
  #isUsed() {
    return this.#place.matches(":hover, :focus-within");
  }

  /** The sagas whose dead letters are shown. */
  of(names) {
    this.#sagas = names;
    return this.load();
  }

  /** How many there are; the server counts them now and then. */
  get number() {
    return this.#known > MOST ? Math.max(this.#count, this.#known) : this.#known;
  }

  /** The server has counted so many. */
  counted(number) {
    if (number !== this.#count) this.load();
    this.#count = number;
  }

  /** Asks for them. */
  async load(isMine = false) {
    this.#isMine ||= isMine;
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    const pages = await this.#said(Promise.all(this.#sagas.map((name) =>
      get(`runs?${new URLSearchParams({ flow: name, state: "failed", limit: MOST + 1 })}`))));
    this.#busy = false;
    this.#isLate = Boolean(pages) && !this.#isMine && this.#isUsed();
    this.#isMine = false;
    if (pages && !this.#isLate) this.#show(pages.flatMap((page) => page.runs));
    if (this.#again) {
      this.#again = false;
      await this.load();
    }
  }

  #show(runs) {
    const isHere = this.#place.contains(document.activeElement);
    this.#place.hidden = !runs.length;
    runs.sort((one, other) => other.ended - one.ended);
    this.#known = runs.length;
    const isMore = runs.length > MOST;
    this.#place.replaceChildren(
      h("div", { class: "heading" },
        h("h2", { id: "dead-title", tabindex: "-1" }, many(this.number, "dead letter")),
        isMore ? h("button", { type: "button", class: "quiet", onclick: this.#more }, "Show all") : null),
      h("table", {}, h("thead", {}, h("tr", {}, ["Run", "Saga", "Failed", "Cause", "What to do"].map((word) =>
        h("th", { scope: "col", class: word === "Failed" || word === "Saga" ? "began" : null }, word)))),
        h("tbody", {}, runs.slice(0, MOST).map((run) => this.#row(run)))));
    if (isHere) (runs.length ? document.getElementById("dead-title") : document.getElementById("main")).focus();
  }

  #row(run) {
    const retry = h("button", { type: "button", "aria-label": `Retry ${run.id}`, onclick: async () => {
      if (retry.ariaDisabled) return;
      retry.ariaDisabled = "true"; // and not disabled: it would lose the focus
      await this.#said(post(runPath(run.id, "/retry")), `${short(run.id)} goes on.`);
      await this.load(true);
    } }, "Retry");
    return h("tr", {}, h("td", {}, h("a", { class: "mono", href: runHref(run.id), title: run.id }, short(run.id))),
      h("td", { class: "began" }, run.flow), h("td", { class: "began" }, moment(run.ended)), h("td", {}, cause(run.problem)),
      h("td", {}, retry));
  }
}
