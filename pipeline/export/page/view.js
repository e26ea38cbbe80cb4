// What the stage shows above the photograph: boxes, which can be moved, and keypoints, which glide to their new places.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const CORNERS = ["nw", "ne", "se", "sw"];
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function element(name, attributes = {}, parent = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

class View {
  // set: names, lines and the noun of an instance. changed(i, box): the user moves a box. chosen(i), removed(i), drawn(box): the user does so.
  constructor(svg, set, events) {
    Object.assign(this, { svg, set, events, size: [1, 1], unit: 1, instances: [], selected: 0, shown: [], drawing: false });
    this.layers = Object.fromEntries(["squares", "lines", "boxes", "points"].map((name) => [name, element("g", { class: name }, svg)]));
    svg.addEventListener("pointerdown", (event) => this.press(event));
    svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.measure()).observe(svg);
  }

  resize(width, height) {
    this.size = [width, height];
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.measure();
  }

  // Photo pixels per pixel of the screen, so that dots and handles keep their size.
  measure() {
    this.unit = this.size[0] / (this.svg.clientWidth || this.size[0]);
    this.svg.style.setProperty("--unit", this.unit);
    this.draw();
  }

  // instances: { box or null, square, keypoints or null }.
  show(instances, selected) {
    const before = this.shown;
    this.instances = instances;
    this.selected = selected;
    const centre = ({ square: [x, y, side] }) => this.set.names.map(() => [x + side / 2, y + side / 2]);
    const goal = instances.map((one, i) => one.keypoints ?? before[i] ?? centre(one));
    const from = instances.map((one, i) => before[i] ?? centre(one));
    cancelAnimationFrame(this.frame);
    const begun = performance.now();
    const step = (now) => {
      const part = calm.matches ? 1 : Math.min(1, (now - begun) / 300);
      const eased = 1 - (1 - part) ** 3;
      this.shown = goal.map((points, i) => points.map(([x, y], k) => {
        const [u, v] = from[i][k];
        return [u + (x - u) * eased, v + (y - v) * eased];
      }));
      this.drawPoints();
      if (part < 1) this.frame = requestAnimationFrame(step);
    };
    this.draw();
    step(begun);
  }

  outline({ box, square: [x, y, side] }) {
    return box ?? [Math.max(0, x), Math.max(0, y), Math.min(side, this.size[0]), Math.min(side, this.size[1])];
  }

  draw() {
    const focused = document.activeElement?.closest?.(".box")?.dataset.instance;
    const { boxes, squares } = this.layers;
    boxes.replaceChildren();
    squares.replaceChildren();
    this.instances.forEach((one, i) => {
      const [x, y, width, height] = this.outline(one);
      const selected = i === this.selected;
      const [u, v, side] = one.square;
      if (selected) element("rect", { x: u, y: v, width: side, height: side }, squares);
      const label = `${this.set.noun} ${i + 1} of ${this.instances.length}: box at ${Math.round(x)}, ${Math.round(y)}, ${Math.round(width)} by ${Math.round(height)} pixels. Arrow keys move it, Shift and arrow keys change its size, Delete removes it.`;
      const group = element("g", { class: selected ? "box selected" : "box", tabindex: 0, role: "button", "aria-label": label, "aria-pressed": selected }, boxes);
      group.dataset.instance = i;
      element("rect", { x, y, width, height }, group);
      if (this.instances.length > 1) element("text", { x: x + 5 * this.unit, y: y + 17 * this.unit }, group).textContent = i + 1;
      if (!selected) return;
      for (const corner of CORNERS) {
        const place = { cx: x + (corner.includes("e") ? width : 0), cy: y + (corner.includes("s") ? height : 0) };
        element("circle", { class: "reach", "data-corner": corner, ...place, r: 20 * this.unit }, group);
        element("circle", { class: "handle", ...place, r: 6 * this.unit }, group);
      }
    });
    if (focused !== undefined) boxes.children[Math.min(focused, boxes.children.length - 1)]?.focus({ preventScroll: true });
    this.drawPoints();
  }

  drawPoints() {
    const { points, lines } = this.layers;
    const extent = (square) => Math.max(1.8, Math.min(4.5, square[2] / this.unit / 45)) * this.unit;
    const path = this.shown.flatMap((own) => this.set.lines.map(([a, b]) => `M${own[a]}L${own[b]}`)).join("");
    lines.replaceChildren();
    for (const name of ["rim", "line"]) element("path", { class: name, d: path || "M0 0" }, lines);
    points.replaceChildren();
    this.shown.forEach((own, i) => {
      if (!this.instances[i]) return;
      const r = extent(this.instances[i].square);
      own.forEach(([cx, cy], k) => {
        const marked = i === this.selected && k === this.marked;
        const dot = element("circle", { class: marked ? "point marked" : "point", cx, cy, r: marked ? 1.8 * r : r }, points);
        element("title", {}, dot).textContent = this.set.names[k];
      });
    });
  }

  focus(i) {
    this.layers.boxes.children[i]?.focus({ preventScroll: true });
  }

  mark(keypoint) {
    this.marked = keypoint;
    this.drawPoints();
  }

  // The place of a pointer, pixels of the photograph, within it.
  place(event) {
    const { left, top } = this.svg.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top].map((value, axis) => Math.min(Math.max(value * this.unit, 0), this.size[axis]));
  }

  inside([x, y, width, height]) {
    const [wide, high] = [Math.min(width, this.size[0]), Math.min(height, this.size[1])];
    return [Math.min(Math.max(x, 0), this.size[0] - wide), Math.min(Math.max(y, 0), this.size[1] - high), wide, high];
  }

  // The box between two corners, with at least four pixels.
  between([x, y], [u, v]) {
    return this.inside([Math.min(x, u), Math.min(y, v), Math.max(4, Math.abs(u - x)), Math.max(4, Math.abs(v - y))]);
  }

  press(event) {
    if (event.button || !event.isPrimary) return;
    const group = event.target.closest(".box");
    const start = this.place(event);
    const { corner } = event.target.dataset;
    let change = null;
    if (group && !this.drawing) {
      const i = Number(group.dataset.instance);
      if (i !== this.selected) this.events.chosen(i);
      const [x, y, width, height] = this.outline(this.instances[i]);
      const fixed = corner && [corner.includes("e") ? x : x + width, corner.includes("s") ? y : y + height];
      change = ([u, v]) => this.events.changed(i, corner ? this.between(fixed, [u, v]) : this.inside([x + u - start[0], y + v - start[1], width, height]));
      this.focus(i);
    } else if (this.drawing || event.pointerType === "mouse") {
      change = (place) => this.events.drawn(this.between(start, place), false);
    }
    if (!change) return;
    event.preventDefault();
    this.svg.setPointerCapture(event.pointerId);
    let last = null;
    const move = (moved) => {
      const place = this.place(moved);
      if (!last && Math.hypot(place[0] - start[0], place[1] - start[1]) < 3 * this.unit) return;
      last = place;
      change(place);
    };
    const end = () => {
      this.svg.removeEventListener("pointermove", move);
      if (last && !(group && !this.drawing)) this.events.drawn(this.between(start, last), true);
    };
    this.svg.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) this.svg.addEventListener(name, end, { once: true });
  }

  key(event) {
    const group = event.target.closest(".box");
    if (!group) return;
    const i = Number(group.dataset.instance);
    const [x, y, width, height] = this.outline(this.instances[i]);
    const step = Math.max(1, Math.round(Math.min(...this.size) / (event.ctrlKey ? 500 : 100)));
    const [right, down] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [0, 0];
    if (event.key === "Delete" || event.key === "Backspace") this.events.removed(i);
    else if (event.key === "Enter" || event.key === " ") this.events.chosen(i);
    else if (right || down) {
      const bigger = [x, y, Math.max(4, width + right), Math.max(4, height + down)];
      this.events.changed(i, this.inside(event.shiftKey ? bigger : [x + right, y + down, width, height]));
    } else return;
    event.preventDefault();
  }
}
