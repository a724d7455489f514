// The light that rises with each stroke: the whole page is the meter. It is moved by a transform alone, at once with
// the stroke and then with each frame, so that it answers within one frame and moves nothing else.
import { byId } from "./dom.js";

const PER_STROKE = 0.16;
const FADES_MS = 900; // six strokes a second hold it near the top
const REST = 0.004;
const still = matchMedia("(prefers-reduced-motion: reduce)");

let level = 0; // 0: all dark, 1: full
let last = 0; // when the last frame was
let frame = 0;

function place() {
  byId("meter").style.transform = `translateY(${(1 - level) * 100}%)`;
}

function fall(now) {
  level *= Math.exp(-Math.max(0, now - last) / FADES_MS);
  last = now;
  if (level < REST) level = 0;
  place();
  frame = level > 0 ? requestAnimationFrame(fall) : 0;
}

/** One stroke, or a tap; with reduced motion nothing rises. */
export function strike() {
  if (still.matches) return;
  level = Math.min(1, level + PER_STROKE);
  place();
  if (frame) return;
  last = performance.now();
  frame = requestAnimationFrame(fall);
}

/** The number jumps a little with the stroke that it counts. @param {HTMLElement | null} element */
export function nudge(element) {
  if (still.matches || !element) return;
  element.animate([{ transform: "scale(1.1)" }, { transform: "none" }], { duration: 120, easing: "ease-out" });
}
