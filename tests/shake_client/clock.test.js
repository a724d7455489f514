// Server time is elapsed time: what the clock of the device says does not matter.
import assert from "node:assert/strict";
import test from "node:test";
import { readFileSync } from "node:fs";
import {
  Clock, momentOf, namedOf, resultsOf, shownMoment, stageName, unlisted, waitAfter,
} from "../../engagement/static/engagement/shake-client.js";

const T = 1_794_000_000_000; // server time at the beginning

/** A device: `run(ms)` lets time go by, `set(ms)` puts its clock, `sleep(ms)` stops all but its clock. */
function device() {
  const at = { elapsed: 5_000, date: T - 123_456 };
  const clock = new Clock({ elapsed: () => at.elapsed, date: () => at.date });
  const run = (ms) => Object.assign(at, { elapsed: at.elapsed + ms, date: at.date + ms });
  return { at, clock, run, set: (ms) => (at.date += ms), sleep: (ms) => (at.date += ms) };
}

/** A sync whose ways take so long, at this server time. */
const synced = (at, server, there, back) =>
  [{ t0: at.elapsed - there - back, t1: server - back, t2: server - back }, at.elapsed];

test("a clock that is set back by 300 s during the window changes nothing", () => {
  const { clock, run, set, at } = device();
  clock.begin(T);
  clock.learn(...synced(at, T, 20, 20));
  const segment = { phase: "open", opens_at: T + 1_000, closes_at: T + 31_000 };
  run(5_000);
  for (const jump of [-300_000, 600_000, -1]) {
    set(jump);
    assert.equal(clock.now(), T + 5_000);
    assert.equal(momentOf(segment, clock.now()), "open");
  }
  set(-300_000);
  assert.equal(clock.hasSlept(), false);
});

test("of the newest samples the one with the shortest way counts", () => {
  const { clock, run, at } = device();
  clock.begin(T - 400);
  clock.learn(...synced(at, T, 300, 100));
  assert.equal(clock.now(), T + 100);
  clock.learn(...synced(at, T, 10, 10));
  clock.learn(...synced(at, T, 200, 0));
  assert.equal(clock.now(), T);
  for (let place = 0; place < 8; place += 1) {
    run(60_000); // a crystal that is late by 50 ppm: old samples do not hold for ever
    clock.learn(...synced(at, T + (place + 1) * 60_003, 12, 12));
  }
  assert.ok(Math.abs(clock.now() - (T + 480_024)) <= 24);
});

test("after a sleep in which the elapsed time stood still the clock is suspected, and learns anew", () => {
  const { clock, sleep, run, at } = device();
  clock.begin(T);
  clock.learn(...synced(at, T, 10, 10));
  run(1_000);
  assert.equal(clock.hasSlept(), false);
  sleep(30_000);
  assert.equal(clock.hasSlept(), true);
  assert.equal(clock.hasSlept(), false);
  clock.learn(...synced(at, T + 31_000, 40, 40));
  assert.equal(clock.now(), T + 31_000);
});

test("a welcome after a short loss does not spoil what is known better", () => {
  const { clock, at, run } = device();
  clock.begin(T);
  clock.learn(...synced(at, T, 10, 10));
  run(4_000);
  clock.begin(T + 3_700); // it was 300 ms under way
  assert.equal(clock.now(), T + 4_000);
  clock.begin(T + 90_000);
  assert.equal(clock.now(), T + 90_000);
});

test("a phone waits as the table of close codes says", () => {
  const waits = [
    [4400, "", 0, null], [4404, "", 0, null], [4409, "", 0, null], [4413, "", 0, null], [1009, "", 0, null],
    [4429, "retry=3000", 0, 4_500], [4503, "retry=2000", 4, 3_000], [4503, "", 0, 3_000], [1012, "", 5, 2_500],
    [1006, "", 0, 15_000], [4508, "", 0, 15_000], [1006, "", 3, 2_000], [1006, "", 60, 10_000],
    [4401, "", 0, 250], [4408, "", 0, 250],
  ];
  for (const [code, reason, attempt, wait] of waits) {
    const loss = { code, reason, attempt, spreadMs: 30_000, random: () => 0.5 };
    assert.equal(waitAfter(loss), wait, `${code}`);
  }
});

test("a segment has its moments by the clock", () => {
  const segment = { id: 7, phase: "armed", opens_at: T + 20_000, closes_at: T + 50_000 };
  const at = (ms, phase = "armed", more = {}, results = []) =>
    momentOf({ ...segment, phase, ...more }, T + ms, results);
  assert.equal(momentOf(null, T), "idle");
  assert.equal(momentOf({ ...segment, opens_at: null }, T), "armed");
  assert.deepEqual([at(0), at(9_999), at(10_000), at(19_999)], ["soon", "soon", "cue", "cue"]);
  assert.deepEqual([at(20_000), at(49_999), at(50_000)], ["open", "open", "closing"]);
  assert.deepEqual([at(0, "open"), at(60_000, "open"), at(30_000, "closing")], ["soon", "closing", "open"]);
  const waits = { beacon_at: T + 20_000 };
  assert.equal(at(0, "sealed"), "sealed");
  assert.deepEqual([at(4_999, "sealed", waits), at(5_000, "sealed", waits), at(30_000, "sealed", waits)],
    ["sealed", "beacon", "beacon"]);
  for (const phase of ["published", "void", "spoiled"]) assert.equal(at(0, phase), phase);
});

test("a feed behind the studio names and publishes in its own time", () => {
  const at = (ms, phase, winners, shown_at = T + 60_000) => {
    const naming = winners.length ? { of: 2, named: winners.length, winners, prizes: [] } : undefined;
    const results = [{ segment: 7, shown_at }, { segment: 6, shown_at: T + 10 ** 9 }];
    return momentOf({ id: 7, phase, naming }, T + ms, results);
  };
  const [first, last] = [{ at: T + 50_000 }, { at: T + 60_000 }];
  assert.equal(at(0, "drawn", []), "drawn");
  assert.deepEqual([at(48_999, "drawn", [first]), at(49_000, "drawn", [first])], ["drawn", "naming"]);
  const both = [first, last];
  assert.deepEqual([at(48_999, "published", both), at(59_999, "published", both)], ["drawn", "naming"]);
  // The last name stays for a moment, as the others did.
  assert.deepEqual([at(64_999, "published", both), at(65_000, "published", both)], ["naming", "published"]);
  assert.deepEqual([at(60_000, "published", []), at(59_999, "published", [])], ["published", "drawn"]);
  assert.equal(at(60_000, "published", []), "published");
});

const winner = (number, ms) => ({ number, at: T + ms, pseudonym: "ab", name: "Amber Comet 47", prize: 3 });
const naming = (...winners) => ({ of: 2, named: winners.length, winners, prizes: [{ id: 3, size: "M" }] });

test("nobody is named before the time, and the next one is awaited for a second", () => {
  const segment = { id: 7, phase: "drawn", naming: naming(winner(1, 0), winner(2, 9_000)) };
  const named = (ms) => namedOf(segment, T + ms);
  assert.deepEqual(namedOf(null, T), { of: 0, winners: [], awaited: null });
  assert.deepEqual([named(-1).winners, named(-1).awaited], [[], 1]);
  assert.deepEqual(named(0), { of: 2, winners: [{ ...winner(1, 0), prize: { id: 3, size: "M" } }], awaited: null });
  assert.equal(named(8_000).awaited, 2);
  assert.deepEqual(named(9_000).winners.map(({ number }) => number), [1, 2]);
});

test("cleared screens are idle until a window is scheduled or somebody is named", () => {
  const cue = { kind: "clear", at: T };
  const at = (ms, segment, kind = "clear") => shownMoment({ segment, results: [], cue: { ...cue, kind } }, T + ms);
  const over = { id: 7, phase: "published" };
  assert.deepEqual([at(-1, over), at(0, over), at(0, over, "announce")], ["published", "idle", "published"]);
  assert.equal(at(0, { id: 8, phase: "armed", opens_at: null }), "idle");
  assert.equal(at(0, { id: 8, phase: "armed", opens_at: T + 20_000, closes_at: T + 30_000 }), "soon");
  const drawn = { id: 7, phase: "drawn", naming: naming(winner(1, -9_000)) };
  assert.equal(at(0, drawn), "idle");
  assert.equal(at(5_000, { ...drawn, naming: naming(winner(1, -9_000), winner(2, 6_000)) }), "naming");
  assert.equal(shownMoment({ segment: over }, T), "published");
});

test("results name prizes, tell how many winners are not listed, and wait for their time", () => {
  const listed = { winners: [{ pseudonym: "ab", prize: 3 }], winners_total: 4, prizes: [{ id: 3, size: "M" }] };
  const result = { segment: 7, draw: 1, ...listed };
  const [shown] = resultsOf([result, { ...result, segment: 8 }], 7);
  assert.deepEqual(shown.winners[0].prize, { id: 3, size: "M" });
  assert.equal(unlisted([shown]), 3);
  assert.deepEqual(resultsOf([{ ...result, shown_at: T + 1 }], 7, T), []);
  assert.equal(resultsOf([{ ...result, shown_at: T }], 7, T).length, 1);
});

test("a viewer has the name that the server gives", () => {
  const vectors = JSON.parse(readFileSync(new URL("../vectors/names.json", import.meta.url), "utf8"));
  assert.ok(vectors.length > 10);
  for (const [viewer, name] of vectors) assert.equal(stageName(viewer), name);
});
