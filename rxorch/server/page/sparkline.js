// A line of the last minute, as small as a word.

const MOST = 60;
const WIDTH = 120;
const HEIGHT = 28; // as its view box in index.html

/** A line that moves on by one with each `add`; null is a gap. */
export class Sparkline {
  #values = [];
  #area;
  #line;
  #said;

  constructor(said) {
    this.#said = said;
    this.element = document.getElementById("spark").content.firstElementChild.cloneNode(true);
    [this.#area, this.#line] = this.element.children;
  }

  add(value) {
    this.#values.push(value);
    if (this.#values.length > MOST) this.#values.shift();
    const known = this.#values.filter((each) => each !== null);
    const top = Math.max(...known, 0);
    const points = this.#points(top || 1);
    const line = points.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    this.#line.setAttribute("d", line);
    const [first, last] = [points[0], points.at(-1)];
    this.#area.setAttribute("d", first ? `${line}L${last[0].toFixed(1)} ${HEIGHT}L${first[0].toFixed(1)} ${HEIGHT}Z` : "");
    this.element.setAttribute("aria-label", this.#said(top));
  }

  #points(top) {
    const step = WIDTH / (MOST - 1);
    const start = WIDTH - (this.#values.length - 1) * step;
    const y = (value) => HEIGHT - 2 - (HEIGHT - 4) * (value / top);
    return this.#values
      .map((value, place) => [start + place * step, value])
      .filter(([, value]) => value !== null)
      .map(([x, value]) => [x, y(value)]);
  }
}
