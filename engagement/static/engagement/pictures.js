// Pictures as the protocol tells of them, in the size that this screen needs, and what stands for one.
import { make } from "./dom.js";
import { localized } from "./words.js";

const WIDTH = "(max-width: 34rem) 100vw, 34rem";

/** @param {Record<string, any> | undefined} told @param {string} [otherwise] what it shows, where nobody has said */
export function pictureOf(told, otherwise = "") {
  const frame = make("picture", told ? "art" : "art drawn");
  const image = make("img");
  frame.append(image);
  if (!told) {
    image.src = document.body.dataset.art;
    image.alt = "";
    return frame;
  }
  const source = make("source");
  source.type = "image/webp";
  source.srcset = told.sizes.map(([width]) => `${told.base}${width}.webp ${width}w`).join();
  source.sizes = WIDTH;
  const [[width, height]] = told.sizes;
  Object.assign(image, { width, height, alt: localized(told, "alt") || otherwise, src: `${told.base}${width}.jpg` });
  frame.prepend(source);
  return frame;
}

/** Of a prize. */
export const artOf = (prize) => pictureOf(prize.picture, localized(prize, "garment"));
