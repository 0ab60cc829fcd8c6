// How each orchestration does: a card with its figures, its last minute and its circuit breakers.
import { h } from "./dom.js";
import { Sparkline } from "./sparkline.js";
import { chip, counted, figure, flowHref, span, spoken } from "./words.js";

const milliseconds = (value) => (value === null ? "–" : span(value / 1000));

class Card {
  #texts = {};
  #rate = new Sparkline((top) => `Runs per second in the last minute, at most ${figure(top)}`);
  #slow = new Sparkline((top) => `95th percentile in the last minute, at most ${milliseconds(top)}`);
  #breakers = h("ul", { class: "breakers", "aria-label": "Circuit breakers" });
  #shown = "";

  constructor(name, kind) {
    this.element = h("article", { class: "card flow" },
      h("header", {},
        h("h3", {}, h("a", { href: flowHref(name) }, name)),
        h("span", { class: "muted" }, kind),
        h("a", { class: "start", href: flowHref(name), "aria-label": `Start ${name}` }, "Start")),
      h("dl", { class: "figures" },
        this.#pair("rate", "runs/s", this.#rate.element),
        this.#pair("p95", "p95", this.#slow.element),
        this.#pair("p50", "p50"),
        this.#pair("in_flight", "under way"),
        this.#pair("ok", "completed"),
        this.#pair("failed", kind === "saga" ? "not done" : "lost")),
      this.#breakers);
  }

  #pair(key, word, picture = null) {
    this.#texts[key] = h("dd", {}, "–");
    return h("div", { class: picture ? "drawn" : null }, h("dt", {}, word), this.#texts[key], picture);
  }

  show(figures) {
    this.#rate.add(figures.rate);
    this.#slow.add(figures.p95);
    for (const key of ["p50", "p95"]) this.#texts[key].textContent = milliseconds(figures[key]);
    for (const key of ["in_flight", "ok", "failed"]) this.#texts[key].textContent = counted(figures[key]);
    this.#texts.rate.textContent = figure(figures.rate);
    this.#texts.failed.classList.toggle("bad", figures.failed > 0);
    const breakers = Object.entries(figures.breakers);
    const shown = JSON.stringify(breakers);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#breakers.replaceChildren(...breakers.map(([name, state]) =>
      h("li", {}, chip(state, `${name} ${spoken(state)}`))));
  }
}

/** The cards, by name. */
export class Flows {
  #cards = new Map();
  #place;

  constructor(place) {
    this.#place = place;
  }

  show(flows) {
    for (const [name, figures] of Object.entries(flows)) {
      if (!this.#cards.has(name)) {
        const card = new Card(name, figures.kind);
        this.#cards.set(name, card);
        this.#place.append(card.element);
      }
      this.#cards.get(name).show(figures);
    }
    if (!this.#cards.size && !this.#place.children.length) {
      this.#place.append(h("p", { class: "muted" }, "This server has no orchestrations."));
    }
  }
}
