// Buttons and forms by which something is done.
import { h } from "./dom.js";

/** A button that is pressed twice: what it does cannot be taken back. */
export function twice(word, sure, act) {
  let isArmed = false;
  const arm = (armed) => {
    isArmed = armed;
    button.textContent = armed ? sure : word;
    button.classList.toggle("quiet", !armed);
  };
  const button = h("button", { type: "button", class: "quiet danger", onblur: () => arm(false), onclick: () => {
    if (isArmed) act();
    arm(!isArmed);
  } }, word);
  return button;
}

/** The text of a field as JSON, checked; null and a word to its reader if it is none. */
export function checked(field, isNeeded) {
  const text = field.value.trim();
  field.setCustomValidity("");
  if (!text && !isNeeded) return "null";
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    field.setCustomValidity(`This is no JSON: ${error.message}`);
    field.reportValidity();
    return null;
  }
}

/** A form that tells a run something; `waiting` are the names that it waits for. */
export function signalForm(waiting, send) {
  const name = h("input", { id: "signal-name", required: true, maxlength: "200", value: waiting[0] ?? "", spellcheck: "false" });
  const value = h("input", { id: "signal-value", class: "mono", placeholder: "null", spellcheck: "false", oninput: () =>
    value.setCustomValidity("") });
  return h("form", { class: "signal", onsubmit: (event) => {
    event.preventDefault();
    const text = checked(value, false);
    if (text !== null) send(`{"name": ${JSON.stringify(name.value)}, "value": ${text}}`);
  } }, h("label", { for: "signal-name" }, "Signal"), name, h("label", { for: "signal-value" }, "Value"), value,
  h("button", { class: "quiet" }, "Send"));
}
