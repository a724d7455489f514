// What screen readers hear: each moment once, countdowns at 60, 30, 10 and 0 seconds only, a win at once.
import { byId } from "./dom.js";

const HEARD_S = [60, 30, 10];

/** In the one region that is read when there is a pause. @param {string} text */
export const announce = (text) => (byId("say").textContent = text);

/** At once: a win. @param {string} text */
export const shout = (text) => (byId("shout").textContent = text);

/** Says once what has just become true. */
export class Once {
  constructor() {
    this.said = "";
    this.scene = "";
  }

  /** @param {string} key of what is said @param {string} text */
  tell(key, text) {
    if (key === this.said) return;
    this.said = key;
    if (text) announce(text);
  }
}

/** Which of the seconds that are heard a countdown has come to since the last look; null for none. */
export class Countdown {
  constructor() {
    this.left = Infinity;
  }

  /** @param {number} ms what is left, or a negative number @returns {number | null} */
  hears(ms) {
    const [before, left] = [this.left, Math.ceil(ms / 1000)];
    this.left = left;
    // The first look says nothing of a second that is long past.
    const passed = HEARD_S.filter((second) => left <= second && before > second);
    return before === Infinity ? HEARD_S.find((second) => second === left) ?? null : (passed.at(-1) ?? null);
  }

  end() {
    this.left = Infinity;
  }
}
