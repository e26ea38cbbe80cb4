// The picture: which part of the image is seen, and the points on it. Coordinates are pixels of the image.

const SVG = "http://www.w3.org/2000/svg";
const REACH = 24; // CSS pixels around a point in which it is grabbed
const DOT = 6; // radius of a label, CSS pixels

function made(parent, tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

export class View {
  // on: select(keypoint), moved(keypoint, point) while dragging, dropped(keypoint, point), place(point) for a double click.
  constructor(svg, on) {
    this.svg = svg;
    this.on = on;
    this.image = svg.querySelector("image");
    this.lines = svg.querySelector("#lines");
    this.texts = svg.querySelector("#texts"); // below the points, which they must not hide
    this.points = svg.querySelector("#points");
    this.centre = [0.5, 0.5];
    this.span = 1; // width of what is seen if the picture were a square
    this.pointers = new Map();
    this.dragged = null;
    new ResizeObserver(() => this.frame()).observe(svg);
    svg.addEventListener("pointerdown", (event) => this.down(event));
    svg.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, (event) => this.up(event));
    svg.addEventListener("dblclick", (event) => this.on.place(this.at(event)));
    svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  show(url, size, view) {
    this.image.setAttribute("href", url);
    this.image.setAttribute("width", size[0]);
    this.image.setAttribute("height", size[1]);
    this.first = view;
    this.fit();
  }

  fit() {
    this.centre = [this.first[0], this.first[1]];
    this.span = this.first[2];
    this.frame();
  }

  zoom(factor, at = this.centre) {
    const span = Math.min(Math.max(this.span * factor, 4), 8 * this.first[2] + 100);
    const kept = span / this.span;
    this.centre = this.centre.map((value, axis) => at[axis] + (value - at[axis]) * kept);
    this.span = span;
    this.frame();
  }

  // CSS pixels per pixel of the image.
  get scale() {
    return Math.min(this.svg.clientWidth, this.svg.clientHeight) / this.span || 1;
  }

  frame() {
    const { clientWidth: width, clientHeight: height } = this.svg;
    if (!width || !height) return;
    const [w, h] = [width / this.scale, height / this.scale];
    this.svg.setAttribute("viewBox", `${this.centre[0] - w / 2} ${this.centre[1] - h / 2} ${w} ${h}`);
    this.image.style.imageRendering = this.scale > 3 ? "pixelated" : "auto";
    if (this.drawn) this.draw(this.drawn);
  }

  at(event) {
    const box = this.svg.getBoundingClientRect();
    return [
      this.centre[0] + (event.clientX - box.left - box.width / 2) / this.scale,
      this.centre[1] + (event.clientY - box.top - box.height / 2) / this.scale,
    ];
  }

  // what: labels, names, lines of the skeleton, the selected keypoint, unsaved keypoints, and whether all names are shown.
  draw(what) {
    this.drawn = what;
    this.lines.replaceChildren();
    this.texts.replaceChildren();
    this.points.replaceChildren();
    const unit = 1 / this.scale;
    const line = (one, other, name) =>
      made(this.lines, "line", { x1: one[0], y1: one[1], x2: other[0], y2: other[1], class: name });
    for (const [one, other] of what.lines) {
      const ends = [what.labels[one].point, what.labels[other].point];
      if (ends[0] && ends[1]) line(ends[0], ends[1], "bone");
    }
    what.labels.forEach((label, keypoint) => {
      if (label.prediction && label.point) line(label.point, label.prediction, "gap");
      if (label.prediction && keypoint !== what.selected) this.diamond(label.prediction, unit);
    });
    const order = what.labels.map((_, keypoint) => keypoint).filter((keypoint) => keypoint !== what.selected);
    for (const keypoint of [...order, what.selected]) {
      const label = what.labels[keypoint];
      if (label?.prediction && keypoint === what.selected) this.diamond(label.prediction, unit);
      if (label?.point) this.point(label, keypoint, what, unit);
      else if (label?.prediction && keypoint === what.selected) this.text(label.prediction, what.names[keypoint], unit);
    }
  }

  diamond([x, y], unit) {
    const r = 5 * unit;
    const group = made(this.points, "g", { class: "predicted" });
    made(group, "path", { d: `M${x - r} ${y}L${x} ${y - r}L${x + r} ${y}L${x} ${y + r}Z` });
  }

  point(label, keypoint, what, unit) {
    const [x, y] = label.point;
    const selected = keypoint === what.selected;
    const classes = ["point", selected && "selected", label.occluded && "occluded", what.unsaved.has(keypoint) && "unsaved"];
    const group = made(this.points, "g", { class: classes.filter(Boolean).join(" "), "data-keypoint": keypoint });
    const r = (selected ? DOT + 1 : DOT) * unit;
    made(group, "circle", { cx: x, cy: y, r, class: "halo" });
    made(group, "circle", { cx: x, cy: y, r, class: "dot" });
    if (selected || what.withNames) this.text([x, y], what.names[keypoint], unit);
  }

  text([x, y], name, unit) {
    made(this.texts, "text", { x: x + 11 * unit, y: y + 4 * unit, "font-size": 13 * unit }).textContent = name;
  }

  // The keypoint whose label is nearest to a point and within reach; the selected one where it is as near.
  nearest(at) {
    let found = null;
    let least = REACH / this.scale;
    this.drawn?.labels.forEach((label, keypoint) => {
      if (!label.point) return;
      const apart = Math.hypot(label.point[0] - at[0], label.point[1] - at[1]) - (keypoint === this.drawn.selected ? 4 / this.scale : 0);
      if (apart < least) [found, least] = [keypoint, apart];
    });
    return found;
  }

  down(event) {
    if (event.button > 0 || !this.drawn) return;
    this.svg.setPointerCapture(event.pointerId);
    const at = this.at(event);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const keypoint = this.nearest(at);
    if (this.pointers.size === 1 && keypoint !== null) {
      const label = this.drawn.labels[keypoint];
      this.dragged = { keypoint, from: label.point, offset: [label.point[0] - at[0], label.point[1] - at[1]], moved: false, start: [event.clientX, event.clientY] };
      this.on.select(keypoint);
    } else if (this.dragged) {
      this.on.moved(this.dragged.keypoint, this.dragged.from); // a second finger: the first one was not meant to drag
      this.dragged = null;
    }
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    this.pointers.set(event.pointerId, now);
    if (this.dragged) {
      const { keypoint, offset, start } = this.dragged;
      this.dragged.moved ||= Math.hypot(now[0] - start[0], now[1] - start[1]) > 3; // a click only selects
      if (!this.dragged.moved) return;
      const at = this.at(event);
      this.dragged.point = [at[0] + offset[0], at[1] + offset[1]];
      this.on.moved(keypoint, this.dragged.point);
    } else if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const apart = (one) => Math.max(Math.hypot(one[0] - other[0], one[1] - other[1]), 10);
      const middle = this.at({ clientX: (now[0] + other[0]) / 2, clientY: (now[1] + other[1]) / 2 });
      this.zoom(apart(before) / apart(now), middle);
      this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    } else {
      this.pan(now[0] - before[0], now[1] - before[1]);
    }
  }

  pan(x, y) {
    this.centre = [this.centre[0] - x / this.scale, this.centre[1] - y / this.scale];
    this.frame();
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const dragged = this.dragged;
    this.dragged = null;
    if (!dragged?.moved) return;
    if (event.type === "pointercancel") this.on.moved(dragged.keypoint, dragged.from);
    else this.on.dropped(dragged.keypoint, dragged.point);
  }

  wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(Math.min(Math.max(event.deltaY, -100), 100) * 0.0025), this.at(event));
  }
}
