// What motion sensors say while people do things, made by formulas; the noise is the same in every run. m/s², s, Hz.

const G = 9.81;

/** Random numbers of 0 to 1 from a seed (mulberry32). */
export function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const noise = (random) => random() + random() + random() + random() - 2; // a spread of 0.58

/** A rotation, as three rows, from three turns. */
function rotation([a, b, c]) {
  const [ca, sa, cb, sb, cc, sc] = [a, b, c].flatMap((turn) => [Math.cos(turn), Math.sin(turn)]);
  return [
    [ca * cb, ca * sb * sc - sa * cc, ca * sb * cc + sa * sc],
    [sa * cb, sa * sb * sc + ca * cc, sa * sb * cc - ca * sc],
    [-sb, cb * sc, cb * cc],
  ];
}

const turned = (rows, vector) => rows.map((row) => row.reduce((sum, part, place) => sum + part * vector[place], 0));

const wave = (t, hz) => Math.sin(2 * Math.PI * hz * t);

/** One push that begins at 0: up within 5 ms, then ringing and dying away. */
const ring = (t, strength, hz, lastsS) => (t < 0 ? 0 : strength * Math.exp(-t / lastsS) * wave(t + 0.25 / hz, hz));

/** What each of these does to a phone, beside gravity, in the room: x to the side, z up; `random` for what varies. */
export const MOVES = {
  shake: ({ hz, strength }) => (t) => [strength * wave(t, hz), 0.1 * strength * wave(t, 2 * hz), 0],
  upAndDown: ({ hz, strength }) => (t) => [0, 0, strength * wave(t, hz)],
  circles: ({ hz, strength }) => (t) => [strength * wave(t, hz), 0, strength * wave(t + 0.25 / hz, hz)],
  /** Each stroke of another length and strength, as people do it. */
  uneven: ({ hz, strength, random }) => {
    let [phase, last, pace, force] = [0, 0, hz, strength];
    return (t) => {
      phase += (t - last) * pace;
      last = t;
      if (phase >= 1) {
        phase -= 1;
        [pace, force] = [hz * (0.85 + 0.3 * random()), strength * (0.8 + 0.4 * random())];
      }
      return [force * Math.sin(2 * Math.PI * phase), 0.2 * force * Math.sin(4 * Math.PI * phase), 0];
    };
  },
  /** A phone in the hand of somebody who walks: two steps a second, heels, and a hand that swings. */
  walking: ({ force = 1 }) => (t) => {
    const heel = ring(((t * 2) % 1) / 2, 4.5, 14, 0.04);
    return [1.2 * wave(t, 1), 0.8 * wave(t, 2), 3 * wave(t, 2) + heel].map((part) => force * part);
  },
  /** An engine, a road, and a hole in it every four seconds. */
  bus: () => (t) => {
    const hole = ring(t % 4 - 1, 7, 9, 0.08);
    return [0.6 * wave(t, 0.7), 0.5 * wave(t, 13), 0.8 * wave(t, 23) + 1.1 * wave(t, 1.6) + hole];
  },
  /** A phone on a table, on which somebody knocks three times in five seconds. */
  knock: () => (t) => [0, 0, [1, 1.4, 3].reduce((sum, at) => sum + ring(t - at, 30, 35, 0.015), 0)],
  /** A phone that is put down hard, every two seconds. */
  putDown: () => (t) => [0, 0, ring(t % 2 - 1, 60, 45, 0.01)],
  still: () => () => [0, 0, 0],
};

/**
 * The events of a phone: `kind` "linear" (both vectors), "null" (no acceleration without gravity) or "zeros" (nothing
 * but zeros there). `turns` is how it is held, `turning` how fast it is turned over meanwhile (radians a second).
 */
export function trace(move, { seconds = 5, rate = 60, kind = "linear", turns = [0, 0, 0], turning = 0, ...how }) {
  const random = dice(1);
  const force = MOVES[move]({ random, ...how });
  const events = [];
  for (let place = 0; place < seconds * rate; place += 1) {
    const t = (place + 0.2 * (random() - 0.5)) / rate; // no sensor is exactly in time
    const held = rotation([turns[0], turns[1] + turning * t, turns[2]]);
    const moved = force(t);
    const [pure, raw] = [moved, moved].map((vector) => vector.map((part) => part + 0.25 * noise(random)));
    raw[2] += G;
    events.push({ t: t * 1000, ...vectors(kind, turned(held, pure), turned(held, raw)) });
  }
  return events;
}

const named = ([x, y, z]) => ({ x, y, z });

function vectors(kind, pure, raw) {
  const acceleration = { linear: named(pure), null: { x: null, y: null, z: null }, zeros: named([0, 0, 0]) }[kind];
  return { acceleration, accelerationIncludingGravity: named(raw) };
}
