// A phone of the library against a real server that is overloaded, silent, away, or well.
import assert from "node:assert/strict";
import test from "node:test";
import { Phone } from "../../engagement/static/engagement/shake-client.js";
import { gives, isSilent, pause, refuses, serve, state, until, VIEWER, welcome } from "./server.js";

/** A phone, the statuses that it tells, and its server; all of it ends with the test. */
async function scene(t, server = {}, options = {}) {
  const told = [];
  const served = await serve(server);
  const on = { status: (status, detail) => told.push({ status, ...detail }), ...options.on };
  const phone = new Phone({ slug: "gala", base: served.base, feed: "app", ...options, on });
  t.after(() => {
    phone.stop();
    served.stop();
  });
  phone.start();
  return { ...served, phone, told, seen: (status) => until(() => told.find((one) => one.status === status), status) };
}

const greets = (told = state(10), fields = {}) => (say) => say("welcome", welcome(told, fields));

test("a phone says hello with its pass and its feed, and is connected", async (t) => {
  const { seen, all, phone } = await scene(t, { greet: greets() });
  await seen("connected");
  assert.deepEqual(all("hello"), [{ type: "hello", pass: "pass 1", feed: "app" }]);
  assert.deepEqual([phone.viewer, phone.keep.identities[0].pass], [VIEWER, "pass 1"]);
});

test("503 is told as overloaded, and asked again when the server has said", async (t) => {
  const passes = [refuses(503, "overloaded", { "Retry-After": "1" }), gives("pass 2")];
  const { seen, told } = await scene(t, { passes, greet: greets() });
  const { code, waitMs } = await seen("overloaded");
  assert.ok(code === "overloaded" && waitMs >= 1000 && waitMs <= 2000);
  await seen("connected");
  assert.equal(told.some(({ status }) => status === "offline"), false);
});

test("so is a socket that is closed with 4503 or 4429", async (t) => {
  const codes = [4503, 4429];
  const greet = (say, socket) => (codes.length ? socket.close(codes.shift(), "retry=50") : greets()(say));
  const { seen, told } = await scene(t, { greet });
  await seen("connected");
  assert.equal(told.filter(({ status }) => status === "overloaded").length, 2);
});

test("a request that is never answered is told as waiting, and tried again after its deadline", async (t) => {
  const patience = { slowMs: 60, answerMs: 200 };
  const { seen, asked, told } = await scene(t, { passes: [isSilent, gives("pass 1")], greet: greets() }, { patience });
  await seen("waiting");
  await seen("connected");
  assert.equal(asked.length, 2);
  const late = told.findIndex(({ status }) => status === "waiting");
  assert.ok(late < told.findIndex(({ code }) => code === "no_answer"));
});

test("an answer that begins and never ends is given up, too", async (t) => {
  const begins = (response) => response.writeHead(200, { "Content-Length": "100" }).write("{");
  const patience = { slowMs: 60, answerMs: 200 };
  const { seen } = await scene(t, { passes: [begins, gives("pass 1")], greet: greets() }, { patience });
  assert.equal((await seen("waiting")).status, "waiting");
  await seen("connected");
});

test("a server that is not there is told as offline", async (t) => {
  const { base, stop } = await serve();
  stop();
  const told = [];
  const phone = new Phone({ slug: "gala", base, on: { status: (status) => told.push(status) } });
  t.after(() => phone.stop());
  phone.start();
  await until(() => told.includes("offline"));
  assert.deepEqual(told.slice(0, 2), ["connecting", "offline"]);
});

test("a connection that breaks is offline until it is there again", async (t) => {
  const { seen, sockets, told, all } = await scene(t, { greet: greets() });
  await seen("connected");
  sockets[0].terminate();
  await seen("offline");
  await until(() => all("hello").length === 2);
  await until(() => told.at(-1).status === "connected");
});

test("what is refused for good is not asked again", async (t) => {
  const { seen, asked } = await scene(t, { passes: [refuses(403, "no_guests")] });
  assert.equal((await seen("refused")).code, "no_guests");
  await pause(700);
  assert.equal(asked.length, 1);
});

test("a phone that was replaced stays away, and says why", async (t) => {
  const greet = (say, socket) => {
    say("error", { code: "replaced", message: "newer" });
    socket.close(4409);
  };
  const { seen, all } = await scene(t, { greet });
  assert.equal((await seen("refused")).code, "replaced");
  await pause(300);
  assert.equal(all("hello").length, 1);
});

test("a bad pass is renewed with the salt, and the viewer is asked for a code", async (t) => {
  const codes = [];
  const told = { askForCode: async (refusal) => (codes.push(refusal), "123456") };
  const earn = (response) => {
    response.writeHead(403);
    response.end(JSON.stringify({ code: "earn_it", message: "", ways: ["code"] }));
  };
  const passes = [earn, gives("pass 1"), gives("pass 2")];
  const { seen, sockets, asked, all } = await scene(t, { passes, greet: greets() }, { told });
  await seen("connected");
  sockets[0].close(4401);
  await until(() => all("hello").length === 2);
  assert.deepEqual(asked, [{}, { code: "123456" }, { pass: "pass 1", salt: "00".repeat(32) }]);
  assert.deepEqual([codes, all("hello")[1].pass], [[""], "pass 2"]);
});

// --- counting ---

test("shakes are reported until they are acknowledged, and counted is what was acknowledged", async (t) => {
  const { seen, all, say, phone } = await scene(t, { greet: greets(state(10), { total: 7 }) });
  assert.equal(phone.shake(), false); // nothing is known yet
  await seen("connected");
  for (let shakes = 0; shakes < 3; shakes += 1) assert.equal(phone.shake(), true);
  assert.deepEqual([phone.count.own, phone.count.acknowledged], [10, 7]);
  await until(() => all("shakes", { segment: 1, total: 10 }).length === 2);
  assert.deepEqual([phone.count.own, phone.count.acknowledged], [10, 7]);
  say("ack", { segment: 1, total: 10 });
  await until(() => phone.count.acknowledged === 10);
  const reports = all("shakes").length;
  await pause(600);
  assert.equal(all("shakes").length, reports);
});

test("the final total is repeated until the server has said twice that it takes no more than so many", async (t) => {
  const { seen, all, say, phone } = await scene(t, { greet: greets() });
  await seen("connected");
  phone.shake();
  phone.shake();
  const over = { phase: "closing", opens_at: Date.now() - 9_000, closes_at: Date.now() - 10 };
  say("state", state(11, over));
  for (let answers = 1; answers <= 2; answers += 1) {
    await until(() => all("shakes", { total: 2 }).length >= answers);
    await pause(50);
    say("ack", { segment: 1, total: 1 });
  }
  await pause(100);
  const reports = all("shakes").length;
  await pause(900);
  assert.deepEqual([all("shakes").length - reports, phone.count.acknowledged], [0, 1]);
});

test("nothing counts before the window, and a state that is old is dropped", async (t) => {
  const soon = { phase: "armed", opens_at: Date.now() + 60_000, closes_at: Date.now() + 90_000 };
  const { seen, say, phone } = await scene(t, { greet: greets(state(10, soon)) });
  await seen("connected");
  assert.deepEqual([phone.moment(), phone.shake()], ["soon", false]);
  say("state", state(9));
  say("state", state(11, { ...soon, title: "Newer" }));
  await until(() => phone.state.segment.title === "Newer");
});

test("a cue and a name come in place of a state; where a message is missing the state is asked for", async (t) => {
  const { seen, say, phone, all } = await scene(t, { greet: greets() });
  await seen("connected");
  say("cue", { epoch: 5, seq: 11, cue: { kind: "standby" } });
  await until(() => phone.state.cue?.kind === "standby");
  say("cue", { epoch: 5, seq: 11, cue: { kind: "clear" } });
  const winner = (number) => ({ segment: 1, of: 30, winner: { number, prize: 3 }, prize: { id: 3 } });
  const named = (seq, number) => ({ epoch: 5, seq, ...winner(number) });
  for (let number = 1; number <= 21; number += 1) say("named", named(11 + number, number));
  say("named", named(40, 29));
  await until(() => all("resync").length === 1);
  const { naming } = phone.state.segment;
  assert.deepEqual([phone.state.cue.kind, naming.of, naming.named, naming.prizes], ["standby", 30, 21, [{ id: 3 }]]);
  assert.deepEqual([naming.winners.length, naming.winners.at(-1).number], [20, 21]);
});

// --- two tabs ---

test("two tabs get one pass, one of them counts, and both show it", async (t) => {
  const shared = new Map();
  const storage = (other) => ({
    getItem: (key) => shared.get(key) ?? null,
    setItem: (key, value) => (shared.set(key, value), other()?.keep.hear(key)),
    removeItem: (key) => (shared.delete(key), other()?.keep.hear(key)),
    names: () => [...shared.keys()],
  });
  const passes = [gives("pass 1"), gives("pass 2")];
  const first = await scene(t, { passes, greet: greets() }, { storage: storage(() => second?.phone) });
  const { base } = first;
  let second = null;
  second = await scene(t, {}, { storage: storage(() => first.phone), base });
  await first.seen("connected");
  await second.seen("connected");
  assert.deepEqual(first.all("hello").map(({ pass }) => pass), ["pass 1", "pass 1"]);
  assert.deepEqual([first.phone.shake(), second.phone.shake()], [true, false]);
  assert.deepEqual([first.phone.count.own, second.phone.count.own], [1, 1]);
  await until(() => first.all("shakes", { total: 1 }).length >= 2);
  first.say("ack", { segment: 1, total: 1 }, first.sockets[0]);
  await until(() => second.phone.count.acknowledged === 1);
  const other = second.seen("refused");
  first.phone.forget();
  assert.equal((await other).code, "forgotten");
  assert.deepEqual([...shared.keys()], ["shake.gala.forgotten"]);
});
