// A picture that the server draws, asked for with the token, and again when something has changed.
import { h } from "./dom.js";
import { answered, Refusal } from "./server.js";

export class Picture {
  #path;
  #image;
  #busy = false;
  #again = false;

  constructor(path, what) {
    this.#path = path;
    this.#image = h("img", { alt: what });
    this.element = h("div", { class: "picture-frame", role: "region", tabindex: "0", "aria-label": what, hidden: true },
      this.#image);
  }

  /** Shows it as it is now; nothing if there is none. */
  async show() {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    try {
      const answer = await answered(this.#path);
      await this.#take(await answer.blob());
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 404) this.element.hidden = true;
    } finally {
      this.#busy = false;
    }
    if (this.#again) {
      this.#again = false;
      await this.show();
    }
  }

  async #take(blob) {
    const url = URL.createObjectURL(blob);
    const before = this.#image.src;
    try {
      const next = new Image();
      next.src = url;
      await next.decode(); // so that the one before is to be seen until then
      this.#image.src = url;
      this.element.hidden = false;
    } finally {
      if (before) URL.revokeObjectURL(before);
    }
  }
}
