// What this phone was told is counted, signed by the gateway that told it: docs/protocol.md, "Stubs". Checked, kept,
// and compared with the roll once the draw is published.
import { leafHash, rootFrom } from "./merkle.js";
import { request } from "./shake-client.js";

const FORMAT = "shake-stub/v1";
const LEAF = ["at", "blind", "gateway", "pseudonym", "segment", "show", "total"];
const FIELDS = ["$format", ...LEAF, "index", "proof", "signature", "size"].sort();
const MOST = 30; // segments that are remembered
// Points of small order, without their sign: under such a key anybody can sign.
const WEAK = new Set([
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
]);

// --- bytes ---

const utf8 = (text) => new TextEncoder().encode(text);
const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function fromHex(hex, digits) {
  if (typeof hex !== "string" || hex.length !== digits || !/^[0-9a-f]*$/.test(hex)) throw new Error("not hex");
  return Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
}

function bigEndian(number, length) {
  return Uint8Array.from({ length }, (_, place) => Math.floor(number / 256 ** (length - 1 - place)) % 256);
}

async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer()));
}

function taggedHash(tag, ...fields) {
  const name = utf8(`${FORMAT}/${tag}`);
  const framed = fields.flatMap((field) => [bigEndian(field.length, 4), field]);
  return sha256(bigEndian(name.length, 2), name, ...framed);
}

/** Canonical JSON of these members, whose values are texts, integers and lists of texts. */
function canonical(object, names) {
  const members = [...names].sort().map((name) => `${JSON.stringify(name)}:${JSON.stringify(object[name])}`);
  return `{${members.join(",")}}`;
}

/** What a phone keeps: the stub, with the ledger's statement of the gateway's key where it is known. */
export function fileOf(stub, certificate) {
  const alone = canonical(stub, FIELDS);
  return certificate ? `{"$format":"${FORMAT}/kept","gateway_key":${certificate},"stub":${alone}}` : alone;
}

// --- checking ---

async function rootOf(stub) {
  const leaf = await leafHash(await taggedHash("leaf", utf8(canonical(stub, LEAF))));
  return rootFrom(leaf, stub.index, stub.size, stub.proof.map((hex) => fromHex(hex, 64)));
}

/** The gateway's public key for WebCrypto, or null where this browser has no Ed25519, or no cryptography at all. */
async function importKey(key) {
  try {
    return await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return null;
  }
}

const isWeak = (key) => WEAK.has(toHex([...key.slice(0, 31), key[31] & 0x7f]));

/** "checked", "kept" where this browser cannot check it, or "wrong". */
export async function check({ key: hex, stub }, { show, segment, viewer }) {
  const mine = stub.show === show && stub.pseudonym === viewer && stub.segment.split("-")[0] === String(segment);
  const whole = stub.$format === FORMAT && Object.keys(stub).sort().join() === FIELDS.join();
  if (!mine || !whole) return "wrong";
  if (!globalThis.crypto?.subtle) return "kept";
  const key = fromHex(hex, 64);
  const imported = await importKey(key);
  if (imported === null) return "kept";
  const root = await rootOf(stub);
  if (root === null || stub.index >= stub.size || isWeak(key)) return "wrong";
  const message = await taggedHash("batch", key, root, bigEndian(stub.size, 4));
  const signature = fromHex(stub.signature, 128);
  return (await crypto.subtle.verify("Ed25519", imported, signature, message)) ? "checked" : "wrong";
}

// --- keeping: `${epoch}-${segment}` -> {key, stub, state, certificate, verdicts: {draw: verdict}} ---

/** What a phone keeps of each segment, in the storage of its show. */
export class Stubs {
  /** @param {import("./shake-client.js").Keep} keep */
  constructor(keep) {
    this.keep = keep;
  }

  all() {
    const found = this.keep.read("stubs");
    return found !== null && typeof found === "object" && !Array.isArray(found) ? found : {};
  }

  save(name, row) {
    const { [name]: _, ...others } = this.all();
    this.keep.write("stubs", Object.fromEntries([...Object.entries(others), [name, row]].slice(-MOST)));
  }

  /** What is kept of a segment, or null; something else may lie in the storage. */
  find(epoch, segment) {
    const row = this.all()[`${epoch}-${segment}`];
    return Number.isInteger(row?.stub?.total) && typeof row.stub.pseudonym === "string" ? row : null;
  }

  /** Takes a `stub` message; false where a better one is there already. */
  async take(epoch, { segment, key, stub }, who) {
    const known = this.find(epoch, segment);
    const good = known !== null && known.state !== "wrong" && known.stub.pseudonym === who.viewer;
    if (good && known.stub.total >= stub.total) return false;
    const state = await check({ key, stub }, { ...who, segment }).catch(() => "wrong");
    if (good && state === "wrong") return false; // what can be proven is not given away for what cannot
    this.save(`${epoch}-${segment}`, { key, stub, state, verdicts: {} });
    return true;
  }

  /** Compares what is kept of a segment with each of its draws, and keeps what came of it. */
  async compareAll(epoch, segment, draws) {
    for (const draw of draws) {
      const row = this.find(epoch, segment);
      if (row === null) return;
      const { certificate, found } = await compare(draw, row);
      if (this.find(epoch, segment)?.stub.signature !== row.stub.signature) return; // another one has come meanwhile
      this.save(`${epoch}-${segment}`, { ...row, certificate, verdicts: { ...row.verdicts, [draw]: found } });
    }
  }
}

// --- comparing with the roll ---

/** What the ticket table of the rules gives for a total: the row of the highest threshold that is reached. */
export const ticketsOf = (table, total) => table.findLast(([shakes]) => total >= shakes)?.[1] ?? 0;

/** The same where the rules give some kind of pass fewer tickets: a stub does not tell the kind. */
function leastOf({ tickets: table, fair_play: promise }, total) {
  const worth = ticketsOf(table, total);
  const capped = (most) => table.findLast(([, tickets]) => tickets <= Math.min(most, worth))?.[1] ?? 0;
  return Math.min(worth, ...Object.values(promise?.most_tickets ?? {}).map(capped));
}

const NAME_BYTES = 14;

/** Whether a viewer is on the list of those who do not count, as their blocks have too many; read in ranges. */
async function isShared(draw, pseudonym) {
  const read = (at) => {
    const headers = { Range: `bytes=${at * NAME_BYTES}-${(at + 1) * NAME_BYTES - 1}` };
    return request(`/api/draws/${Number(draw)}/shared`, { headers });
  };
  const first = await read(0);
  if (first.status === 416 || first.status === 404) return false; // nobody is on it, or there is none
  if (first.status !== 206) throw new Error(first.statusText);
  let [low, high] = [0, Number(first.headers.get("Content-Range").split("/")[1]) / NAME_BYTES];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const name = toHex(new Uint8Array(await (await read(middle)).arrayBuffer()));
    if (name === pseudonym) return true;
    [low, high] = name < pseudonym ? [middle + 1, high] : [low, middle];
  }
  return false;
}

async function fetchJson(address) {
  const answer = await request(address);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.message || answer.statusText);
  return body;
}

/** The statement of the ledger that has the key under the gateway's name, as it came; null where there is none. */
async function certificateOf({ key, stub: { show, gateway } }) {
  const name = `${encodeURIComponent(show)}/ledger/gateway-keys/${encodeURIComponent(gateway)}`;
  const answer = await request(`/api/shows/${name}`);
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(answer.statusText);
  const text = await answer.text();
  const { action, details } = JSON.parse(text).entry;
  return action === "gateway key" && details.gateway === gateway && details.key === key ? text : null;
}

/** What the roll of a draw makes of a stub: {certificate, found: {verdict, promised, tickets}}. */
async function compare(draw, row) {
  const { rules } = await fetchJson(`/api/draws/${Number(draw)}/precommitment`);
  const receipt = await fetchJson(`/api/draws/${Number(draw)}/receipt/${row.stub.pseudonym}`);
  const promised = leastOf(rules, row.stub.total);
  const tickets = receipt.entry === null ? 0 : receipt.entry.tickets;
  const certificate = await certificateOf(row);
  const kept = tickets === 0 ? "too_few" : "equal";
  const less = tickets < promised;
  const shares = less && tickets === 0 && (rules.fair_play?.shared.entries ?? 0) > 0;
  if (shares && (await isShared(draw, row.stub.pseudonym))) {
    return { certificate, found: { verdict: "shared", promised, tickets } };
  }
  const held = less ? "less" : kept;
  const verdict = certificate === null ? { less: "less_uncertified" }[held] ?? "uncertified" : held;
  return { certificate, found: { verdict, promised, tickets } };
}
