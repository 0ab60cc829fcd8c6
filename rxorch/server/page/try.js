// A form that sends one operation, and shows the answer as it comes.
import { ask, h, token } from "./dom.js";
import { exampleOf, typeOf } from "./schema.js";

const MOST_TEXT = 200_000;
let fields = 0;

/** The form of an operation. */
export function tryForm(operation, root) {
  const inputs = operation.parameters.map((each) => parameter(each, root));
  const body = bodyField(operation, root);
  const send = h("button", {}, "Send");
  const stop = h("button", { type: "button", class: "quiet", hidden: true }, "Stop");
  const curl = h("button", { type: "button", class: "quiet" }, "Show as curl");
  const out = h("div", { role: "status" });
  const rows = (isHeader) => inputs.filter((each) => (each.place === "header") === isHeader).map((each) => each.row);
  const form = h("form", {}, rows(false), body?.row, rows(true), h("div", { class: "row" }, send, stop, curl), out);
  let running = null;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    running?.abort();
    const mine = (running = new AbortController());
    send.disabled = true;
    stop.hidden = false;
    try {
      const request = requestOf(operation, inputs, body);
      await shown(ask(request.path, { ...request.options, signal: mine.signal }), out);
    } catch (error) {
      out.append(h("p", { class: "muted" }, mine.signal.aborted ? "Stopped." : "The server cannot be reached."));
    } finally {
      send.disabled = false;
      stop.hidden = true;
    }
  });
  stop.addEventListener("click", () => running?.abort());
  curl.addEventListener("click", () => out.replaceChildren(h("pre", {}, curlOf(requestOf(operation, inputs, body)))));
  return form;
}

function field(label, note, control) {
  control.id = `field-${(fields += 1)}`;
  return h("div", { class: "field" }, h("label", { for: control.id }, label),
    h("div", {}, control, note ? h("div", { class: "muted" }, note) : null));
}

function parameter(given, root) {
  const schema = given.schema ?? {};
  const isList = typeOf(schema, root).startsWith("array");
  const start = given.required && !isList ? exampleOf(schema, root, 1) : "";
  const control = h("input", { required: given.required && !isList, value: start, spellcheck: "false", class: "mono" });
  const row = field(given.name, `${typeOf(schema, root)}${isList ? ", with commas between" : ""}`, control);
  const texts = () => {
    const text = control.value;
    return text === "" ? [] : isList ? text.split(",").map((each) => each.trim()) : [text];
  };
  return { name: given.name, place: given.in, texts, row };
}

function bodyField(operation, root) {
  const [kind, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  if (!kind) return null;
  const schema = media["x-itemSchema"] ?? media.schema ?? {};
  const example = exampleOf(schema, root);
  const text = media["x-itemSchema"] ? `${JSON.stringify(example)}\n` : JSON.stringify(example, null, 2);
  const control = h("textarea", { spellcheck: "false", required: operation.requestBody.required });
  control.value = text;
  control.rows = Math.min(text.split("\n").length + 1, 18);
  return { kind, text: () => control.value, row: field("body", kind, control) };
}

function requestOf(operation, inputs, body) {
  const query = new URLSearchParams();
  const headers = {};
  let path = operation.path.replace(/^\//, "");
  for (const { name, place, texts } of inputs) {
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(texts()[0] ?? ""));
    else if (place === "query") texts().forEach((text) => query.append(name, text));
    else if (place === "header" && texts().length) headers[name] = texts()[0];
  }
  if (body) headers["Content-Type"] = body.kind;
  const asked = query.toString();
  return {
    path: asked ? `${path}?${asked}` : path,
    options: { method: operation.method.toUpperCase(), headers, body: body?.text() },
  };
}

function curlOf({ path, options }) {
  const quoted = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;
  const words = ["curl", "-N", "-X", options.method];
  if (token.get()) words.push("-H", '"Authorization: Bearer $RXORCH_TOKEN"');
  for (const [name, text] of Object.entries(options.headers)) words.push("-H", quoted(`${name}: ${text}`));
  if (options.body !== undefined) words.push("--data-binary", quoted(options.body));
  return [...words, quoted(new URL(path, document.baseURI).href)].join(" ");
}

async function shown(asked, out) {
  const began = performance.now();
  const state = h("span", { class: "muted" }, "…");
  out.replaceChildren(h("div", { class: "row" }, state));
  const answer = await asked;
  const kind = answer.headers.get("Content-Type")?.split(";")[0] ?? "";
  const mood = answer.status < 300 ? (answer.status === 206 ? "warn" : "good") : "bad";
  const status = h("span", { class: `chip ${mood}` }, `${answer.status} ${answer.statusText}`);
  out.replaceChildren(h("div", { class: "row" }, status, h("code", {}, kind), state));
  if (kind.startsWith("image/")) await picture(answer, out);
  else await text(answer, kind, out);
  state.textContent = `${(performance.now() - began).toFixed(0)} ms`;
}

async function picture(answer, out) {
  const url = URL.createObjectURL(await answer.blob());
  const image = h("img", { class: "picture", src: url, alt: "The picture that was answered" });
  image.addEventListener("load", () => URL.revokeObjectURL(url));
  out.append(image);
}

async function text(answer, kind, out) {
  const block = h("pre", { tabindex: "0", "aria-label": "Answer" });
  out.append(block);
  const pieces = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let whole = "";
  for (let next = await pieces?.read(); next && !next.done; next = await pieces.read()) {
    if (whole.length < MOST_TEXT) {
      whole += next.value;
      block.textContent = whole.length < MOST_TEXT ? whole : `${whole.slice(0, MOST_TEXT)}\n…`;
    }
  }
  if (kind.endsWith("json") && !kind.endsWith("ndjson") && whole.length < MOST_TEXT) {
    try {
      block.textContent = JSON.stringify(JSON.parse(whole), null, 2);
    } catch {
      // It stays as it came.
    }
  }
}
