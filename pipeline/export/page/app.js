// The page: where photographs come from, what is asked of the worker, and the table of coordinates.
"use strict";

const $ = (name) => document.getElementById(name);
const set = JSON.parse($("settings").textContent);
const MOST_PIXELS = 1e8;
const FIELDS = ["x", "y", "width", "height"];
const state = { name: "photograph", size: null, instances: [], selected: 0, stream: null, said: null };
document.body.dataset.state = "loading";
document.body.dataset.run = 0;

// The parts of the page

async function part(name) {
  const text = atob($(name).textContent);
  $(name).remove();
  const packed = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

let worker;
const waiting = new Map();
let asked = 0;

function ask(message, transfer = []) {
  const id = ++asked;
  worker.postMessage({ id, ...message }, transfer);
  return new Promise((done, failed) => waiting.set(id, { done, failed }));
}

async function start() {
  if (!("DecompressionStream" in window)) throw new Error("this browser is too old. Use Chrome 97, Firefox 114, Safari 16.4 or a later version.");
  const names = ["worker", "runtime", "wasm", "chain", ...(set.detector ? ["yunet"] : [])];
  const parts = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await part(name)])));
  worker = new Worker(URL.createObjectURL(new Blob([parts.worker], { type: "text/javascript" })));
  worker.onmessage = ({ data: { id, result, error } }) => {
    const { done, failed } = waiting.get(id);
    waiting.delete(id);
    if (error) failed(new Error(error));
    else done(result);
  };
  worker.onerror = (event) => say(`The nets could not be started: ${event.message}`, true);
  const given = Object.fromEntries(names.slice(1).map((name) => [name, parts[name].buffer]));
  await ask({ what: "start", settings: set, ...given }, Object.values(given));
  document.body.dataset.state = "ready";
  say("Ready. Choose, drop or paste a photograph.");
  for (const name of ["choose", "camera"]) $(name).disabled = false;
}

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

const counted = (count) => `${count} ${count === 1 ? set.noun : `${set.noun}s`}`;

// Predictions: one at a time, and of those that wait only the last

let running = false;
let next = null;

function predict(request) {
  next = { ...next, ...request };
  if (!running) run();
}

async function run() {
  running = true;
  while (next) {
    const { photo, ...request } = next;
    next = null;
    document.body.dataset.state = "busy";
    try {
      const found = await ask({ what: "predict", quick: Boolean(state.stream), photo, ...request }, photo ? [photo.data] : []);
      if (!next || request.find) take(found, request);
    } catch (error) {
      next = null;
      say(`The keypoints could not be predicted: ${error.message}`, true);
    }
  }
  running = false;
  document.body.dataset.run = Number(document.body.dataset.run) + 1;
  document.body.dataset.state = "ready";
}

function take({ boxes, squares, keypoints, detecting, predicting }, { find }) {
  state.instances = boxes.map((box, i) => ({ box, square: squares[i], keypoints: keypoints[i] }));
  state.selected = Math.min(state.selected, Math.max(0, boxes.length - 1));
  show();
  const same = find && state.stream && state.said === boxes.length;
  state.said = boxes.length;
  if (same) return; // a screen reader would read every picture of the camera
  const times = `${find ? `found in ${Math.round(detecting)} ms, ` : ""}keypoints in ${Math.round(predicting)} ms`;
  if (boxes.length) say(`${counted(boxes.length)}, ${times}.`);
  else say(`No ${set.noun} was found. Draw a box around it.`, !state.stream);
}

const again = () => predict({ boxes: state.instances.map(({ box }) => box), find: false });

function change(instances, selected = state.selected) {
  state.instances = instances.map((one) => ({ ...one, square: squareOf(one.box, state.size, set.margin) }));
  state.selected = Math.max(0, Math.min(selected, instances.length - 1));
  show();
  if (instances.length) again();
}

// Photographs

// shown: anything that a canvas can draw, upright.
function pixels(shown, width, height) {
  const canvas = $("photo");
  [canvas.width, canvas.height] = [width, height];
  canvas.parentElement.style.width = `min(100%, ${(72 * width) / height}vh, ${3 * width}px)`; // small photographs are enlarged
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff"; // transparent parts are over white, as in Python
  context.fillRect(0, 0, width, height);
  context.drawImage(shown, 0, 0, width, height);
  state.size = [width, height];
  view.resize(width, height);
  return { data: context.getImageData(0, 0, width, height).data.buffer, width, height };
}

async function open(file) {
  if (document.body.dataset.state === "loading") return;
  stopCamera();
  let image;
  try {
    image = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    say(`${file.name || "This file"} could not be read as a photograph. Convert it to JPEG or PNG.`, true);
    return;
  }
  if (image.width * image.height > MOST_PIXELS) {
    say(`${file.name} has more than 100 million pixels. Reduce it first.`, true);
    return;
  }
  state.name = file.name || "pasted photograph";
  begin(image, image.width, image.height);
  image.close();
}

function begin(shown, width, height) {
  const photo = pixels(shown, width, height);
  document.body.classList.add("loaded");
  state.selected = 0;
  state.instances = [];
  view.shown = [];
  $("stage").setAttribute("aria-label", `${state.name}, ${width} by ${height} pixels`);
  predict({ photo, ...(set.detector ? { find: true, boxes: [] } : { find: false, boxes: [null] }) });
}

// The camera

async function startCamera() {
  try {
    state.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 640 } } });
  } catch (error) {
    const missing = { NotAllowedError: "The browser does not allow this page to use a camera.", NotFoundError: "There is no camera." };
    say(missing[error.name] ?? `The camera cannot be used: ${error.message}`, true);
    return;
  }
  const video = $("video");
  video.srcObject = state.stream;
  await video.play();
  state.name = "camera";
  document.body.classList.add("loaded", "live");
  $("camera").textContent = "Stop camera";
  $("still").hidden = false;
  const boxes = set.detector ? [] : [null];
  const live = () => {
    if (!state.stream) return;
    if (!running) {
      const own = set.detector ? { find: true, boxes } : { find: false, boxes: state.instances.length ? state.instances.map(({ box }) => box) : boxes };
      predict({ photo: pixels(video, video.videoWidth, video.videoHeight), ...own });
    }
    video.requestVideoFrameCallback?.(live) ?? setTimeout(live, 50);
  };
  live();
}

function stopCamera() {
  for (const track of state.stream?.getTracks() ?? []) track.stop();
  state.stream = null;
  $("video").srcObject = null;
  document.body.classList.remove("live");
  $("camera").textContent = "Use camera";
  $("still").hidden = true;
}

// What is shown of the predictions

const view = new View($("overlay"), set, {
  changed: (i, box) => change(state.instances.map((one, k) => (k === i ? { ...one, box } : one))),
  chosen: (i) => { state.selected = i; show(); },
  removed: (i) => change(state.instances.filter((_, k) => k !== i)),
  drawn: (box, done) => {
    const before = state.drawn === undefined ? state.instances.filter((one) => one.box) : state.instances.slice(0, state.drawn);
    state.drawn = done ? undefined : before.length;
    change([...before, { box, keypoints: null }], before.length);
    if (done) setDrawing(false);
  },
});

function setDrawing(on) {
  view.drawing = on;
  $("draw").setAttribute("aria-pressed", on);
  $("stage").classList.toggle("drawing", on);
}

function show() {
  view.show(state.instances, state.selected);
  const one = state.instances[state.selected];
  for (const name of ["copy", "csv", "json"]) $(name).disabled = !one?.keypoints;
  for (const name of ["draw", "whole", "find"]) if ($(name)) $(name).disabled = !state.size;
  $("remove").disabled = !one;
  $("result").hidden = !one;
  if (!one) return;
  const options = state.instances.map((_, i) => new Option(`${set.noun} ${i + 1} of ${state.instances.length}`, i, false, i === state.selected));
  $("instance").replaceChildren(...options);
  $("choice").hidden = options.length < 2;
  const outline = view.outline(one);
  FIELDS.forEach((name, k) => { if (document.activeElement !== $(name)) $(name).value = Number(outline[k].toFixed(2)); });
  [...$("rows").children].forEach((row, k) => {
    const values = one.keypoints?.[k] ?? [];
    ["x", "y"].forEach((axis, c) => {
      row.children[c + 1].textContent = values[c]?.toFixed(2) ?? "";
      row.dataset[axis] = values[c] ?? "";
    });
  });
}

function makeRows() {
  set.names.forEach((name, k) => {
    const row = $("rows").insertRow();
    const title = document.createElement("th");
    title.scope = "row";
    name.split("_").forEach((word, i) => title.append(...(i ? ["_", document.createElement("wbr"), word] : [word])));
    row.append(title);
    for (const _ of "xy") row.insertCell();
    row.addEventListener("pointerenter", () => view.mark(k));
    row.addEventListener("pointerleave", () => view.mark(null));
  });
}

// Files: the same as `keypoints annotate` writes

const rounded = (values) => values.map((value) => Number(value.toFixed(2)));
const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function asCsv() {
  const head = ["photo", set.noun, ...FIELDS.map((name) => `${set.noun}_${name}`), ...set.names.flatMap((name) => [`${name}_x`, `${name}_y`])];
  const rows = state.instances.map((one, i) => [state.name, String(i + 1), ...[...view.outline(one), ...one.keypoints.flat()].map((value) => value.toFixed(2))]);
  return [head, ...rows].map((row) => `${row.map(quoted).join(",")}\n`).join("");
}

function asJson() {
  const instances = state.instances.map((one) => ({ box: rounded(view.outline(one)), keypoints: Object.fromEntries(one.keypoints.map((point, k) => [set.names[k], rounded(point)])) }));
  const [width, height] = state.size;
  return `${JSON.stringify([{ photo: state.name, width, height, [`${set.noun}s`]: instances }], null, 1)}\n`;
}

function save(text, type, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `${state.name.replace(/\.[^.]*$/, "")}-keypoints.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(asCsv());
    say("The coordinates are in the clipboard, as CSV.");
  } catch {
    say("The browser does not allow this page to use the clipboard. Save the coordinates instead.", true);
  }
}

// What the user does

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", ({ target }) => { if (target.files[0]) open(target.files[0]); target.value = ""; });
$("camera").addEventListener("click", () => (state.stream ? stopCamera() : startCamera()));
$("still").addEventListener("click", () => {
  const video = $("video");
  begin(video, video.videoWidth, video.videoHeight);
  stopCamera();
});
$("draw").addEventListener("click", ({ detail }) => {
  if (detail) setDrawing(!view.drawing); // the pointer draws it; from the keyboard it appears in the middle
  else {
    const [width, height] = state.size;
    change([...state.instances.filter((one) => one.box), { box: [width / 3, height / 3, width / 3, height / 3], keypoints: null }], Infinity);
    view.focus(state.selected);
  }
});
$("whole").addEventListener("click", () => change([{ box: null, keypoints: null }]));
$("find")?.addEventListener("click", () => predict({ find: true, boxes: [] }));
$("remove").addEventListener("click", () => change(state.instances.filter((_, i) => i !== state.selected)));
$("instance").addEventListener("change", ({ target }) => { state.selected = Number(target.value); show(); });
$("copy").addEventListener("click", copy);
$("csv").addEventListener("click", () => save(asCsv(), "text/csv", "csv"));
$("json").addEventListener("click", () => save(asJson(), "application/json", "json"));
for (const name of FIELDS) {
  $(name).addEventListener("change", () => {
    const box = FIELDS.map((field) => Number($(field).value));
    if (box.every(Number.isFinite) && Math.min(box[2], box[3]) >= 1) change(state.instances.map((one, i) => (i === state.selected ? { ...one, box: view.inside(box) } : one)));
  });
}
addEventListener("paste", ({ clipboardData }) => { if (clipboardData.files[0]) open(clipboardData.files[0]); });
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
});

makeRows();
start().catch((error) => {
  document.body.dataset.state = "failed";
  say(`The nets could not be started: ${error.message}`, true);
});
