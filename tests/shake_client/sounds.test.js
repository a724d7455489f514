// The scores of the stage's sounds, and that a player is silent until somebody has switched it on.
import assert from "node:assert/strict";
import test from "node:test";
import * as sounds from "../../engagement/static/engagement/sounds.js";

const { Player, SOUNDS, lengthOf, roll } = sounds;
const LONGEST_S = {
  join: 17, sting: 1.6, tick: 0.1, lastTick: 0.3, end: 2.1, lock: 1.5, heartbeat: 1.1, roll: 1.1, hit: 1.7,
};

for (const [name, make] of Object.entries(SOUNDS)) {
  test(`${name} has a score that can be heard, and is over in time`, () => {
    assert.equal(sounds[name], make);
    const score = make();
    assert.ok(score.length > 0 && lengthOf(score) <= LONGEST_S[name], `${lengthOf(score)} s`);
    for (const { at, seconds, from, to = from, gain, wave } of score) {
      assert.ok(at >= 0 && seconds > 0.01 && gain > 0 && gain <= 0.5);
      assert.ok([from, to].every((hertz) => hertz >= 40 && hertz <= 8000));
      assert.ok(["sine", "triangle", "square", "sawtooth", "noise"].includes(wave));
    }
  });
}

test("a roll takes as long as the host holds the breath, and grows", () => {
  for (const seconds of [0.8, 1, 1.5]) {
    const score = roll(seconds);
    assert.ok(Math.abs(lengthOf(score) - seconds) < 0.06);
    assert.ok(score.at(-1).gain > 3 * score[1].gain);
  }
});

test("a tick of the last seconds is another one than those before", () => {
  assert.notDeepEqual(SOUNDS.tick(), SOUNDS.lastTick());
});

/** A context that writes down what starts and stops. */
function fakeContext(log) {
  const param = () => ({
    value: 0, setValueAtTime() {}, linearRampToValueAtTime() {}, exponentialRampToValueAtTime() {},
  });
  const node = (more = {}) => ({ connect: (next) => next, gain: param(), frequency: param(), Q: param(), ...more });
  const source = () => node({ start: (at) => log.push(["start", at]), stop: (at) => log.push(["stop", at]) });
  return {
    currentTime: 5, sampleRate: 100, destination: node(),
    createGain: node, createBiquadFilter: node, createDynamicsCompressor: node,
    createOscillator: source, createBufferSource: source,
    createBuffer: (_, length) => ({ getChannelData: () => new Float32Array(length) }),
    resume: async () => log.push(["resume"]), close: async () => log.push(["close"]),
  };
}

test("nothing sounds, and nothing is made, before somebody has switched it on", () => {
  let made = 0;
  const player = new Player(() => {
    made += 1;
    return fakeContext([]);
  });
  player.play("hit")();
  assert.ok(!player.on && made === 0);
});

test("once it is on, a sound begins when it should, and is stopped by whoever has begun it", async () => {
  const log = [];
  const player = new Player(() => fakeContext(log));
  await player.switchOn();
  await player.switchOn();
  assert.deepEqual(log, [["resume"]]);
  const stop = player.play("tick", 2);
  assert.deepEqual(log.filter(([what]) => what === "start"), [["start", 7], ["start", 7]]);
  const before = log.length;
  stop();
  assert.equal(log.length - before, 2);
  await player.switchOff();
  assert.ok(!player.on && log.at(-1)[0] === "close");
});

test("the bed goes on until it is stopped", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const log = [];
  const player = new Player(() => fakeContext(log));
  await player.switchOn();
  const stop = player.loop("join");
  const once = log.filter(([what]) => what === "start").length;
  t.mock.timers.tick(16_000);
  assert.equal(log.filter(([what]) => what === "start").length, 2 * once);
  stop();
  t.mock.timers.tick(60_000);
  assert.equal(log.filter(([what]) => what === "start").length, 2 * once);
});
