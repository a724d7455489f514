// The elements of a page.

/** @param {string} id */
export const byId = (id) => document.getElementById(id);

export function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

export function show(id, visible) {
  byId(id).hidden = !visible;
}

export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Replaces the children of an element, unless they would be the same. */
export function setRows(id, rows, build) {
  const element = byId(id);
  const key = JSON.stringify(rows);
  if (element.dataset.rows === key) return;
  element.dataset.rows = key;
  element.replaceChildren(...rows.map(build));
}

/** Texts by the name of their place: all elements with `data-text` of that name. */
export function fill(texts) {
  for (const [name, text] of Object.entries(texts)) {
    for (const element of document.querySelectorAll(`[data-text="${name}"]`)) {
      if (element.textContent !== text) element.textContent = text;
    }
  }
}

/** Shows an image at this address; an empty one hides it. */
export function setImage(image, address) {
  image.hidden = address === "";
  if (address && image.getAttribute("src") !== address) image.setAttribute("src", address);
}
