// Looks at the page that it stands in, and writes what is wrong with it, one line each, into an element called `told`.
"use strict";
const wrong = [];
const texts = [...document.querySelectorAll("th, td, h1, h2, p, li, dt, dd, small, summary, caption, text")];
const shown = (own) => own.textContent.trim().slice(0, 40);

// Nothing is cut off, and nothing makes the page wider than the window but what may be scrolled by itself.
for (const own of texts) {
  if (own.scrollWidth > own.clientWidth + 1 && own.clientWidth > 0 && getComputedStyle(own).display !== "inline") {
    wrong.push(`cut off: ${shown(own)}`);
  }
}
for (const table of document.querySelectorAll("table")) {
  const room = table.parentElement;
  const narrow = window.innerWidth < 1000;
  if (!narrow && table.getBoundingClientRect().right > room.getBoundingClientRect().right + 1) wrong.push("the table is wider than its place");
  if (getComputedStyle(room).overflowX !== "auto") wrong.push("a wide table can't be scrolled");
}
if (document.querySelector("main") && document.documentElement.scrollWidth > window.innerWidth) wrong.push("the page is wider than the window");

// Every text of the picture lies within it, and those of a cell within the cell.
const svg = document.querySelector("svg");
if (svg) {
  const whole = svg.getBoundingClientRect();
  const inside = (own, place) => own.left >= place.left - 1 && own.right <= place.right + 1 && own.top >= place.top - 1 && own.bottom <= place.bottom + 1;
  let cell = null;
  for (const own of svg.querySelectorAll("rect:not(.page), text")) {
    const box = own.getBoundingClientRect();
    if (own.tagName === "rect") cell = box;
    else if (own.classList.length > 1 && own.classList.contains("m") && !own.classList.contains("b")) {
      if (!inside(box, cell)) wrong.push(`not in its cell: ${shown(own)}`);
    }
    if (!inside(box, whole)) wrong.push(`not in the picture: ${shown(own)}`);
  }
}

// Contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3).
const channels = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
const light = (colour) => {
  const [r, g, b] = channels(colour).slice(0, 3).map((own) => own / 255).map((own) => (own <= 0.04045 ? own / 12.92 : ((own + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (own) => {
  if (own.tagName === "text") {
    let before = own.previousElementSibling;
    const cell = own.classList.contains("m") && !own.classList.contains("b");
    while (before && !(before.tagName === "rect" && (cell || before.classList.contains("page")))) before = before.previousElementSibling;
    return getComputedStyle(before).fill;
  }
  for (let at = own; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if ((channels(colour)[3] ?? 1) > 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
for (const own of texts) {
  const style = getComputedStyle(own);
  const [ink, paper] = [light(own.tagName === "text" ? style.fill : style.color), light(behind(own))];
  const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  if (contrast < 4.5) wrong.push(`contrast ${contrast.toFixed(2)}: ${shown(own)}`);
}

if (texts.length < 20) wrong.push(`only ${texts.length} texts`);
for (const table of document.querySelectorAll("table")) {
  if (!table.caption || [...table.rows].some((row) => !row.querySelector("th[scope]"))) wrong.push("a table without caption or headings");
}
const told = document.createElement("pre");
told.id = "told";
told.textContent = [`measured ${texts.length} texts`, ...new Set(wrong)].join("\n");
document.body.append(told);
