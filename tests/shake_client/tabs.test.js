// Several tabs of one browser: they share a storage, each hears what the others write, and one of them counts.
import assert from "node:assert/strict";
import test from "node:test";
import { Counter, Keep, Turn, Wins } from "../../engagement/static/engagement/shake-client.js";

const IDENTITY = { viewer: "ab".repeat(14), salt: "00".repeat(32), pass: "p" };

/** A browser: `tab()` opens one, whose window hears of what other tabs write, as browsers tell it. */
function browser() {
  const [rows, tabs] = [new Map(), []];
  function store(tab) {
    const listening = () => tabs.filter((other) => other !== tab && !other.asleep);
    const tell = (key) => listening().forEach((other) => other.keep.hear(key));
    return {
      getItem: (key) => rows.get(key) ?? null,
      setItem: (key, value) => (rows.set(key, value), tell(key)),
      removeItem: (key) => (rows.delete(key), tell(key)),
      names: () => [...rows.keys()],
    };
  }
  function tab() {
    const opened = { asleep: false, forgotten: 0 };
    opened.keep = new Keep("gala", store(opened));
    opened.keep.onForgotten = () => (opened.forgotten += 1);
    tabs.push(opened);
    return opened;
  }
  return { rows, tab };
}

test("what is forgotten in one tab is written back by no other one", () => {
  const { rows, tab } = browser();
  const [first, second] = [tab(), tab()];
  rows.set("shake.other.pass", "1");
  for (const { keep } of [first, second]) {
    keep.write("pass", { pass: "p" });
    keep.remember(IDENTITY);
  }
  first.keep.forget();
  assert.equal(second.forgotten, 1);
  second.keep.write("pass", { pass: "p" });
  second.keep.remember(IDENTITY);
  first.keep.write("pass", { pass: "p" });
  assert.deepEqual([...rows.keys()].sort(), ["shake.gala.forgotten", "shake.other.pass"]);
  const next = tab(); // loaded anew: somebody else
  next.keep.write("pass", { pass: "q" });
  assert.deepEqual([next.keep.forgotten, next.keep.read("pass"), next.keep.identities], [false, { pass: "q" }, []]);
});

test("a tab that was asleep meanwhile, or quicker than the news, takes back what it has written", () => {
  const { rows, tab } = browser();
  const [first, second] = [tab(), tab()];
  second.asleep = true;
  first.keep.forget();
  rows.set("shake.gala.pass", JSON.stringify({ pass: "p" })); // written before it could see the mark
  second.keep.written.set("pass", JSON.stringify({ pass: "p" }));
  assert.equal(second.keep.isForgotten(), true);
  assert.deepEqual([second.forgotten, rows.has("shake.gala.pass")], [1, false]);
});

test("one of two tabs counts, the one that was looked at last, and the next where that one is gone", () => {
  const { tab } = browser();
  const time = { now: 1_000_000 };
  const [first, second] = [tab(), tab()].map(({ keep }) => new Turn(keep, () => time.now));
  assert.deepEqual([first.isMine(), second.isMine()], [true, false]);
  second.claim();
  assert.deepEqual([first.isMine(), second.isMine()], [false, true]);
  for (time.now = 1_000_000; time.now < 1_010_000; time.now += 500) {
    assert.deepEqual([second.isMine(), first.isMine()], [true, false]); // it is renewed
  }
  time.now += 3_000;
  assert.equal(first.isMine(), true);
  time.now -= 300_000; // somebody has set the clock back
  assert.equal(second.isMine(), true);
});

test("a single tab leaves no trace of turns until it counts", () => {
  const { rows, tab } = browser();
  new Turn(tab().keep).claim();
  assert.equal(rows.size, 0);
});

test("all tabs show the same numbers, and go on from them", () => {
  const { tab } = browser();
  const [first, second] = [tab(), tab()].map(({ keep }) => {
    const count = new Counter(keep);
    keep.onChange = (name) => name === "count" && count.follow();
    count.resume(IDENTITY.viewer, 1, 7, 3);
    return count;
  });
  first.add();
  first.add();
  first.acknowledge({ segment: 7, total: 4 });
  assert.deepEqual([second.own, second.acknowledged], [5, 4]);
  second.add();
  assert.deepEqual([first.own, first.acknowledged], [6, 4]);
});

// --- the count ---

const counter = (rows = browser()) => {
  const count = new Counter(rows.tab().keep);
  count.resume(IDENTITY.viewer, 1, 7, 0);
  return count;
};

test("a count survives a reload, and only the server says what is counted", () => {
  const rows = browser();
  const before = counter(rows);
  for (let shakes = 0; shakes < 9; shakes += 1) before.add();
  before.acknowledge({ segment: 7, total: 6 });
  const after = new Counter(rows.tab().keep);
  after.resume(IDENTITY.viewer, 1, 7, 5); // this gateway has less than was acknowledged: it is reported again
  assert.deepEqual([after.own, after.acknowledged], [9, 5]);
  const third = new Counter(rows.tab().keep);
  third.resume(IDENTITY.viewer, 1, 7, 5);
  third.follow();
  assert.equal(third.acknowledged, 5);
});

test("a count is of one viewer, one segment and one epoch", () => {
  for (const [viewer, epoch, segment] of [["cd".repeat(14), 1, 7], [IDENTITY.viewer, 2, 7], [IDENTITY.viewer, 1, 8]]) {
    const rows = browser();
    const before = counter(rows);
    before.add();
    const after = new Counter(rows.tab().keep);
    after.resume(viewer, epoch, segment, 0);
    assert.equal(after.own, 0);
    before.resume(viewer, epoch, segment, 0);
    assert.equal(before.own, 0);
  }
});

test("the last total of the segment before is not lost, also not by a reload", () => {
  const rows = browser();
  const before = counter(rows);
  before.add();
  before.begin(1, 8);
  assert.deepEqual(before.leftover, { segment: 7, total: 1 });
  const after = new Counter(rows.tab().keep);
  after.resume(IDENTITY.viewer, 1, 8, 0);
  assert.deepEqual(after.leftover, { segment: 7, total: 1 });
  after.add();
  const third = new Counter(rows.tab().keep);
  third.resume(IDENTITY.viewer, 1, 8, 0);
  assert.deepEqual(third.leftover, { segment: 7, total: 1 });
  third.acknowledge({ segment: 7, total: 1 });
  assert.equal(third.leftover, null);
});

test("after a restore nothing of the play before is reported", () => {
  const count = counter();
  count.add();
  count.begin(2, 7);
  assert.deepEqual([count.own, count.acknowledged, count.leftover], [0, 0, null]);
});

test("what else may lie in the storage is passed over", () => {
  for (const text of ["{}", "[null]", "5", '"x"', "[[]]", "nonsense", '[{"pass": 1, "salt": "a"}]']) {
    const { rows, tab } = browser();
    for (const name of ["identities", "seals", "wins", "count", "pass", "turn"]) rows.set(`shake.gala.${name}`, text);
    const { keep } = tab();
    const [count, wins] = [new Counter(keep), new Wins(keep)];
    count.resume(IDENTITY.viewer, 1, 7, 2);
    count.follow();
    wins.enter(1);
    keep.keepSeals(1, { id: 7, seal: "ab" });
    assert.deepEqual([count.own, wins.list, keep.identities, new Turn(keep).isMine()], [2, [], [], true]);
  }
});

test("a full storage, or none, stops nobody", () => {
  const full = { getItem: () => null, removeItem: () => {}, setItem: () => { throw new Error("full"); } };
  const keep = new Keep("gala", full);
  const count = new Counter(keep);
  count.resume(IDENTITY.viewer, 1, 7, 0);
  count.add();
  assert.deepEqual([count.own, new Turn(keep).isMine()], [1, true]);
  keep.forget();
  new Keep("gala").write("pass", 1); // Node.js has no localStorage
});

test("a win is shown once, in its own time, until it is lost or too late", () => {
  const wins = new Wins(browser().tab().keep);
  wins.enter(1);
  const won = { draw: 4, prize: {}, claim_url: "/", claim_by: 2_000, shown_at: 1_000 };
  wins.take(won);
  wins.take(won);
  assert.deepEqual([wins.shown(999).length, wins.shown(1_000).length, wins.shown(2_000).length], [0, 1, 0]);
  wins.take({ ...won, shown_at: 1_500 }); // the result, which waits for the last name
  assert.equal(wins.shown(1_000).length, 1);
  wins.take({ ...won, status: "claimed" });
  assert.equal(wins.shown(2_000).length, 1);
  wins.take({ ...won, status: "lost" });
  assert.equal(wins.has(4), false);
});
