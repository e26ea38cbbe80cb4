"use strict";
// Enlarges faces and figures: a click or Enter opens one, the arrow keys show its neighbours, Escape closes it.
const dialog = document.querySelector("dialog");
const place = dialog.querySelector(".enlarged");
const caption = dialog.querySelector(".caption");
const count = dialog.querySelector(".position");
let shown = [];
let current = 0;

function show(number) {
  current = (number + shown.length) % shown.length;
  const figure = shown[current].closest("figure");
  place.replaceChildren(...[...shown[current].children].map((child) => child.cloneNode(true)));
  place.className = figure.className + " enlarged";
  place.style.cssText = figure.style.cssText;
  caption.textContent = figure.querySelector("figcaption").textContent;
  count.textContent = shown.length > 1 ? `${current + 1} of ${shown.length}` : "";
}

function open(button) {
  shown = [...button.closest("section").querySelectorAll("button.enlarge")];
  dialog.classList.toggle("single", shown.length < 2);
  show(shown.indexOf(button));
  dialog.showModal();
}

function close() {
  dialog.close();
  shown[current].focus();
}

for (const button of document.querySelectorAll("button.enlarge")) button.addEventListener("click", () => open(button));
dialog.querySelector(".previous").addEventListener("click", () => show(current - 1));
dialog.querySelector(".next").addEventListener("click", () => show(current + 1));
dialog.querySelector(".close").addEventListener("click", close);
dialog.addEventListener("cancel", (event) => {
  event.preventDefault();
  close();
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) close();
});
dialog.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) show(current + step);
});

// Says so where a table has more columns than fit.
const tables = [...document.querySelectorAll(".scroll")];

function hint() {
  for (const table of tables) {
    const rest = table.scrollWidth - table.clientWidth;
    table.parentElement.classList.toggle("cut", rest > 1);
    table.classList.toggle("more", rest - table.scrollLeft > 1);
  }
}

for (const table of tables) table.addEventListener("scroll", hint, { passive: true });
addEventListener("resize", hint);
hint();

// On paper nothing can be unfolded.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
