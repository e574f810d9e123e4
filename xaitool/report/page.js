"use strict";

// Buttons that copy the text of another element: <button data-copies="ID">.
for (const button of document.querySelectorAll("button[data-copies]")) {
  const before = button.textContent;
  button.hidden = false; // without a script there is no such button
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copies);
    button.textContent = (await copied(source)) ? "Copied" : "Press Ctrl+C to copy";
    setTimeout(() => { button.textContent = before; }, 3000);
  });
}

// Whether an element's text could be put on the clipboard; if not, it is selected for the reader to do so.
async function copied(source) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch (error) { // a browser may refuse a page from the disk
      console.info("the clipboard is not to be had:", error.message);
    }
  }
  getSelection().selectAllChildren(source);
  return false;
}

// What can be scrolled sideways fades out where there is more of it.
const sideways = document.querySelectorAll(".wide, .chart, .picture, pre");
const fade = (box) => {
  const hidden = box.scrollWidth - box.clientWidth; // a pixel less may be rounding
  box.classList.toggle("more-before", box.scrollLeft > 1);
  box.classList.toggle("more-after", box.scrollLeft < hidden - 1);
};
const resized = new ResizeObserver((entries) => entries.forEach(({ target }) => fade(target)));
for (const box of sideways) {
  resized.observe(box);
  box.addEventListener("scroll", () => fade(box), { passive: true });
}

// On paper nothing can be unfolded: what is folded is open while the page is printed.
let unfolded = [];
const unfold = () => {
  unfolded.push(...document.querySelectorAll("details:not([open])"));
  for (const each of unfolded) each.open = true;
};
const refold = () => {
  for (const each of unfolded) each.open = false;
  unfolded = [];
};
addEventListener("beforeprint", unfold);
addEventListener("afterprint", refold);
matchMedia("print").addEventListener("change", ({ matches }) => (matches ? unfold() : refold()));
