// Checks the receipt of one viewer against the record of the draw, on the viewer's own device: docs/draw.md, sections 2
// to 7. It asks nobody, and believes neither document.
import { leafHash, rootFrom } from "../engagement/merkle.js";

const RUN_ENTRIES = 256;
const ENTRY_BYTES = 16;
const NAME_DIGITS = 28;
const NO_CUTOFF = "ff".repeat(16);
const QUICKNET = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971";

/** A document does not say what it should; `key` names the step. */
class Broken extends Error {
  constructor(key, message) {
    super(message);
    this.key = key;
  }
}

function require(key, holds, message) {
  if (!holds) throw new Broken(key, message);
}

const equal = (key, what, expected, found) =>
  require(key, expected === found, `${what}: expected ${expected}, got ${found}`);

// --- bytes ---

const ascii = (text) => new TextEncoder().encode(text);
const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function fromHex(key, hex, digits = null) {
  const good = typeof hex === "string" && /^([0-9a-f]{2})*$/.test(hex) && (digits === null || hex.length === digits);
  require(key, good, `expected ${digits ?? "some"} hex digits, got ${String(hex).slice(0, 40)}`);
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function bigEndian(number, length) {
  const hex = BigInt(number).toString(16).padStart(2 * length, "0");
  return Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
}

function join(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));

const V1 = "shake-draw/v1";
const V2 = "shake-draw/v2";

/** TH of the specification, as hex; what the second version has left as it was keeps the tag of the first. */
const taggedHash = (tag, ...fields) => versionHash(V1, tag, ...fields);

async function versionHash(version, tag, ...fields) {
  const name = ascii(`${version}/${tag}`);
  const framed = fields.flatMap((field) => [bigEndian(field.length, 4), field]);
  return toHex(await sha256(bigEndian(name.length, 2), name, ...framed));
}

/** Canonical JSON; JSON.stringify escapes as the specification does. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${members.join(",")}}`;
}

function parse(key, text, formats) {
  let value = null;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Broken(key, "this is not JSON");
  }
  require(key, canonical(value) === text, "expected canonical JSON, got another form");
  require(key, formats.includes(value?.$format), `expected a format of ${formats}, got ${value?.$format}`);
  return value;
}

// --- who ---

/** The uid in a pass, as text: guests have numbers that JavaScript cannot hold. */
export function uidOf(pass) {
  const packed = String(pass).split(":")[0].replaceAll("-", "+").replaceAll("_", "/");
  try {
    // ["show", uid, until when], and of a guest how it was earned behind that.
    return /^\["[^"\\]*",(\d+),\d+[,\]]/.exec(atob(packed))?.[1] ?? null;
  } catch {
    return null;
  }
}

export async function pseudonymOf(showId, uid, salt) {
  require("who", /^\d{1,20}$/.test(uid) && BigInt(uid) < 2n ** 64n, "expected a number below 2^64");
  const digest = await taggedHash("pseudonym", ascii(showId), bigEndian(uid, 8), fromHex("who", salt, 64));
  return digest.slice(0, NAME_DIGITS);
}

// --- the roll ---

function readHeader(hex) {
  const bytes = fromHex("roll", hex, 128);
  const view = new DataView(bytes.buffer);
  equal("roll", "magic", toHex(ascii("SHKROLL1")), hex.slice(0, 16));
  equal("roll", "layout", "0010" + "00000100", hex.slice(116));
  const [entries, tickets] = [view.getBigUint64(8), view.getBigUint64(16)].map(Number);
  return { bytes, entries, tickets, rulesDigest: hex.slice(48, 112), tmax: view.getUint16(56) };
}

async function checkRoll(receipt) {
  const header = readHeader(receipt.roll?.header);
  const root = fromHex("roll", receipt.roll.root, 64);
  equal("roll", "digest of the roll", await taggedHash("roll", header.bytes, root), receipt.roll.digest);
  equal("roll", "rules", header.rulesDigest, receipt.rules_digest);
  return header;
}

/** Whether a proof leads to this root, in hex. */
export async function leadsTo(root, leaf, index, size, siblings) {
  const found = await rootFrom(leaf, index, size, siblings);
  return found !== null && toHex(found) === root;
}

/** The entries of a run that is in the roll: [{index, name, tickets}]. */
async function readRun(run, header, root) {
  const leaves = Math.ceil(header.entries / RUN_ENTRIES);
  const there = Number.isSafeInteger(run.leaf) && run.leaf >= 0 && run.leaf < leaves;
  require("proof", there, `there is no run ${run.leaf}`);
  const first = run.leaf * RUN_ENTRIES;
  const count = Math.min(RUN_ENTRIES, header.entries - first);
  const data = fromHex("proof", run.data, 2 * ENTRY_BYTES * count);
  require("proof", Array.isArray(run.siblings), "expected siblings");
  const siblings = run.siblings.map((sibling) => fromHex("proof", sibling, 64));
  const holds = await leadsTo(root, await leafHash(data), run.leaf, leaves, siblings);
  require("proof", holds, `run ${run.leaf} is not in the roll with the root ${root}`);
  return run.data.match(/.{32}/g).map((entry, place) => ({
    index: first + place,
    name: entry.slice(0, NAME_DIGITS),
    tickets: parseInt(entry.slice(NAME_DIGITS), 16),
  }));
}

/** What the runs prove of this viewer: the entry, or null for absent. */
async function checkEntry(receipt, header) {
  require("proof", Array.isArray(receipt.runs) && receipt.runs.length <= 2, "expected at most two runs");
  const entries = [];
  for (const run of receipt.runs) entries.push(...(await readRun(run, header, receipt.roll.root)));
  const sorted = entries.every((entry, place) => place === 0 || entries[place - 1].name < entry.name);
  require("proof", sorted, "expected entries in order");
  const found = entries.find((entry) => entry.name === receipt.pseudonym) ?? null;
  if (receipt.entry === null) {
    require("proof", found === null && isGap(entries, receipt.pseudonym, header.entries), "absence is not proven");
    return null;
  }
  const same = found !== null && found.index === receipt.entry.index && found.tickets === receipt.entry.tickets;
  require("proof", same, "the entry is not where the receipt says");
  require("proof", found.tickets >= 1 && found.tickets <= header.tmax, `got ${found.tickets} tickets`);
  return found;
}

/** Whether nobody can stand in the roll where this pseudonym would. */
function isGap(entries, pseudonym, count) {
  const before = entries.filter((entry) => entry.name < pseudonym).at(-1)?.index ?? -1;
  const after = entries.find((entry) => entry.name > pseudonym)?.index ?? count;
  return after === before + 1;
}

// --- the record ---

const versionOf = ({ $format }) => $format.replace("/receipt", "");

const without = (value, ...names) =>
  Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));

async function checkRecord(text, receipt) {
  const version = versionOf(receipt);
  const record = parse("record", text, [version]);
  const { digest, ...rest } = record;
  const made = await versionHash(version, "record", ascii(canonical(without(rest, "log", "signature"))));
  equal("record", "digest of the record", made, digest);
  const rules = await versionHash(version, "rules", ascii(canonical(record.rules)));
  equal("record", "rules", rules, record.rules_digest);
  equal("same", "draw", record.rules.draw_id, receipt.draw_id);
  equal("same", "rules", record.rules_digest, receipt.rules_digest);
  for (const name of ["header", "root", "digest"]) equal("same", name, record.roll[name], receipt.roll[name]);
  equal("same", "seal", record.seal.digest, receipt.seal);
  return record;
}

async function checkSeal(record) {
  const secrets = [];
  for (const { name, commitment } of record.rules.parties) {
    const { secret } = record.reveals[name];
    secrets.push(fromHex("seal", secret, secret === "" ? 0 : 64));
    if (secret === "") continue;
    const made = await taggedHash("commit", ascii(record.rules.draw_id), ascii(name), secrets.at(-1));
    equal("seal", `commitment of ${name}`, commitment, made);
  }
  const later = record.$format === V1 ? [] : [record.roll.totals_digest, await priorOf(record), record.seal.previous];
  const digests = [record.rules_digest, record.roll.digest, ...later].map((hex) => fromHex("seal", hex, 64));
  const fields = [ascii(record.rules.draw_id), ...digests, bigEndian(record.seal.round, 8), ...secrets];
  equal("seal", "seal", await versionHash(record.$format, "seal", ...fields), record.seal.digest);
}

/** The digest of the wins that the seal fixes; those of pending draws came later. */
function priorOf({ pending, prior_wins }) {
  const wins = prior_wins.filter((win) => !pending.includes(win.draw_id));
  return versionHash(V2, "prior", ascii(canonical({ wins, pending })));
}

// --- the organiser's signature (docs/ledger.md, "Formats") ---

const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/**
 * Whether one of these keys has signed the text of a note: true or false, or null where this browser cannot tell.
 * A key is name+id+base64 of its kind and 32 bytes, a signature line the name and base64 of 4 bytes of id and 64.
 */
async function isSigned(note, text, keys) {
  const [signed, lines] = [note.slice(0, note.lastIndexOf("\n\n") + 1), note.slice(note.lastIndexOf("\n\n") + 2)];
  if (signed !== text) return false;
  for (const key of keys) {
    const [name, , ...encoded] = key.split("+"); // base64 has that sign, too
    const line = lines.split("\n").find((other) => other.startsWith(`— ${name} `));
    if (line === undefined) continue;
    const own = await importKey(fromBase64(encoded.join("+")).slice(1));
    if (own === null) return null;
    const signature = fromBase64(line.slice(`— ${name} `.length)).slice(4);
    if (await crypto.subtle.verify("Ed25519", own, signature, ascii(text))) return true;
  }
  return false;
}

async function importKey(bytes) {
  try {
    return await crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]);
  } catch {
    return null; // browsers know Ed25519 since about 2025
  }
}

async function receiptText(receipt) {
  const digest = await versionHash(V2, "receipt", ascii(canonical(without(receipt, "signature"))));
  return `${V2}/receipt\n${receipt.draw_id}\n${digest}\n`;
}

const recordText = (record) => `${V2}/record\n${record.rules.draw_id}\n${record.digest}\n`;

/** Throws where a document is not the organiser's; false where that cannot be told here. */
async function checkSignatures(receipt, record, keys) {
  if (versionOf(receipt) === V1) return false;
  const found = [await isSigned(receipt.signature, await receiptText(receipt), keys)];
  if (record !== null) found.push(await isSigned(record.signature, recordText(record), keys));
  require("signature", !found.includes(false), "receipt or record is not signed with the organiser's key");
  return !found.includes(null);
}

// --- the ledger that this phone was shown with the seal (docs/ledger.md, "Formats") ---

const LEDGER = "shake-ledger/v2";

/** Whether the kept checkpoint has this seal, by the statement of the entry; false where no signature is checked. */
async function checkLedger({ seal, draw_id }, checkpoint, statement, keys) {
  const text = checkpoint.slice(0, checkpoint.lastIndexOf("\n\n") + 1);
  const [, size, root] = text.split("\n");
  const signed = await isSigned(checkpoint, text, keys);
  require("format", signed !== false, "the checkpoint that this phone keeps is not signed with the organiser's key");
  require("ledger", statement !== "", `the server shows no entry of the seal among the first ${size}`);
  const { entry, previous, proof } = parse("format", statement, [`${LEDGER}/statement`]);
  const digest = await versionHash(LEDGER, "entry", fromHex("ledger", previous, 64), ascii(canonical(entry)));
  const leaf = await leafHash(fromHex("ledger", digest, 64));
  const siblings = proof.map((sibling) => fromHex("ledger", sibling, 64));
  const holds = await leadsTo(toHex(fromBase64(root)), leaf, entry.position, Number(size), siblings);
  require("ledger", holds, "the entry of the seal is not in the ledger that this phone was shown");
  equal("ledger", "action", "seal", entry.action);
  equal("ledger", "draw", draw_id, entry.details.draw);
  equal("ledger", "seal", seal, entry.details.seal);
  return signed !== null;
}

/** The key of the draw; whether drand's signature is drand's is for the verifier to say. */
async function checkKey(record) {
  const { kind, id, value, proof } = record.beacon;
  equal("beacon", "kind", record.rules.beacon.kind, kind);
  equal("beacon", "id", kind === "drand" ? QUICKNET : await taggedHash("beacon", ascii(kind)), id);
  if (kind !== "local") {
    const source = kind === "drand" ? fromHex("beacon", proof.signature, 96) : ascii(proof.digits);
    equal("beacon", "value", toHex(await sha256(source)), value);
    const throws = record.rules.beacon.throws ?? 0; // the first version promised no number
    if (kind === "dice" && throws > 0) equal("beacon", "throws", throws, proof.digits.length);
  }
  const key = await taggedHash("key", ...[record.seal.digest, id, value].map((hex) => fromHex("beacon", hex, 64)));
  equal("beacon", "key", key, record.key);
  return key;
}

/** Scores are the keystream of AES-256-CTR from the counter p14 || 0000: the smallest, and its ticket. */
async function bestScore(key, pseudonym, tickets) {
  const cipher = await crypto.subtle.importKey("raw", fromHex("score", key, 64), "AES-CTR", false, ["encrypt"]);
  const counter = fromHex("score", `${pseudonym}0000`, 32);
  const zeros = new Uint8Array(ENTRY_BYTES * tickets);
  const bytes = await crypto.subtle.encrypt({ name: "AES-CTR", counter, length: 16 }, cipher, zeros);
  const stream = toHex(new Uint8Array(bytes));
  const scores = stream.match(/.{32}/g);
  const score = scores.reduce((best, other) => (other < best ? other : best));
  return { score, ticket: scores.indexOf(score) };
}

/** Who takes the prizes by the ranking as it is listed. */
function checkRanking({ ranked, rules, prior_wins, winners, reserves, cutoff }) {
  ranked.forEach((row, place) => {
    require("ranking", place === 0 || ranked[place - 1].score < row.score, `rank ${place + 1} is out of order`);
    equal("ranking", "rank", place + 1, row.rank);
    const prior = prior_wins.find((win) => win.pseudonym === row.pseudonym);
    equal("ranking", "earlier win", prior?.draw_id ?? "", row.won);
  });
  const takers = ranked.filter((row) => row.won === "");
  const complete = takers.length === rules.winners + rules.reserves;
  const allowed = complete || takers.length < rules.winners + rules.reserves;
  require("ranking", allowed, "more are taken than the rules allow");
  equal("ranking", "cutoff", complete ? ranked.at(-1).score : NO_CUTOFF, cutoff);
  const won = takers.slice(0, rules.winners);
  const listed = won.map(({ pseudonym, rank }, place) => ({ pseudonym, prize: rules.prizes[place].id, rank }));
  require("ranking", canonical(listed) === canonical(winners), "the winners are not the first of the ranking");
  const inLine = takers.slice(rules.winners).map(({ rank, pseudonym }) => ({ rank, pseudonym }));
  require("ranking", canonical(inLine) === canonical(reserves), "the reserves are not the next of the ranking");
}

/** A score that somebody invented for a friend. */
async function checkScores({ ranked, key }) {
  for (const row of ranked) {
    const { score, ticket } = await bestScore(key, row.pseudonym, row.tickets);
    equal("ranking", `score of rank ${row.rank}`, score, row.score);
    equal("ranking", `ticket of rank ${row.rank}`, ticket, row.ticket);
  }
}

// --- what became of the prizes (section 7) ---

const REASONS = {
  claimed: [""],
  forfeited: ["declined", "deadline passed", "won in another draw"],
  disqualified: ["staff or family", "under age", "outside the territory", "false identity", "second account"],
  won: ["moved up"],
  skipped: ["won in another draw"],
};

/** Replays the dispositions. `holders` maps a prize to {name, since}, `told` a viewer to the last row about them. */
function checkDispositions(record) {
  const standing = {
    holders: new Map(
      record.winners.map(({ prize, pseudonym }) => [prize, { name: pseudonym, since: record.seal.time }]),
    ),
    reserves: record.reserves.map(({ pseudonym }) => pseudonym),
    claimed: new Set(),
    free: new Set(),
    movedUp: new Set(),
    told: new Map(),
  };
  let ledger = Math.max(record.precommitment.ledger, ...Object.values(record.ledger));
  record.dispositions.forEach((row, place) => {
    const check = (holds, message) => require("dispositions", holds, `row ${place + 1}, ${row.status}: ${message}`);
    check(row.ledger > ledger, `expected a position in the ledger after ${ledger}, got ${row.ledger}`);
    const known = Object.hasOwn(REASONS, row.status) && REASONS[row.status].includes(row.reason);
    check(known, `got the reason "${row.reason}"`);
    const change = row.status === "won" || row.status === "skipped" ? useReserve : changeHolding;
    change(standing, row, check, record.rules.claim_s * 1000);
    standing.told.set(row.pseudonym, row);
    ledger = row.ledger;
  });
  return standing;
}

function useReserve({ reserves, free, holders, movedUp }, row, check) {
  check(free.size > 0, "no prize is free");
  check(reserves.shift() === row.pseudonym, `${row.pseudonym} is not the next reserve`);
  if (row.status === "skipped") return check(row.prize === "", `expected no prize, got ${row.prize}`);
  check(free.delete(row.prize), `the prize ${row.prize} is not free`);
  holders.set(row.prize, { name: row.pseudonym, since: row.time });
  movedUp.add(row.pseudonym);
  return undefined;
}

function changeHolding({ holders, claimed, free }, row, check, claimMs) {
  const holder = holders.get(row.prize);
  check(holder?.name === row.pseudonym, `${row.pseudonym} does not hold the prize ${row.prize}`);
  check(row.status === "disqualified" || !claimed.has(row.prize), `the prize ${row.prize} is claimed already`);
  if (row.status === "claimed") return claimed.add(row.prize);
  // To the second: deadline and disposition are written by different ticks of a clock.
  const early = row.reason === "deadline passed" && row.time < holder.since + claimMs - 1000;
  check(!early, `the deadline was not over at ${row.time}`);
  holders.delete(row.prize);
  claimed.delete(row.prize);
  return free.add(row.prize);
}

/** What a viewer who was taken has of it now: {verdict, prize, place, left, moved}. */
function standingOf({ holders, reserves, claimed, movedUp, told }, name, prizes) {
  const moved = movedUp.has(name);
  const titleOf = (id) => prizes.find((prize) => prize.id === id)?.title;
  for (const [id, holder] of holders) {
    if (holder.name !== name) continue;
    const unclaimed = moved ? "moved_up" : "won";
    return { verdict: claimed.has(id) ? "claimed" : unclaimed, prize: titleOf(id), moved };
  }
  if (reserves.includes(name)) {
    return { verdict: "reserve", place: reserves.indexOf(name) + 1, left: reserves.length };
  }
  const { status, reason, prize } = told.get(name);
  if (status === "skipped") return { verdict: "passed_over" };
  const verdict = status === "disqualified" ? status : reason.replaceAll(" ", "_");
  return { verdict, prize: titleOf(prize), reason, moved };
}

// --- the verdict ---

/** Whether the record lists an entry as it must: not at all where its score is beyond the cutoff. */
function isListedAs(row, { score, ticket, tickets, index }, cutoff) {
  if (row === undefined) return score > cutoff;
  return row.score === score && row.ticket === ticket && row.tickets === tickets && row.index === index;
}

/** What the record makes of an entry of the roll: {verdict, ...values}; "taken" is who won or is in reserve. */
async function judge(record, entry) {
  checkRanking(record);
  const { score, ticket } = await bestScore(record.key, entry.name, entry.tickets);
  const own = { tickets: entry.tickets, score, cutoff: record.cutoff };
  const row = record.ranked.find((other) => other.pseudonym === entry.name);
  if (!isListedAs(row, { ...entry, score, ticket }, record.cutoff)) return { verdict: "fraud", ...own };
  await checkScores(record);
  if (row === undefined) return { verdict: "lost", ...own };
  if (row.won !== "") return { verdict: "skipped", rank: row.rank, draw: row.won, ...own };
  return { verdict: "taken", rank: row.rank, ...own };
}

/** Nobody is ranked who is not in the roll. */
function judgeAbsent(record, pseudonym) {
  const listed = record.ranked.some((row) => row.pseudonym === pseudonym);
  return { verdict: listed ? "fraud_listed" : "absent" };
}

/**
 * Checks everything, step by step. `record` is null before it is published; `seals` are those that this phone was
 * shown, or null; `checkpoint` is the ledger that it was shown with them, or "", and `statement` what the server says
 * of the seal in it; `uid` and `salt` may be ""; `keys` are the organiser's. Returns
 * {verdict, steps: [{key, ok, detail}], ...values}; `ok` is null for what could not be checked.
 */
export async function check(given) {
  const steps = [];
  const step = async (key, work) => {
    const result = await work();
    steps.push({ key, ok: result === false ? null : true, detail: "" });
    return result;
  };
  try {
    return { steps, ...(await run(step, given)) };
  } catch (error) {
    // A document may lack anything: what fails is a failed step, not an error of the page.
    const key = error instanceof Broken ? error.key : "format";
    steps.push({ key, ok: false, detail: error.message });
    const verdicts = { who: "mismatch", seen: "fraud_seal", ledger: "fraud_ledger" };
    return { steps, verdict: verdicts[key] ?? "broken", detail: error.message };
  }
}

async function run(step, given) {
  const { showId, pseudonym, uid, salt, receipt: text, record: whole, seals, checkpoint, statement, keys } = given;
  if (uid !== "") {
    await step("who", async () => equal("who", "pseudonym", await pseudonymOf(showId, uid, salt), pseudonym));
  }
  const receipt = await step("receipt", () => {
    const parsed = parse("receipt", text, [`${V1}/receipt`, `${V2}/receipt`]);
    equal("receipt", "pseudonym", pseudonym, parsed.pseudonym);
    return parsed;
  });
  const header = await step("roll", () => checkRoll(receipt));
  const entry = await step("proof", () => checkEntry(receipt, header));
  if (seals) await step("seen", () => require("seen", seals.includes(receipt.seal), `this phone was shown ${seals}`));
  if (checkpoint) await step("ledger", () => checkLedger(receipt, checkpoint, statement, keys));
  const record = whole === null ? null : await step("record", () => checkRecord(whole, receipt));
  await step("signature", () => checkSignatures(receipt, record, keys));
  const open = receipt.seal === "" ? "spoiled" : "sealed";
  if (record === null) return { verdict: entry ? open : "absent", tickets: entry?.tickets };
  await step("seal", () => checkSeal(record));
  await step("beacon", () => checkKey(record));
  const judged = await step("ranking", () => (entry ? judge(record, entry) : judgeAbsent(record, pseudonym)));
  // A proof of fraud stands whatever became of the prizes.
  const fraud = judged.verdict.startsWith("fraud");
  const standing = fraud ? null : await step("dispositions", () => checkDispositions(record));
  const now = judged.verdict === "taken" ? standingOf(standing, pseudonym, record.rules.prizes) : {};
  return { ...judged, ...now, strength: record.beacon.strength };
}
