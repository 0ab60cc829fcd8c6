// The API page: reads openapi.json, and shows its operations with a form for each.
import { ask, h, token } from "./dom.js";
import { resolved, schemaList, typeOf } from "./schema.js";
import { tryForm } from "./try.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const at = (id) => document.getElementById(id);

function notice(text) {
  at("notice").hidden = !text;
  at("notice").textContent = text;
}

function groupsOf(root) {
  const groups = new Map();
  for (const [path, operations] of Object.entries(root.paths)) {
    for (const method of METHODS.filter((each) => operations[each])) {
      const operation = operations[method];
      const parameters = [...(operations.parameters ?? []), ...(operation.parameters ?? [])];
      const tag = operation.tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push({
        ...operation,
        id: operation.operationId ?? `${method} ${path}`,
        method,
        path,
        parameters: parameters.map((each) => resolved(each, root)),
        isOpen: operation.security?.length === 0,
      });
    }
  }
  // What everybody comes for stands first.
  return [...groups].sort(([one], [other]) => (one === "server") - (other === "server"));
}

const noteOf = (parameter) => parameter.description ?? parameter.schema?.description;

function parametersOf(operation, root) {
  if (!operation.parameters.length) return [];
  const rows = operation.parameters.map((each) =>
    h("tr", {}, h("td", {}, h("code", {}, each.name)), h("td", {}, each.in), h("td", {}, typeOf(each.schema ?? {}, root)),
      h("td", {}, each.required ? "required" : "optional", noteOf(each) ? ` – ${noteOf(each)}` : "")),
  );
  return [h("h3", {}, "Parameters"), h("table", {}, h("tbody", {}, rows))];
}

function bodyOf(title, content, root) {
  return Object.entries(content ?? {}).map(([kind, media]) => {
    const schema = media["x-itemSchema"] ?? media.schema ?? {};
    const what = media["x-itemSchema"] ? `each line ${typeOf(schema, root)}` : typeOf(schema, root);
    const fields = schemaList(schema, root);
    const heading = [h("code", {}, kind), ` ${what}`];
    if (title || !fields.children.length) return h("div", {}, title ? h("h3", {}, title) : null, h("p", {}, heading), fields);
    return h("details", { class: "plain" }, h("summary", {}, heading), fields);
  });
}

function answersOf(operation, root) {
  const rows = [];
  const seen = new Map(); // several statuses may have answers of one shape
  for (const [status, answer] of Object.entries(operation.responses ?? {})) {
    const { description, content } = resolved(answer, root);
    const shape = JSON.stringify(content ?? {});
    const earlier = seen.get(shape);
    seen.set(shape, earlier ?? status);
    const body = earlier ? [h("p", { class: "muted" }, `as ${earlier}`)] : bodyOf(null, content, root);
    rows.push(h("tr", {}, h("td", {}, h("code", {}, status)), h("td", {}, description ?? "", body)));
  }
  return [h("h3", {}, "Answers"), h("table", { class: "answers" }, h("tbody", {}, rows))];
}

function card(operation, root) {
  const inside = h("div", { class: "inside" });
  const details = h("details", { class: "card", id: operation.id },
    h("summary", {},
      h("span", { class: `method ${operation.method}` }, operation.method.toUpperCase()),
      h("code", { class: "path" }, operation.path),
      h("span", { class: "what" }, operation.summary ?? "")),
    inside);
  const fill = () => { // made when it is looked at: a server may have hundreds
    if (inside.children.length || !details.open) return;
    inside.append(
      ...(operation.description ? [h("p", {}, operation.description)] : []),
      ...parametersOf(operation, root),
      ...bodyOf("Body", operation.requestBody?.content, root),
      h("h3", {}, "Try it"),
      tryForm(operation, root),
      ...answersOf(operation, root),
    );
  };
  details.addEventListener("toggle", fill);
  return details;
}

function show(root) {
  document.title = at("title").textContent = root.info?.title ?? "API";
  at("token-form").hidden = !root.security?.length;
  at("raw").hidden = Boolean(root.security?.length); // a link shows no token
  const groups = groupsOf(root);
  at("contents").replaceChildren(...groups.flatMap(([tag, operations]) => [
    h("h3", {}, tag),
    h("ul", {}, operations.map((each) =>
      h("li", {}, h("a", { href: `#${encodeURIComponent(each.id)}` }, each.summary ?? each.id)))),
  ]));
  at("operations").replaceChildren(at("notice"), ...groups.map(([tag, operations]) =>
    h("section", { class: "group", "aria-label": tag }, h("h2", {}, tag), operations.map((each) => card(each, root)))));
  notice(groups.length ? "" : "This server has no operations.");
  openNamed();
}

function openNamed() {
  const wanted = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted instanceof HTMLDetailsElement) {
    wanted.open = true;
    wanted.scrollIntoView();
    wanted.querySelector("summary").focus({ preventScroll: true });
  }
}

async function load() {
  try {
    const answer = await ask("openapi.json");
    if (answer.status === 401) {
      at("token-form").hidden = false;
      at("token").focus();
      notice(token.get() ? "That is not the token of this server." : "This server wants its token.");
    } else if (answer.ok) show(await answer.json());
    else notice(`The description cannot be read: ${answer.status} ${answer.statusText}`);
  } catch {
    notice("The server cannot be reached.");
  }
}

at("token").value = token.get();
at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(at("token").value.trim());
  load();
});
addEventListener("hashchange", openNamed);
load();
