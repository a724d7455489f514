// The sounds of the stage, made by the browser from scores: no file, nothing to load. They belong to the wall alone and
// are off until an operator switches them on there by a click; browsers want one, too.
//
//   const player = new Player();
//   button.onclick = () => player.switchOn();
//   player.play("tick");
//   const stop = player.loop("join");
//
// A score is a list of notes. Nothing is made when this module is imported, so that Node.js can read the scores.

/**
 * @typedef {object} Note
 * @property {number} at seconds from the beginning of the sound
 * @property {number} seconds how long it is heard
 * @property {"sine" | "triangle" | "square" | "sawtooth" | "noise"} wave
 * @property {number} from hertz where it begins; of noise the middle of the band
 * @property {number} [to] hertz where it ends; else it stays
 * @property {number} gain the loudest it gets, of 1
 * @property {number} [attack] seconds until then
 */

/** @typedef {"join" | "sting" | "tick" | "lastTick" | "end" | "lock" | "heartbeat" | "roll" | "hit"} SoundName */

const ATTACK_S = 0.004;
const RELEASE_S = 0.03; // no note ends with a click
const SILENT = 0.0001;
const MASTER = 0.8;

/** Hertz of a key of the piano; 69 is the A of 440. */
const key = (number) => 440 * 2 ** ((number - 69) / 12);

/** @returns {Note} */
const note = (wave, at, seconds, from, gain, more = {}) => ({ wave, at, seconds, from, gain, ...more });

/** While the hall joins: four soft chords, to be looped. @returns {Note[]} */
export function join() {
  const chords = [[45, 57, 64, 67, 71], [41, 57, 60, 64, 72], [48, 55, 64, 67, 74], [43, 55, 59, 62, 71]];
  return chords.flatMap((keys, bar) => [
    ...keys.map((number, voice) => note(voice ? "triangle" : "sine", bar * 4, 4.6, key(number), voice ? 0.05 : 0.11,
      { attack: 1.4 })),
    ...[0, 1, 2, 3].map((beat) => note("sine", bar * 4 + beat, 0.7, key(keys[1 + (beat % 4)] + 24), 0.025)),
  ]);
}

/** A segment is armed: here is what can be won. @returns {Note[]} */
export function sting() {
  return [
    ...[67, 72, 76, 79].map((number, step) => note("triangle", step * 0.09, 0.5, key(number), 0.16)),
    note("sine", 0.36, 1.2, key(55), 0.3), note("triangle", 0.36, 1.2, key(84), 0.1),
  ];
}

/** A second of the countdown. @returns {Note[]} */
export function tick() {
  return [note("sine", 0, 0.07, 1046, 0.3), note("noise", 0, 0.02, 4000, 0.12)];
}

/** The seconds 3, 2 and 1. @returns {Note[]} */
export function lastTick() {
  return [
    note("triangle", 0, 0.16, 1568, 0.32), note("sine", 0, 0.22, 140, 0.5, { to: 60 }),
    note("noise", 0, 0.03, 5000, 0.16),
  ];
}

/** The seal: a bolt, and a small bell that says that it holds. @returns {Note[]} */
export function lock() {
  return [
    note("noise", 0, 0.09, 1200, 0.35), note("square", 0, 0.06, 196, 0.16, { to: 98 }),
    note("sine", 0.12, 0.3, 110, 0.5, { to: 52 }), note("noise", 0.12, 0.12, 500, 0.4),
    note("sine", 0.3, 1.1, key(86), 0.16), note("sine", 0.3, 0.8, key(93), 0.07),
  ];
}

/** One beat of waiting for the beacon, to be looped. @returns {Note[]} */
export function heartbeat() {
  return [
    note("sine", 0, 0.2, 72, 0.5, { to: 48, attack: 0.02 }),
    note("sine", 0.26, 0.22, 66, 0.36, { to: 44, attack: 0.02 }),
    note("sine", 0.9, 0.15, 48, 0.02, { attack: 0.05 }),
  ];
}

/** A drum roll, for the breath before a name. @param {number} [seconds] @returns {Note[]} */
export function roll(seconds = 1) {
  const strokes = Math.round(seconds / 0.045);
  return Array.from({ length: strokes }, (_, stroke) => {
    const grown = 0.25 + 0.75 * ((stroke + 1) / strokes);
    return [
      note("noise", stroke * 0.045, 0.06, 900 + 900 * grown, 0.22 * grown),
      note("sine", stroke * 0.045, 0.06, 150, 0.26 * grown, { to: 110 }),
    ];
  }).flat();
}

/** A name: a bright chord, and a cymbal. @returns {Note[]} */
export function hit() {
  return [
    note("sine", 0, 0.5, 98, 0.5, { to: 49 }),
    ...[60, 67, 72, 76, 79].map((number) => note("sawtooth", 0, 1.5, key(number), 0.055, { attack: 0.01 })),
    ...[84, 88, 91].map((number, step) => note("triangle", step * 0.07, 1.2, key(number), 0.1)),
    note("noise", 0, 1.6, 7000, 0.22),
  ];
}

/** The window is over. @returns {Note[]} */
export function end() {
  return [
    ...[[76, 0], [72, 0.22], [67, 0.44]].map(([number, at]) => note("triangle", at, 0.5, key(number), 0.22)),
    note("sine", 0.66, 1.4, key(48), 0.34), note("triangle", 0.66, 1.4, key(60), 0.12),
    note("triangle", 0.66, 1.4, key(64), 0.09),
  ];
}

/** @type {Record<SoundName, () => Note[]>} */
export const SOUNDS = { join, sting, tick, lastTick, end, lock, heartbeat, roll, hit };

/** Seconds until the last note of a score has ended. @param {Note[]} score */
export function lengthOf(score) {
  return Math.max(0, ...score.map(({ at, seconds }) => at + seconds));
}

/**
 * Writes a score into a context, to begin at one of its times; returns what stops it.
 * @param {BaseAudioContext} context
 * @param {AudioNode} output
 * @param {Note[]} score
 * @param {number} begins
 */
export function schedule(context, output, score, begins) {
  const sources = score.map((one) => voice(context, output, one, begins + one.at));
  return () => sources.forEach((source) => source.stop());
}

function voice(context, output, { wave, from, to = from, seconds, gain, attack = ATTACK_S }, at) {
  const level = context.createGain();
  level.gain.setValueAtTime(SILENT, at);
  level.gain.linearRampToValueAtTime(gain, at + Math.min(attack, seconds / 2));
  level.gain.exponentialRampToValueAtTime(SILENT, at + seconds);
  level.connect(output);
  const source = wave === "noise" ? noise(context, level, from) : tone(context, level, wave, from, to, at, seconds);
  source.start(at);
  source.stop(at + seconds + RELEASE_S);
  return source;
}

function tone(context, level, wave, from, to, at, seconds) {
  const source = context.createOscillator();
  source.type = wave;
  source.frequency.setValueAtTime(from, at);
  if (to !== from) source.frequency.exponentialRampToValueAtTime(to, at + seconds);
  source.connect(level);
  return source;
}

/** @type {WeakMap<BaseAudioContext, AudioBuffer>} */
const noises = new WeakMap();

function noise(context, level, middle) {
  const source = context.createBufferSource();
  source.buffer = noises.get(context) ?? makeNoise(context);
  source.loop = true;
  const band = context.createBiquadFilter();
  band.type = "bandpass";
  band.frequency.value = middle;
  band.Q.value = 0.7;
  source.connect(band).connect(level);
  return source;
}

/** A second of it, the same in every browser. */
function makeNoise(context) {
  const buffer = context.createBuffer(1, context.sampleRate, context.sampleRate);
  let seed = 1;
  buffer.getChannelData(0).forEach((_, at, samples) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    samples[at] = seed / 2 ** 31 - 1;
  });
  noises.set(context, buffer);
  return buffer;
}

/** Plays sounds on a page, once somebody has switched them on there. */
export class Player {
  /** @param {() => AudioContext} [makeContext] */
  constructor(makeContext = () => new AudioContext()) {
    this._makeContext = makeContext;
    /** @type {AudioContext | null} */
    this._context = null;
    /** @type {AudioNode | null} */
    this._output = null;
  }

  /** Whether sounds are heard. */
  get on() {
    return this._context !== null;
  }

  /** To be called in a click: browsers let nothing sound before one. */
  async switchOn() {
    if (this._context !== null) return;
    const context = (this._context = this._makeContext());
    const [level, limit] = [context.createGain(), context.createDynamicsCompressor()];
    level.gain.value = MASTER;
    level.connect(limit).connect(context.destination);
    this._output = level;
    await context.resume();
  }

  /** Everything is silent at once. */
  async switchOff() {
    const context = this._context;
    this._context = this._output = null;
    await context?.close();
  }

  /**
   * Plays a sound `after` so many seconds; returns what stops it. Nothing while sounds are off.
   * @param {SoundName | Note[]} sound
   */
  play(sound, after = 0) {
    if (this._context === null || this._output === null) return () => {};
    const score = typeof sound === "string" ? SOUNDS[sound]() : sound;
    return schedule(this._context, this._output, score, this._context.currentTime + after);
  }

  /**
   * Plays a sound again and again; returns what stops it.
   * @param {SoundName} name
   */
  loop(name) {
    const every = Math.max(1, Math.floor(lengthOf(SOUNDS[name]()))); // the last chord rings into the first
    let stop = this.play(name);
    const timer = setInterval(() => {
      stop = this.play(name);
    }, every * 1000);
    return () => {
      clearInterval(timer);
      stop();
    };
  }
}
