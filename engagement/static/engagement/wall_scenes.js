// What the screens of a show have to show: the moment, or what the crew has put on them in its place.
import { momentOf, namedOf, resultsOf, shownMoment } from "./shake-client.js";

/** @typedef {Record<string, any>} Message */

const ON_AIR = ["soon", "cue", "open", "closing"];

/**
 * The name of the scene: a moment (`void` stands for `spoiled`, too), or `standby`, `prize` or `announce`, which the
 * crew has put on the screens. A name that is newer than the cue is shown: no phone may be faster than the wall.
 * @param {Message} state @param {number} now
 */
export function sceneOf(state, now) {
  const moment = shownMoment(state, now);
  const cue = state.cue && state.cue.at <= now ? state.cue : { kind: "auto", at: 0 };
  if (cue.kind === "standby") return "standby";
  if (moment === "naming" && newestName(state.segment) > cue.at) return moment;
  if (cue.kind === "prize" && cue.shown) return "prize";
  if (cue.kind === "announce" && state.next && moment !== "armed" && !ON_AIR.includes(moment)) return "announce";
  return moment === "spoiled" ? "void" : moment;
}

const newestName = (segment) => Math.max(...(segment?.naming?.winners ?? []).map(({ at }) => at));

const TURN_MS = 6000;

/** The prizes that a scene is about, the one that is shown now first. @param {Message} state */
export function prizeNow(state, scene, now) {
  if (scene === "prize") return state.cue.shown;
  if (scene === "naming") return namedOf(state.segment, now).winners.at(-1)?.prize ?? null;
  const prizes = state.segment?.prizes ?? [];
  return prizes.length ? prizes[Math.floor(now / TURN_MS) % prizes.length] : null;
}

/** How many of the segment can win: all pieces, or everybody where fewer take part. @param {Message} segment */
export function winnersOf(segment) {
  const pieces = (segment?.prizes ?? []).reduce((sum, prize) => sum + prize.quantity, 0);
  return segment?.naming?.of ?? Math.min(pieces, segment?.entries ?? pieces);
}

/** The first 8 digits of a seal in two groups, as phones show them. @param {string} seal */
export const eightDigits = (seal) => `${seal.slice(0, 4)} ${seal.slice(4, 8)}`;

/** Whether what is shown is a rehearsal: from arming on, and with its result. @param {Message} state */
export function isRehearsal({ segment, results }, now) {
  if (!segment) return false;
  return Boolean(segment.rehearsal) || resultsOf(results, segment.id, now).some((one) => one.strength === "rehearsal");
}

/** Until when the moment counts down: the window's beginning or end, the beacon's round. @param {Message} state */
export function countsTo({ segment, results }, now) {
  const moment = momentOf(segment, now, results);
  const ends = { soon: "opens_at", cue: "opens_at", open: "closes_at", beacon: "beacon_at" };
  return moment in ends ? segment[ends[moment]] : null;
}

/** The address of a picture that fills so many pixels of width. @param {Message | undefined} picture */
export function pictureAddress(picture, pixels) {
  if (!picture) return "";
  const [width] = picture.sizes.find(([wide]) => wide >= pixels) ?? picture.sizes.at(-1);
  return `${picture.base}${width}.webp`;
}
