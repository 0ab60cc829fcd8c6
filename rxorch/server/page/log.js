// What happens in a run, event by event.
import { h } from "./dom.js";
import { facts, span } from "./words.js";

const MOST = 1_000;

/** A table that grows; it follows its end as long as its reader is there. */
export class Log {
  #body = h("tbody", {});
  #frame;
  #began = null;

  constructor() {
    this.#frame = h("div", { class: "log", role: "region", tabindex: "0", "aria-label": "Events" },
      h("table", {}, h("thead", {}, h("tr", {}, ["After", "Event"].map((word) => h("th", { scope: "col" }, word)))),
        this.#body));
    this.element = h("section", { hidden: true }, h("h3", {}, "Events"), this.#frame);
  }

  add(kind, data) {
    const isAtEnd = this.#frame.scrollTop + this.#frame.clientHeight > this.#frame.scrollHeight - 8;
    this.#began ??= data.at;
    const trouble = /fail|timeout|unknown/.test(kind) ? "bad" : null;
    this.#body.append(h("tr", {}, h("td", { class: "number" }, data.at === undefined ? "" : span(data.at - this.#began)),
      h("td", {}, h("div", {}, h("code", { class: trouble }, kind), " ", h("span", {}, facts(data))))));
    if (this.#body.childElementCount > MOST) this.#body.firstElementChild.remove();
    this.element.hidden = false;
    if (isAtEnd) this.#frame.scrollTop = this.#frame.scrollHeight;
  }
}
