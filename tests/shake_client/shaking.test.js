// What the detector makes of the traces of traces.js: held anyhow, by quick and slow sensors, with and without gravity.
import assert from "node:assert/strict";
import test from "node:test";
import { Motion, SampleReader, ShakeDetector } from "../../engagement/static/engagement/shake-client.js";
import { dice, trace } from "./traces.js";

const random = dice(7);
const HELD = [[0, 0, 0], ...Array.from({ length: 7 }, () => [random() * 6, random() * 6, random() * 6])];
const SENSORS = ["linear", "null", "zeros"].flatMap((kind) => [60, 100].map((rate) => ({ kind, rate })));

/** When strokes were counted, in ms. */
function strokes(events) {
  const [reader, detector] = [new SampleReader(), new ShakeDetector()];
  return events.filter((event) => {
    const sample = reader.read(event, event.t);
    return sample !== null && detector.add(sample);
  }).map(({ t }) => t);
}

/** The fewest and the most that are counted of a move in five seconds, over sensors and ways to hold the phone. */
function counts(move, how = {}) {
  const all = SENSORS.flatMap((sensor) => HELD.map((turns) => trace(move, { ...sensor, turns, ...how })));
  const found = all.map((events) => strokes(events).length);
  return [Math.min(...found), Math.max(...found)];
}

function expect(t, move, how, [least, most]) {
  const [fewest, many] = counts(move, how);
  t.diagnostic(`${move} ${JSON.stringify(how)}: ${fewest} to ${many} in 5 s`);
  assert.ok(fewest >= least && many <= most, `expected ${least} to ${most}, got ${fewest} to ${many}`);
}

for (const strength of [15, 20, 25]) {
  test(`each stroke of a sideways shake of ${strength} m/s² counts, at most 8 a second`, (t) => {
    expect(t, "shake", { hz: 3, strength }, [28, 30]);
    expect(t, "shake", { hz: 4, strength }, [37, 40]);
    expect(t, "shake", { hz: 5, strength }, [38, 40]);
  });
}

test("a slow shake counts, too, and a very fast one no more than 8 a second", (t) => {
  expect(t, "shake", { hz: 1.5, strength: 11 }, [13, 15]);
  expect(t, "shake", { hz: 2, strength: 12 }, [18, 20]);
  expect(t, "shake", { hz: 7, strength: 30 }, [38, 40]);
});

test("up and down, in circles and unevenly is as good as sideways", (t) => {
  expect(t, "upAndDown", { hz: 3, strength: 18 }, [28, 30]);
  expect(t, "circles", { hz: 3, strength: 18 }, [28, 32]);
  expect(t, "uneven", { hz: 3, strength: 18 }, [26, 34]);
  expect(t, "uneven", { hz: 4, strength: 22 }, [34, 40]);
});

test("a walk, a bus, knocks on the table and a phone that lies there count nothing", (t) => {
  for (const move of ["walking", "bus", "knock", "putDown", "still"]) expect(t, move, {}, [0, 0]);
});

test("a brisk walk and a phone that is turned over and over count nearly nothing", (t) => {
  expect(t, "walking", { force: 1.5 }, [0, 2]);
  expect(t, "still", { turning: 3 }, [0, 4]);
});

test("in no second more than 8 are counted", () => {
  const at = strokes(trace("shake", { hz: 6, strength: 30, seconds: 20 }));
  assert.ok(at.length > 140);
  assert.ok(at.every((t, place) => place < 8 || t - at[place - 8] >= 1000));
});

test("the first stroke counts before it is over", () => {
  const events = trace("shake", { hz: 3, strength: 18 });
  assert.ok(strokes(events)[0] < 1000 / 6);
});

test("samples that come twice, late or not at all break nothing", () => {
  const events = trace("shake", { hz: 3, strength: 18, kind: "null" });
  const doubled = events.flatMap((event) => [event, event]);
  assert.equal(strokes(doubled).length, strokes(events).length);
  const asleep = events.map((event) => ({ ...event, t: event.t + (event.t > 2500 ? 60000 : 0) }));
  assert.ok(strokes(asleep).length >= 26);
  const sparse = events.filter((_, place) => place % 4 < 3);
  assert.ok(strokes(sparse).length >= 26);
});

test("a device that measures nothing gives no sample, and one of zeros alone is dead", () => {
  const reader = new SampleReader();
  const nothing = { x: null, y: null, z: null };
  assert.equal(reader.read({ acceleration: nothing, accelerationIncludingGravity: nothing }, 0), null);
  assert.equal(reader.read({}, 0), null);
  for (let t = 0; t < 50; t += 1) reader.read({ acceleration: { x: 0, y: 0, z: 0 } }, t);
  assert.ok(reader.isDead());
});

// --- the sensor of a page ---

/** A page with a sensor, for as long as `work` runs; `said` has the reasons. */
async function onPage({ secure = true, sensor = class {} }, work) {
  const page = new EventTarget();
  const said = [];
  let shaken = 0;
  Object.assign(globalThis, { isSecureContext: secure, window: page });
  if (sensor) globalThis.DeviceMotionEvent = sensor;
  const motion = new Motion({ onShake: () => (shaken += 1), onReason: (reason) => said.push(reason) });
  try {
    await work(motion, page, said);
  } finally {
    for (const name of ["isSecureContext", "window", "DeviceMotionEvent"]) delete globalThis[name];
  }
  return { said, shaken };
}

function moved(page, { t, ...vectors }) {
  const event = Object.defineProperty(new Event("devicemotion"), "timeStamp", { value: t });
  page.dispatchEvent(Object.assign(event, vectors));
}

test("a page says why a viewer has to tap", async () => {
  assert.deepEqual((await onPage({ secure: false }, (motion) => motion.start())).said, ["insecure"]);
  assert.deepEqual((await onPage({ sensor: null }, (motion) => motion.start())).said, ["missing"]);
  const refusing = class { static requestPermission = async () => "denied"; };
  const asked = await onPage({ sensor: refusing }, async (motion) => {
    motion.start();
    await motion.ask();
  });
  assert.deepEqual(asked.said, ["ask", "denied"]);
});

test("a sensor that speaks counts, one that stays silent is told after two seconds", async () => {
  const speaks = await onPage({}, (motion, page) => {
    motion.start();
    for (const event of trace("shake", { hz: 3, strength: 18, kind: "zeros" })) moved(page, event);
    motion.stop();
  });
  assert.deepEqual(speaks.said, ["on"]);
  assert.ok(speaks.shaken >= 28);
  const silent = await onPage({}, async (motion) => {
    motion.start();
    await new Promise((resolve) => setTimeout(resolve, 2100));
  });
  assert.deepEqual(silent.said, ["silent"]);
});
