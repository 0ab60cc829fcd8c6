// One orchestration: its picture, what it costs at worst, and a form that starts it.
import { checked } from "./controls.js";
import { h } from "./dom.js";
import { Picture } from "./picture.js";
import { exampleOf } from "./schema.js";
import { get, post } from "./server.js";
import { many, runHref, span } from "./words.js";

const JSON_KIND = "application/json";

function costs(flow) {
  if (!flow.worst_case) return null;
  const { requests, seconds, total_timeout: most } = flow.worst_case;
  const words = [requests === null ? "any number of requests" : many(requests, "request"),
    seconds === null ? "no bound in time" : span(seconds)];
  if (most !== null) words.push(`ended after ${span(most)}`);
  return h("p", { class: "muted" }, `At worst: ${words.join(", ")}.`);
}

/** The view of an orchestration. */
export class FlowView {
  #name;
  #place;
  #said;

  constructor(place, name, said) {
    this.#name = name;
    this.#place = place;
    this.#said = said;
  }

  async open() {
    const path = `orchestrations/${encodeURIComponent(this.#name)}`;
    const title = h("h2", { tabindex: "-1" }, this.#name);
    const picture = new Picture(`${path}/picture`, `Picture of ${this.#name}`);
    const costly = h("div", {});
    const beside = h("div", { class: "beside" }, picture.element);
    this.#place.replaceChildren(h("a", { href: "#/" }, "← All runs"), h("div", { class: "heading" }, title), costly, beside);
    title.focus();
    const flow = await this.#said(get(`${path}/description`));
    if (!flow || !this.#place.contains(title)) return;
    title.after(h("span", { class: "muted" }, flow.kind));
    costly.append(...[costs(flow)].filter(Boolean));
    beside.prepend(this.#form(path, flow));
    picture.show();
    this.#fill();
  }

  close() {}

  tell() {}

  tick() {}

  #form(path, flow) {
    const isSaga = flow.kind === "saga";
    const input = h("textarea", { id: "start-input", rows: "8", spellcheck: "false", required: true, oninput: () =>
      input.setCustomValidity("") });
    input.value = "{}";
    const key = h("input", { id: "start-key", maxlength: "200", spellcheck: "false", class: "mono", autocomplete: "off" });
    const wrong = h("div", { role: "alert" });
    const button = h("button", {}, "Start");
    return h("form", { class: "card start-form", onsubmit: async (event) => {
      event.preventDefault();
      const text = checked(input, true);
      if (text === null) return;
      const headers = { Prefer: "respond-async" };
      if (key.value) headers["Idempotency-Key"] = key.value;
      button.disabled = true;
      try {
        const run = await post(path, text, headers);
        location.hash = runHref(run.id);
      } catch (error) {
        wrong.replaceChildren(...refused(error));
      } finally {
        button.disabled = false;
      }
    } },
    h("label", { for: "start-input" }, "Input"), input,
    isSaga ? h("label", { for: "start-key" }, "Idempotency-Key (the id of the run; may be empty)") : null,
    isSaga ? key : null,
    h("div", { class: "row" }, button), wrong);
  }

  /** An example of the input, as the types of the orchestration say. */
  async #fill() {
    const root = await this.#said(get("openapi.json"));
    const field = this.#place.querySelector("#start-input");
    const body = root?.paths[`/orchestrations/${this.#name}`]?.post?.requestBody;
    if (!body || !field || field.value !== "{}") return;
    field.value = JSON.stringify(exampleOf(body.content[JSON_KIND]?.schema ?? {}, root) ?? {}, null, 2);
    field.rows = Math.min(field.value.split("\n").length + 1, 16);
  }
}

function refused(error) {
  const lines = (error.problem?.errors ?? []).map((each) => h("li", {}, h("code", {}, each.loc.join(".")), ` ${each.msg}`));
  return [h("p", { class: "notice bad" }, error.message), lines.length ? h("ul", {}, lines) : null].filter(Boolean);
}
