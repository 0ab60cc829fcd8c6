// JSON schemas as lists to read, and as examples to begin with.
import { h } from "./dom.js";

const DEEPEST = 6;

/** The schema that a reference leads to. */
export function resolved(schema, root) {
  for (let hops = 0; schema?.$ref && hops < 20; hops += 1) {
    const path = schema.$ref.replace(/^#\//, "").split("/");
    schema = path.reduce((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], root);
  }
  return schema ?? {};
}

const branches = (schema) => schema.anyOf ?? schema.oneOf ?? null;

function limits(schema) {
  const words = [];
  const say = (key, text) => schema[key] !== undefined && words.push(`${text} ${schema[key]}`);
  say("minimum", "≥"), say("exclusiveMinimum", ">"), say("maximum", "≤"), say("exclusiveMaximum", "<");
  say("minLength", "length ≥"), say("maxLength", "length ≤"), say("minItems", "items ≥");
  say("maxItems", "items ≤"), say("pattern", "matches"), say("multipleOf", "multiple of");
  return words.length ? ` ${words.join(", ")}` : "";
}

/** The type in words: "integer ≥ 1", "array of string", "User or null". */
export function typeOf(schema, root, depth = 0) {
  const name = schema.$ref?.split("/").pop();
  schema = resolved(schema, root);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (branches(schema) && depth < DEEPEST) {
    return branches(schema).map((each) => typeOf(each, root, depth + 1)).join(" or ");
  }
  const type = [schema.type ?? "any"].flat().join(" or ");
  if (type === "array" && depth < DEEPEST) {
    return `array of ${schema.items ? typeOf(schema.items, root, depth + 1) : "any"}${limits(schema)}`;
  }
  if (type === "object") return name ?? schema.title ?? "object";
  return `${type}${schema.format ? ` (${schema.format})` : ""}${limits(schema)}`;
}

function objectsIn(schema, root, depth = 0) {
  const inner = resolved(schema, root);
  if (inner.properties || depth >= DEEPEST) return inner.properties ? [inner] : [];
  return [...(branches(inner) ?? []), ...(inner.items ? [inner.items] : []), ...extra(inner)].flatMap((each) =>
    objectsIn(each, root, depth + 1),
  );
}

const extra = (schema) => (typeof schema.additionalProperties === "object" ? [schema.additionalProperties] : []);

/** A nested list of the fields of a schema. */
export function schemaList(schema, root, seen = []) {
  const list = h("ul", { class: "schema" });
  for (const object of objectsIn(schema, root)) {
    if (seen.includes(object) || seen.length >= DEEPEST) continue;
    const required = new Set(object.required);
    for (const [name, field] of Object.entries(object.properties)) {
      const inner = schemaList(field, root, [...seen, object]);
      list.append(
        h(
          "li",
          {},
          h("code", {}, name),
          ` ${typeOf(field, root)}`,
          h("span", { class: "muted" }, required.has(name) ? "" : " optional", described(field)),
          inner.children.length ? inner : null,
        ),
      );
    }
  }
  return list;
}

const described = (field) => (field.description ? ` – ${field.description}` : "");

const TEXTS = {
  date: "2026-01-31",
  "date-time": "2026-01-31T12:00:00Z",
  time: "12:00:00Z",
  duration: "PT1M",
  uuid: "00000000-0000-4000-8000-000000000001",
  email: "ada@example.com",
  uri: "https://example.com/",
};

/** A value that the schema is likely to accept. */
export function exampleOf(schema, root, depth = 0) {
  schema = resolved(schema, root);
  const given = schema.examples?.[0] ?? schema.example ?? schema.default ?? schema.const ?? schema.enum?.[0];
  if (given !== undefined) return given;
  if (branches(schema)) return depth < DEEPEST ? exampleOf(branches(schema)[0], root, depth + 1) : null;
  const type = [schema.type ?? (schema.properties || depth === 0 ? "object" : "integer")].flat()[0];
  if (type === "object") return exampleObject(schema, root, depth);
  if (type === "array") return schema.items && depth < DEEPEST ? [exampleOf(schema.items, root, depth + 1)] : [];
  if (type === "string") return TEXTS[schema.format] ?? "text".padEnd(schema.minLength ?? 0, "x");
  if (type === "boolean") return false;
  if (type === "null") return null;
  return schema.minimum ?? (schema.exclusiveMinimum !== undefined ? schema.exclusiveMinimum + 1 : 1);
}

function exampleObject(schema, root, depth) {
  const value = {};
  const required = new Set(schema.required);
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    if (depth < DEEPEST && (required.has(name) || depth < 2)) value[name] = exampleOf(field, root, depth + 1);
  }
  return value;
}
