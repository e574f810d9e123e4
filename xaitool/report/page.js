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
