// The card of the phone page that shows the stub of a segment, offers it as a file, and compares it with the roll.
import { byId, make, setRows, setText, show } from "./dom.js";
import { COMPARED, FAILED, STUBS } from "./phrases.js";
import { fileOf } from "./stubs.js";
import { say, sayCount } from "./words.js";

const PER_SECOND = 2000; // phones of a show that compare by themselves
const LONGEST_MS = 6 * 3600 * 1000;
const AGAIN_MS = 30000;
/** @type {import("./stubs.js").Stubs} */
let stubs;
const shown = { epoch: null, segment: null, draws: [], comparing: "", timer: null, file: "" };

/** What is kept, and the segment that is on the page with its published draws; `phones`: how many there are. */
export function showStub(kept, epoch, segment, results, phones) {
  stubs = kept;
  const draws = results.map((result) => result.draw);
  const changed = shown.epoch !== epoch || shown.segment !== segment || shown.draws.join() !== draws.join();
  Object.assign(shown, { epoch, segment, draws });
  if (changed) plan((1 + Math.random()) * Math.min(LONGEST_MS, (phones * 1000) / PER_SECOND));
  draw();
}

/** All phones hear of the result at once, and must not ask at once. */
function plan(waitMs) {
  clearTimeout(shown.timer);
  const row = stubs.find(shown.epoch, shown.segment);
  const missing = row !== null && shown.draws.some((draw) => !row.verdicts?.[draw]);
  shown.timer = missing ? setTimeout(comparing, waitMs) : null;
}

async function comparing() {
  const { epoch, segment, draws } = shown;
  shown.comparing = say("Comparing with the roll …");
  draw();
  try {
    await stubs.compareAll(epoch, segment, draws);
    shown.comparing = "";
  } catch (error) {
    shown.comparing = say(FAILED, { message: error.message });
    plan((1 + Math.random()) * AGAIN_MS);
  }
  draw();
}

function verdictRow([draw, found]) {
  const tickets = (count) => sayCount("1 ticket", "{count} tickets", count);
  const known = Object.hasOwn(COMPARED, found?.verdict ?? "");
  const values = { draw: String(draw), promised: tickets(found?.promised), tickets: tickets(found?.tickets) };
  const row = make("li", found?.verdict.startsWith("less") ? "broken" : "");
  if (known) row.textContent = say(COMPARED[found.verdict], values);
  return row;
}

function draw() {
  const row = stubs.find(shown.epoch, shown.segment);
  show("stub", row !== null);
  if (row === null) return;
  const state = Object.hasOwn(STUBS, row.state) ? row.state : "wrong";
  byId("stub").dataset.state = state;
  setText("stub-text", say(STUBS[state], { total: row.stub.total }));
  offer(row);
  setRows("stub-verdicts", Object.entries(row.verdicts ?? {}), verdictRow);
  setText("stub-comparing", shown.comparing);
  show("stub-compare", shown.draws.length > 0);
}

/** A file to keep elsewhere: what is in it is enough to complain with. */
function offer({ stub, certificate }) {
  const link = byId("stub-save");
  const file = fileOf(stub, certificate);
  if (shown.file === file) return;
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([file], { type: "application/json" }));
  byId("stub-file").value = file;
  link.download = `stub-${stub.show}-${stub.segment}-${stub.total}.json`;
  shown.file = file;
}

byId("stub-compare").addEventListener("click", comparing);
