// What wall, overlay and the host's screen have in common: a connection that only watches, and the words of a moment.
import { Connection, namedOf } from "./shake-client.js";
import { Running } from "./running.js";
import { countsTo, eightDigits, prizeNow, sceneOf, winnersOf } from "./wall_scenes.js";
import {
  countdownText, localized, nameText, numberText, priceText, say, sayCount, sealsOf, wornText,
} from "./words.js";

const RELOAD_MS = 15000; // nobody stands beside the big screen to press a button
const TICK_MS = 100;
export const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Screen {
  /** `draw(view)` is called ten times a second and when something has come, `frame(view)` for every frame. */
  constructor({ slug, feed = "", draw, frame = () => {} }) {
    this.pulse = null;
    this.lostAt = 0; // when the connection was lost, by the elapsed time; null while it is there
    this.shakes = new Running({ jumps: isStill() });
    this.counted = ""; // of which segment
    this.draw = draw;
    this.frame = frame;
    const take = () => this.draw(this.view());
    this.connection = new Connection({
      slug,
      hello: async () => ({ role: "screen", ...(feed ? { feed } : {}) }),
      on: {
        status: (status) => this.follow(status),
        welcome: take,
        state: take,
        cue: take,
        named: take,
        pulse: (pulse) => this.hear(pulse),
      },
    });
  }

  start() {
    this.connection.start();
    setInterval(() => this.draw(this.view()), TICK_MS);
    const frame = () => {
      this.frame(this.view());
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  follow(status) {
    if (status === "connected") this.lostAt = null;
    else this.lostAt ??= performance.now();
    if (status === "refused") setTimeout(() => location.reload(), RELOAD_MS);
  }

  /** For how long there has been no connection, ms. */
  lostMs() {
    return this.lostAt === null ? 0 : performance.now() - this.lostAt;
  }

  hear(pulse) {
    this.pulse = pulse;
    const { position, state } = this.connection;
    if (pulse.segment !== (state.segment?.id ?? null)) return; // of another one; the state is under way
    const counted = `${position.epoch}.${pulse.segment}`;
    if (this.counted !== counted) this.shakes.begin(pulse.shakes);
    this.counted = counted;
    this.shakes.take(pulse.shakes, performance.now());
  }

  /** What there is to show now. */
  view() {
    const { clock, state, position } = this.connection;
    const now = clock.now();
    const scene = sceneOf(state, now);
    const isCounted = this.counted === `${position.epoch}.${state.segment?.id}`;
    const shakes = isCounted ? this.shakes.at(performance.now()) : 0;
    const pulse = isCounted ? this.pulse : null;
    const [prize, naming] = [prizeNow(state, scene, now), namedOf(state.segment, now)];
    return { now, state, scene, shakes, pulse, prize, naming };
  }
}

/** The countdown of the moment, "" where there is none. */
export function countdown({ state, now }) {
  const end = countsTo(state, now);
  return end === null ? "" : countdownText(end - now);
}

/** The words of a prize: garment, who has worn it, brand, value, how many pieces. */
export function prizeWords(prize) {
  if (!prize) return { garment: "", wearer: "", brand: "", value: "", pieces: "" };
  return {
    garment: localized(prize, "garment"),
    wearer: say("worn by {celebrity}", { celebrity: localized(prize, "celebrity") }),
    brand: prize.brand,
    value: priceText(prize),
    pieces: sayCount("{count} to win", "{count} to win", prize.quantity),
  };
}

/** The words that wall and overlay show alike. */
export function sceneWords(view, phones) {
  const { state, now, naming, shakes } = view;
  const seals = sealsOf(state.segment);
  const seal = seals[Math.floor(now / 4000) % (seals.length || 1)];
  const winner = naming.winners.at(-1);
  const spoiled = say("There was no seal in time, so nothing is drawn.");
  const number = naming.awaited ?? winner?.number ?? 0;
  return {
    ...prizeWords(view.prize),
    seconds: countdown(view),
    shakes: numberText(shakes),
    phones: phones === null ? "–" : numberText(phones),
    seal: seal ? eightDigits(seal.seal) : "",
    seal_garment: seal?.prize ? localized(seal.prize, "garment") : "",
    seal_of: seal?.prize ? wornText(seal.prize) : "",
    winner: winner ? nameText(winner.name) : "",
    nth: number ? say("Winner {number} of {of}", { number, of: naming.of }) : "",
    winners: sayCount("1 winner", "{count} winners", winnersOf(state.segment)),
    reason: state.segment?.phase === "spoiled" ? spoiled : (state.segment?.reason ?? ""),
    next: state.next ? localized(state.next, "title") : "",
  };
}
