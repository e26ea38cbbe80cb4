// The page: what is shown, which keypoint is selected, and the changes, one request after the other.

import * as api from "./api.js";
import { View } from "./view.js";

const PAUSE = 500; // ms without an arrow key after which a moved point is saved
const $ = (id) => document.getElementById(id);
const say = (text) => ($("status").textContent = text);

let all = null; // what concerns all samples
let ranked = api.inAddress().ranked; // what they are ranked by
let shown = null; // the sample that is seen
let selected = 0;
let moves = new Map(); // keypoint -> timer of a move by keys that is not saved yet
const unsaved = new Set(); // keypoints whose place on the page is not in the file
const pictures = new Map(); // rank -> promise of a URL; only of the sample that is seen and of its neighbours
let undoable = JSON.parse(sessionStorage.getItem("undoable") ?? "[]");
let queue = Promise.resolve();
let trouble = null; // the wish that has failed

const view = new View($("picture"), {
  select: (keypoint) => select(keypoint),
  moved: (keypoint, point) => { shown.labels[keypoint].point = point; draw(); },
  dropped: (keypoint, point) => setPoint(keypoint, point, "moved"),
  place: (point) => place(point),
});

// What is seen

function draw() {
  view.draw({ labels: shown.labels, names: all.names, lines: all.lines, selected, unsaved, withNames: $("with-names").checked });
}

async function go(rank) {
  if (!all || rank < 0 || rank >= all.count) return;
  await flush();
  const wanted = rank;
  go.wanted = wanted;
  try {
    const [sample, url] = await Promise.all([api.sample(rank, ranked), picture(rank)]);
    if (go.wanted !== wanted) return; // another sample was asked for in the meantime
    shown = sample;
    unsaved.clear();
    hideAlert();
    selected = sample.doubtful ?? 0;
    view.show(url, sample.size, sample.view);
    api.setAddress(rank, ranked);
    update();
    say("");
    keep(rank);
  } catch (error) {
    failed(error);
  }
}

function picture(rank) {
  if (!pictures.has(rank)) {
    const found = api.picture(rank, ranked);
    pictures.set(rank, found);
    found.catch(() => pictures.delete(rank));
  }
  return pictures.get(rank);
}

function forget(unwanted) {
  for (const [rank, url] of pictures) {
    if (unwanted(rank)) {
      pictures.delete(rank);
      url.then(URL.revokeObjectURL, () => {});
    }
  }
}

// Fetches the pictures of the neighbours and forgets all others.
function keep(rank) {
  forget((other) => Math.abs(other - rank) > 1);
  for (const other of [rank + 1, rank - 1]) if (other >= 0 && other < all.count) picture(other).catch(() => {});
}

function update() {
  const { rank, image, instance } = shown;
  $("where").textContent = `${rank + 1} of ${all.count}: image ${image}, instance ${instance}; ${shown.rankedBy}`;
  $("rank").value = rank + 1;
  $("previous").disabled = rank === 0;
  $("next").disabled = rank === all.count - 1;
  $("picture").setAttribute("aria-label", `Image ${image}, instance ${instance}. Selected: ${all.names[selected]}, ${told(selected)}`);
  list();
  const label = shown.labels[selected];
  $("selected").textContent = all.names[selected];
  $("state").textContent = [told(selected), label.by && `changed by ${label.by}`].filter(Boolean).join("; ");
  $("reasons").replaceChildren(...label.reasons.map((reason) => Object.assign(document.createElement("li"), { textContent: reason })));
  $("accept").disabled = !label.prediction;
  $("accept-missing").disabled = !shown.labels.some(isPredicted);
  $("missing").disabled = label.value === "missing";
  $("correct").disabled = label.value === "missing";
  $("occluded").hidden = !all.hasOccluded;
  $("occluded").disabled = label.value === "missing";
  $("occluded").setAttribute("aria-pressed", label.occluded);
  $("undo").disabled = undoable.length === 0;
  draw();
}

// A label in words.
function told(keypoint) {
  const label = shown.labels[keypoint];
  if (unsaved.has(keypoint)) return "not saved";
  const words = [label.value === "missing" ? "missing" : `at ${label.value}`];
  if (label.corrected) words.push(`was ${label.original}`);
  else if (label.checked) words.push("marked as correct");
  return words.join(", ");
}

function list() {
  const items = all.names.map((name, keypoint) => {
    const label = shown.labels[keypoint];
    const item = document.createElement("li");
    item.id = `keypoint-${keypoint}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", keypoint === selected);
    item.append(name);
    const state = document.createElement("span");
    state.textContent = [
      label.value === "missing" && "missing", label.occluded && "occluded", label.corrected && "corrected",
      label.checked && !label.corrected && "correct", label.reasons.length && keypoint === shown.doubtful && "doubtful",
    ].filter(Boolean).join(", ");
    item.append(state);
    item.addEventListener("click", () => select(keypoint));
    return item;
  });
  $("list").replaceChildren(...items);
  $("list").setAttribute("aria-activedescendant", `keypoint-${selected}`);
  const [box, item] = [$("list"), items[selected]];
  if (item.offsetTop < box.scrollTop + box.offsetTop) box.scrollTop = item.offsetTop - box.offsetTop;
  else if (item.offsetTop + item.offsetHeight > box.scrollTop + box.offsetTop + box.clientHeight)
    box.scrollTop = item.offsetTop + item.offsetHeight - box.offsetTop - box.clientHeight;
}

function select(keypoint) {
  if (!shown) return;
  selected = (keypoint + all.names.length) % all.names.length;
  update();
}

// What is changed. Each change names the value that it replaces, so it waits for the answer to the one before.

function save(keypoint, wish) {
  const { sample, rank } = shown;
  unsaved.add(keypoint);
  say("Saving …");
  update();
  queue = queue.then(() => send({ sample, keypoint, rank, ...wish }));
  return queue;
}

async function send({ rank, undoing, ...wish }) {
  const here = () => shown?.sample === wish.sample;
  const old = wish.old ?? (here() ? shown.labels[wish.keypoint].value : null);
  if (old === null) return;
  try {
    const label = await api.change({ why: $("why").value, ...wish, old });
    if (undoing) undoable.pop();
    else undoable.push({ sample: wish.sample, rank, ...ranked, keypoint: wish.keypoint, old, new: label.value });
    undoable = undoable.slice(-200);
    sessionStorage.setItem("undoable", JSON.stringify(undoable));
    trouble = null;
    hideAlert();
    if (here()) {
      shown.labels[wish.keypoint] = label;
      unsaved.delete(wish.keypoint);
      update();
    }
    say(`Saved: ${all.names[wish.keypoint]} ${label.value}`);
  } catch (error) {
    trouble = { wish: { rank, undoing, ...wish, old }, error };
    failed(error);
  }
}

const setPoint = (keypoint, point, why) =>
  save(keypoint, { point, occluded: shown.labels[keypoint].occluded, ...($("why").value ? {} : { why }) });
const setValue = (keypoint, value, why) => save(keypoint, { new: value, ...($("why").value ? {} : { why }) });

const isMissing = (label) => !label.point;
const isPredicted = (label) => isMissing(label) && label.prediction;

// Gives a keypoint a place. After a missing one, the next missing one is selected, so that a sample can be labelled in one go.
function put(keypoint, point, why) {
  const wasMissing = isMissing(shown.labels[keypoint]);
  shown.labels[keypoint].point = [...point];
  setPoint(keypoint, point, why);
  const count = all.names.length;
  const next = all.names.map((_, step) => (keypoint + step) % count).find((other) => isMissing(shown.labels[other]));
  if (wasMissing && next !== undefined) select(next);
}

function place(point) {
  if (shown) put(selected, point, "placed");
}

const ACCEPTED = "prediction accepted";
const actions = {
  accept() {
    const { prediction } = shown.labels[selected];
    if (prediction) put(selected, prediction, ACCEPTED);
  },
  "accept-missing"() {
    shown.labels.forEach((label, keypoint) => { if (isPredicted(label)) put(keypoint, label.prediction, ACCEPTED); });
  },
  correct() {
    const { value } = shown.labels[selected];
    if (value !== "missing") setValue(selected, value, "correct");
  },
  missing() {
    if (shown.labels[selected].value !== "missing") setValue(selected, "missing", "not to be seen");
  },
  occluded() {
    const { value, occluded } = shown.labels[selected];
    if (!all.hasOccluded) return say($("no-occluded").textContent);
    if (value === "missing") return;
    setValue(selected, occluded ? value.replace(" occluded", "") : "occluded", occluded ? "visible" : "occluded");
  },
  async undo() {
    await flush();
    const last = undoable.at(-1);
    if (!last) return say("There is nothing to undo.");
    if (shown.sample !== last.sample) {
      if (last.by !== ranked.by || last.of !== ranked.of) await rankBy({ by: last.by, of: last.of });
      await go(last.rank);
    }
    selected = last.keypoint;
    save(last.keypoint, { old: last.new, new: last.old, why: "undone", undoing: true });
  },
  next: () => go(shown.rank + 1),
  previous: () => go(shown.rank - 1),
};

// Moves the selected keypoint by keys; a missing one starts from its prediction or the middle of what is seen.
function nudge(x, y) {
  const label = shown.labels[selected];
  const from = label.point ?? label.prediction ?? view.centre;
  label.point = [from[0] + x, from[1] + y];
  unsaved.add(selected);
  say("Not saved yet");
  draw();
  clearTimeout(moves.get(selected));
  const keypoint = selected;
  moves.set(keypoint, setTimeout(() => settle(keypoint), PAUSE));
}

function settle(keypoint) {
  clearTimeout(moves.get(keypoint));
  if (moves.delete(keypoint)) setPoint(keypoint, shown.labels[keypoint].point, "moved");
}

// Saves what the arrow keys have moved, and waits for all answers.
async function flush() {
  for (const keypoint of [...moves.keys()]) settle(keypoint);
  await queue;
}

// What can go wrong

function failed(error) {
  const conflict = error instanceof api.Refused && error.status === 409;
  const lost = error instanceof api.Unreachable;
  say("");
  $("trouble").textContent = conflict
    ? `Not saved. ${error.message}`
    : lost
      ? "Not saved: the server does not answer. Start `keypoints review` again and open the address that it prints. What was saved before is in the file."
      : `${trouble ? "Not saved. " : ""}${error.message}`;
  $("mine").hidden = $("theirs").hidden = !conflict;
  $("again").hidden = conflict;
  $("alert").hidden = false;
}

const hideAlert = () => ($("alert").hidden = true);

async function reload() {
  const keypoint = trouble?.wish.keypoint ?? selected;
  trouble = null;
  await go(shown ? shown.rank : api.inAddress().rank ?? all.first);
  select(keypoint);
}

$("theirs").addEventListener("click", reload);
$("mine").addEventListener("click", () => {
  const { wish, error } = trouble;
  queue = queue.then(() => send({ ...wish, old: error.answer.value, undoing: false }));
});
$("again").addEventListener("click", async () => {
  if (!all) return begin();
  if (!trouble) return reload();
  const { wish } = trouble;
  queue = queue.then(() => send(wish));
});

// Keys

const KEYS = { a: "accept", c: "correct", m: "missing", o: "occluded", u: "undo", n: "next", p: "previous" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

document.addEventListener("keydown", (event) => {
  if (!shown || event.target.matches("input[type=text], input[type=number], select")) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") return act(event, actions.undo);
  if (event.ctrlKey || event.metaKey) return;
  if (event.key === "PageDown") return act(event, actions.next);
  if (event.key === "PageUp") return act(event, actions.previous);
  if (event.target === $("picture")) {
    if (ARROWS[event.key]) {
      const step = event.shiftKey ? 10 : event.altKey ? 0.1 : 1;
      return act(event, () => nudge(...ARROWS[event.key].map((sign) => sign * step)));
    }
    if (event.key === "Enter") return act(event, () => place(shown.labels[selected].point ?? shown.labels[selected].prediction ?? view.centre));
  }
  if (event.target === $("list") && ["ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) {
    const to = { ArrowUp: selected - 1, ArrowDown: selected + 1, Home: 0, End: -1 }[event.key];
    return act(event, () => select(to));
  }
  if (event.altKey || !$("with-keys").checked) return;
  const key = event.key.toLowerCase();
  if (key === "a" && event.shiftKey) act(event, actions["accept-missing"]);
  else if (KEYS[key]) act(event, actions[KEYS[key]]);
  else if (key === "j") act(event, () => select(selected + 1));
  else if (key === "k") act(event, () => select(selected - 1));
  else if (key === "+" || key === "=") act(event, () => view.zoom(0.8));
  else if (key === "-") act(event, () => view.zoom(1.25));
  else if (key === "0") act(event, () => view.fit());
});

function act(event, action) {
  event.preventDefault();
  action();
}

for (const [name, action] of Object.entries(actions)) $(name).addEventListener("click", () => shown && action());
$("closer").addEventListener("click", () => view.zoom(0.8));
$("farther").addEventListener("click", () => view.zoom(1.25));
$("fit").addEventListener("click", () => view.fit());
$("with-names").addEventListener("change", () => shown && draw());
$("jump").addEventListener("submit", (event) => {
  event.preventDefault();
  go(Number($("rank").value) - 1);
});
for (const name of ["by", "of"]) {
  $(name).addEventListener("change", async () => {
    if (await rankBy({ by: $("by").value, of: $("of").value })) await go(all.first);
  });
}
addEventListener("beforeunload", (event) => {
  if (unsaved.size) event.preventDefault();
});

// Ranks the samples by something else, of which the pictures that are kept have no ranks. Whether it worked.
async function rankBy(wanted) {
  await flush();
  try {
    all = await api.summary(wanted);
  } catch (error) {
    failed(error);
    return false;
  }
  ranked = { by: all.by, of: all.of };
  forget(() => true);
  options($("by"), [["", "Most doubtful first"], ...all.orders.map((title) => [title, title])], ranked.by);
  options($("of"), [["", "any keypoint"], ...all.names.map((name) => [name, name])], ranked.of);
  return true;
}

function options(box, choices, chosen) {
  box.replaceChildren(...choices.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

async function begin() {
  if (!(await rankBy(ranked))) return ($("where").textContent = "");
  hideAlert();
  $("rank").max = all.count;
  $("with-names").checked = all.names.length <= 20;
  $("no-occluded").hidden = all.hasOccluded;
  $("file").textContent = `Corrections: ${all.file}${all.who ? `, by ${all.who}` : ""}${all.note ? `. ${all.note}` : ""}`;
  await go(Math.min(api.inAddress().rank ?? all.first, all.count - 1));
}

begin();
