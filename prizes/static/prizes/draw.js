// The receipt check on the page of a draw: who this phone is, the two documents, and the verdict in plain words.
import { Keep, request } from "../engagement/shake-client.js";
import { say, sayCount } from "../engagement/words.js";
import { CHIPS, GROUNDS, REASONS, STEPS, TOLD, VERDICTS } from "./phrases.js";
import * as Receipt from "./receipt.js";

const box = document.getElementById("receipt");
const { show, epoch, segment, draw, record, receipt, seal, keys, sealed } = box.dataset;
const byId = (id) => document.getElementById(id);
const DOCUMENT_MS = 60000; // a record may be long, and a network slow
const keep = new Keep(show);
const read = (name) => keep.read(name);

// --- who ---

/** Everybody this phone has been in the show: {pseudonym, uid, salt}. */
async function identities() {
  const found = [];
  const kept = read("identities");
  for (const { pass, salt } of Array.isArray(kept) ? kept.filter((one) => typeof one?.pass === "string") : []) {
    const uid = Receipt.uidOf(pass);
    if (uid === null || !/^[0-9a-f]{64}$/.test(salt)) continue;
    found.push({ uid, salt, pseudonym: await Receipt.pseudonymOf(show, uid, salt) });
  }
  return found;
}

function typed() {
  const [pseudonym, uid, salt] = ["pseudonym", "uid", "salt"].map((id) => byId(id).value.trim().toLowerCase());
  return { pseudonym, uid, salt };
}

/** Whom to check: what was typed, else who is chosen; null for nobody, and where what was typed is of no use. */
async function whom(kept) {
  const { pseudonym, uid, salt } = typed();
  if (pseudonym && !/^[0-9a-f]{28}$/.test(pseudonym)) return null; // a slip must not check somebody else
  if (/^[0-9a-f]{28}$/.test(pseudonym)) return { pseudonym, uid: salt ? uid : "", salt };
  if (uid && salt) return { uid, salt, pseudonym: await Receipt.pseudonymOf(show, uid, salt) };
  return kept[byId("who").selectedIndex] ?? null;
}

// --- what this phone was told, among the grounds of the sentence ---

const FOUND = { equal: "holds", too_few: "holds", uncertified: "lacks", less: "failed", less_uncertified: "failed" };

/** The phone page has compared its signed total with the roll, and kept what it found (stubs.js). */
function drawStub() {
  const row = document.querySelector('[data-ground="stub"]');
  const kept = read("stubs")?.[`${epoch}-${segment}`];
  const found = kept?.verdicts?.[draw]?.verdict;
  if (!row || !Object.hasOwn(FOUND, found ?? "")) return;
  const state = FOUND[found];
  row.dataset.state = state;
  row.querySelector(".chip").textContent = say(CHIPS[state]);
  row.querySelector(".said").textContent = say(GROUNDS[state], { total: kept.stub.total });
}

// --- the documents ---

async function fetchText(address) {
  const answer = await request(address, {}, { answerMs: DOCUMENT_MS });
  if (answer.ok) return answer.text();
  const { code, message } = await answer.json().catch(() => ({ code: "", message: answer.statusText }));
  if (code === "not_published") return null; // the record comes later than the receipt
  throw new Error(message);
}

// With these the ledger itself says that it does not have the entry, or not under that checkpoint (docs/ledger.md).
const LACKS = ["no_checkpoint", "no_proof", "not_public", "not_there_yet"];

/** The entry of the seal in the ledger that this phone keeps; "" where the ledger says that there is none. */
async function sealIn(checkpoint) {
  const size = Number(checkpoint.split("\n")[1]);
  const answer = await request(`/api/shows/${show}/ledger/statements/${sealed}?size=${size}`);
  if (answer.ok) return answer.text();
  const { code, message } = await answer.json().catch(() => ({}));
  if (LACKS.includes(code)) return "";
  throw new Error(message ?? answer.statusText); // which accuses nobody
}

const documents = async (pseudonym) => ({
  // A browser keeps receipts for ever; after a restore there is another seal, and another receipt.
  receipt: await fetchText(`${receipt}${pseudonym}?seal=${seal}`),
  record: await fetchText(record),
});

// --- the verdict ---

function tell(verdict, text) {
  byId("verdict").hidden = false;
  byId("verdict").dataset.verdict = verdict;
  byId("verdict-text").textContent = text;
}

const MARKS = { holds: "✓", failed: "✗", open: "–" };

function drawSteps(steps) {
  const rows = steps.map(({ key, ok, detail }) => {
    const row = document.createElement("li");
    const known = ok === null ? `${key}_open` : key;
    row.className = ok === null ? "open" : ok ? "holds" : "failed";
    row.textContent = `${MARKS[row.className]} ${say(STEPS[known])}${detail ? `: ${detail}` : ""}`;
    return row;
  });
  byId("steps").replaceChildren(...rows);
}

// Who has lost something may want to complain, and needs both documents for it.
const COMPLAINTS = [
  "fraud", "fraud_seal", "fraud_ledger", "fraud_listed", "broken", "skipped", "passed_over", "declined",
  "deadline_passed", "disqualified", "won_in_another_draw",
];

function drawVerdict(result, { pseudonym }, files) {
  const why = result.verdict === "disqualified" ? say(REASONS[result.reason.replaceAll(" ", "_")]) : "";
  const tickets = result.tickets === undefined ? "" : sayCount("1 ticket", "{count} tickets", result.tickets);
  const lines = [say(VERDICTS[result.verdict], { ...result, why, tickets })];
  if (result.moved && result.verdict !== "moved_up") lines.push(say("You had moved up from the reserves."));
  if (result.verdict === "absent") lines.push(...counted(pseudonym, files.record));
  if (result.strength === "rehearsal") lines.push(say(TOLD.rehearsal));
  tell(result.verdict, lines.join("\n"));
  drawSteps(result.steps);
  offer("keep", files.receipt, `receipt-${pseudonym.slice(0, 8)}.json`);
  offer("keep-record", COMPLAINTS.includes(result.verdict) ? files.record : null, "record.json");
}

/** An absent viewer whose phone has counted enough should not be absent. */
function counted(pseudonym, recordText) {
  const count = read("count");
  if (recordText === null || count?.viewer !== pseudonym || count.segment !== Number(segment)) return [];
  const minimum = JSON.parse(recordText).rules.tickets[0][0];
  return count.own >= minimum ? [say(TOLD.counted, { shakes: count.own, minimum })] : [];
}

function offer(id, text, name) {
  const link = byId(id);
  link.hidden = text === null;
  if (text === null) return;
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
}

async function check(kept) {
  byId("steps").replaceChildren();
  tell("working", say("Checking …"));
  const who = await whom(kept);
  if (who === null) return tell("nobody", say(TOLD.nobody));
  const files = await documents(who.pseudonym);
  const seals = read("seals")?.[`${epoch}-${segment}`] ?? null; // of this very draw, not of a namesake
  const checkpoint = sealed ? (read("checkpoints")?.[`${epoch}-${segment}`] ?? "") : "";
  const statement = checkpoint ? await sealIn(checkpoint) : "";
  const given = { ...files, seals, checkpoint, statement, keys: keys.split(" ") };
  const result = await Receipt.check({ showId: show, ...who, ...given });
  offer("keep-checkpoint", checkpoint || null, `checkpoint-${show}-${segment}.txt`);
  return drawVerdict(result, who, files);
}

async function start() {
  box.hidden = false;
  drawStub();
  if (!window.isSecureContext) {
    byId("check").disabled = true;
    return tell("insecure", say(TOLD.insecure));
  }
  const kept = await identities();
  byId("kept").hidden = kept.length === 0;
  byId("by-hand").open = kept.length === 0;
  byId("who").replaceChildren(...kept.map(({ pseudonym }) => new Option(pseudonym)));
  byId("receipt-form").addEventListener("submit", (event) => {
    event.preventDefault();
    check(kept).catch((error) => tell("failed", say(TOLD.failed, { detail: error.message })));
  });
  byId("check").disabled = false;
  return undefined;
}

start();
