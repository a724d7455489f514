// A number that runs between pulses. Nothing is shown that the server has not told: it runs up to the newest number,
// never ahead of it and never backwards.

const USUAL_MS = 500; // from pulse to pulse, on air
const [SHORTEST_MS, LONGEST_MS] = [200, 1500];

export class Running {
  /** @param {{jumps?: boolean}} [options] `jumps`: with reduced motion nothing counts up */
  constructor({ jumps = false } = {}) {
    this.jumps = jumps;
    this.begin(0);
  }

  /** Of something else, such as the next segment. @param {number} value */
  begin(value) {
    this.from = this.to = value;
    this.startedAt = this.heardAt = -Infinity;
    this.lasts = USUAL_MS;
  }

  /** The newest number that was told, and when. @param {number} value @param {number} now */
  take(value, now) {
    if (value <= this.to) return; // the same again, or an older one
    const shown = this.at(now);
    const pause = now - this.heardAt;
    this.lasts = Number.isFinite(pause) ? Math.min(LONGEST_MS, Math.max(SHORTEST_MS, pause)) : USUAL_MS;
    Object.assign(this, { from: shown, to: value, startedAt: now, heardAt: now });
  }

  /** What to show. @param {number} now @returns {number} a whole number */
  at(now) {
    if (this.jumps) return this.to;
    const part = Math.min(1, Math.max(0, (now - this.startedAt) / this.lasts));
    return Math.floor(this.from + (this.to - this.from) * part);
  }
}
