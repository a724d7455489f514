// Text that has to fit its box: it becomes smaller until it does, and never smaller than the hall can read; what is
// longer ends with an ellipsis.

const LEAST_REM = 5.7; // capitals of 1/25 of the height, in the fonts of this site
const STEP = 0.96;

/** Every element with `data-fit` below `root` that can be seen. */
export function fitAll(root = document) {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  for (const element of root.querySelectorAll("[data-fit]")) {
    fit(element, (Number(element.dataset.fit) || LEAST_REM) * rem);
  }
}

function fit(element, least) {
  if (!element.getClientRects().length) return;
  // The place may become narrower, when a picture has come.
  const place = [innerWidth, innerHeight, element.parentElement.clientWidth].join();
  const key = `${element.textContent}|${place}|${element.closest("[data-layout]")?.dataset.layout}`;
  if (element.dataset.fitted === key) return;
  element.dataset.fitted = key;
  element.style.fontSize = element.style.webkitLineClamp = "";
  element.classList.remove("breaks", "ends");
  let size = parseFloat(getComputedStyle(element).fontSize);
  while (isTooLarge(element) && size > least) {
    size = Math.max(least, size * STEP);
    element.style.fontSize = `${size}px`;
  }
  element.classList.toggle("breaks", isTooLarge(element)); // within a word, where nothing else helps
  if (isTooLarge(element)) end(element);
}

/** The lines that there is room for, the last one with an ellipsis. */
function end(element) {
  const { lineHeight, maxHeight } = getComputedStyle(element);
  const lines = Math.max(1, Math.floor((parseFloat(maxHeight) + 1) / parseFloat(lineHeight)));
  if (Number.isNaN(lines)) return;
  element.style.webkitLineClamp = String(lines);
  element.classList.add("ends");
}

/** Line boxes count, and not the letters' own height, which is larger. */
function isTooLarge(box) {
  if (box.scrollWidth > box.clientWidth + 1) return true;
  const most = parseFloat(getComputedStyle(box).maxHeight); // NaN where there is none
  box.style.maxHeight = "none";
  const isTall = box.offsetHeight > most + 1;
  box.style.maxHeight = "";
  return isTall;
}
