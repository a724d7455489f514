/**
 * Everything that a page needs to take part in a show, in one file: no build step, no dependency, no page of its own.
 * docs/connect-a-phone.md, "From a web page", shows it in ten lines; docs/protocol.md is what it speaks. Node.js
 * imports it, too: browsers' objects are looked up when they are used. Times are milliseconds.
 */

/** @typedef {Record<string, any>} Message One frame of docs/protocol.md, or a part of it. */
/** @typedef {{x: number | null, y: number | null, z: number | null} | null | undefined} Vector Of a sensor, m/s². */
/** @typedef {"connecting" | "connected" | "waiting" | "offline" | "overloaded" | "refused"} Status
 * `waiting`: asked, and no answer came yet. `offline`: no way to the server. `overloaded`: it has said so, or that this
 * network has to wait. `refused`: for good. All but the last try again by themselves. */
/** @typedef {{waitMs?: number, code?: string, message?: string}} Detail Of a status: when the next try is, and why. */
/** @typedef {{report_every_ms: number, jitter_ms: number, spread_ms: number}} Pace */
/** @typedef {{viewer: string, salt: string, pass: string}} Identity Somebody whom this phone has been in the show. */

// --- time ---

const elapsedMs = () => performance.now();
const wallMs = () => Date.now();
const SAMPLES = 8; // the newest ones: clocks of devices run apart by some 10 ms in so many minutes
const SLEPT_MS = 1000;

/**
 * Server time: a number that the server has told, and the time that has elapsed since. Nobody who sets the clock of the
 * device changes anything; see `sync` in docs/protocol.md.
 */
export class Clock {
  constructor({ elapsed = elapsedMs, date = wallMs } = {}) {
    this.elapsed = elapsed;
    this.date = date;
    this.offset = date() - elapsed(); // until the server has said something
    this.apart = this.offset; // of the device's clock and the elapsed time, when last looked at
    /** @type {{trip: number, offset: number}[]} */
    this.samples = [];
  }

  /** Server time now. */
  now() {
    return this.elapsed() + this.offset;
  }

  /** A first guess, off by the time that the message was under way; not in place of what is known better.
   * @param {number} serverNow */
  begin(serverNow) {
    const guess = serverNow - this.elapsed();
    if (this.samples.length && Math.abs(guess - this.offset) < SLEPT_MS) return;
    this.samples = [];
    this.offset = guess;
  }

  /** What a `sync` carries: whole milliseconds of elapsed time. */
  stamp() {
    return Math.round(this.elapsed());
  }

  /**
   * Takes a `synced`. Of the newest samples the one with the shortest way counts.
   * @param {Message} message @param {number} [t3] when it came
   */
  learn({ t0, t1, t2 }, t3 = this.elapsed()) {
    const sample = { trip: t3 - t0 - (t2 - t1), offset: (t1 - t0 + (t2 - t3)) / 2 };
    const last = this.samples.at(-1);
    // A jump that the ways cannot explain: the device has slept, or the server's clock was set.
    const jumped = last && Math.abs(last.offset - sample.offset) > (last.trip + sample.trip) / 2 + 50;
    this.samples = jumped ? [sample] : [...this.samples, sample].slice(-SAMPLES);
    this.offset = this.samples.reduce((best, other) => (other.trip < best.trip ? other : best)).offset;
  }

  /** Whether the elapsed time may have stood still since the last look, as in some phones that sleep. */
  hasSlept() {
    const apart = this.date() - this.elapsed();
    const slept = apart - this.apart > SLEPT_MS;
    this.apart = apart;
    return slept;
  }
}

// --- asking over HTTP ---

const ANSWER_MS = 10000; // an answer that takes longer does not come any more
const SLOW_MS = 4000; // from then on the viewer is told that there is no answer yet

/** Why something was not done. `retryMs` null: asking again does not help; 0: the usual pause. */
export class Refusal extends Error {
  /** @param {Status} status @param {string} code @param {string} message @param {number | null} retryMs */
  constructor(status, code, message, retryMs) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryMs = retryMs;
  }
}

/** @typedef {{answerMs?: number, slowMs?: number, slow?: () => void}} Patience
 * When an answer is given up, and when it is late; then `slow` is called. */

/**
 * `fetch` whose answer is there in time, body and all. Throws a Refusal: `waiting` where it did not come, `offline`
 * where none can come.
 * @param {string} url @param {RequestInit} [options] @param {Patience} [patience]
 */
export async function request(url, options = {}, { answerMs = ANSWER_MS, slowMs = SLOW_MS, slow = () => {} } = {}) {
  const ending = new AbortController(); // AbortSignal.timeout is not in all phones
  const [deadline, late] = [setTimeout(() => ending.abort(), answerMs), setTimeout(slow, slowMs)];
  try {
    const { body, ...head } = await whole(url, { ...options, signal: ending.signal });
    return new Response(body.byteLength ? body : null, head);
  } catch {
    if (ending.signal.aborted) throw new Refusal("waiting", "no_answer", "no answer came", 0);
    throw new Refusal("offline", "", "no connection", 0);
  } finally {
    clearTimeout(deadline);
    clearTimeout(late);
  }
}

/** @param {string} url @param {RequestInit} options */
async function whole(url, options) {
  const answer = await fetch(url, options);
  const { status, statusText, headers } = answer;
  return { status, statusText, headers, body: await answer.arrayBuffer() };
}

/**
 * Posts JSON; what came of it, with the content as an object.
 * @param {string} url @param {object} body @param {Patience} [patience]
 * @returns {Promise<{ok: boolean, status: number, retryMs: number, content: Message}>}
 */
export async function post(url, body, patience) {
  const headers = { "Content-Type": "application/json" };
  const answer = await request(url, { method: "POST", headers, body: JSON.stringify(body) }, patience);
  const content = await answer.json().catch(() => ({ code: "", message: answer.statusText }));
  const retryMs = Number(answer.headers.get("Retry-After") || 2) * 1000;
  return { ok: answer.ok, status: answer.status, retryMs, content };
}

// --- the socket ---

const PROTOCOL = "shake.v1";
// 4409: newer tabs or devices of this viewer. Whoever would come back by itself would push one of those out.
const NEVER_AGAIN = new Set([4400, 4404, 4409, 4413, 1009]);
const OVERLOADED = new Set([1013, 4429, 4503]);
const BAD_PASS = 4401;
const WATCH_MS = 5000;
const SILENT_MS = 15000; // pulses come every 10 s; after that long the socket is asked whether it still lives
const DEAD_MS = 25000;
const SYNC_MS = 60000;
const SECOND_SYNC_MS = 700;
const RESYNC_PAUSE_MS = 3000; // a gateway that is behind itself is not asked at every pulse
const OPEN = 1; // WebSocket.OPEN

/**
 * Milliseconds to wait before the next connection, or null for never; the table of close codes.
 * @param {{code: number, reason?: string, attempt: number, spreadMs: number, random?: () => number}} loss
 * @returns {number | null}
 */
export function waitAfter({ code, reason, attempt, spreadMs, random = Math.random }) {
  if (NEVER_AGAIN.has(code)) return null;
  if (OVERLOADED.has(code)) return retryOf(reason) * (1 + random());
  if (code === 1012) return random() * 5000;
  if (attempt === 0 && code !== BAD_PASS && code !== 4408) return random() * spreadMs;
  return random() * Math.min(20000, 500 * 2 ** attempt);
}

/** @param {string | undefined} reason */
function retryOf(reason) {
  const found = /retry=(\d+)/.exec(reason || "");
  return found ? Number(found[1]) : 2000;
}

/** "http://host" -> "ws://host". @param {string} base */
const socketBase = (base) => base.replace(/^http/, "ws");

/** The site that a page is of; in Node.js it has to be told. */
const ownBase = () => globalThis.location?.origin ?? "";

/**
 * One lasting conversation with a show: reconnects, keeps the clock, sees gaps. `hello` returns the fields of the hello
 * (a promise); `on` has a function per message type, and `status(status, detail)`.
 */
export class Connection {
  /**
   * @param {{slug: string, base?: string, hello: (slow: () => void) => Promise<object>,
   *   on: Record<string, (...told: any[]) => void>, onBadPass?: () => void, clock?: Clock}} options
   */
  constructor({ slug, base = ownBase(), hello, on, onBadPass = () => {}, clock = new Clock() }) {
    this.url = `${socketBase(base)}/ws/shows/${encodeURIComponent(slug)}/`;
    this.hello = hello;
    this.on = on;
    this.onBadPass = onBadPass;
    this.clock = clock;
    /** @type {Pace} */
    this.pace = { report_every_ms: 1000, jitter_ms: 500, spread_ms: 5000 };
    /** @type {{epoch: number | null, seq: number}} */
    this.position = { epoch: null, seq: -1 };
    /** @type {Message} The newest one, with the cues and names that have come since. */
    this.state = { segment: null, results: [], more_to_come: false };
    this.attempt = 0;
    this.welcomed = false;
    this.stopped = false;
    /** @type {Detail | null} */
    this.lastError = null;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.heardAt = 0;
    this.syncedAt = 0;
    /** @type {Record<string, ReturnType<typeof setTimeout> | undefined>} */
    this.timers = {};
    this.awake = () => globalThis.document?.hidden || this.probe();
  }

  start() {
    this.timers.watch = setInterval(() => this.watch(), WATCH_MS);
    globalThis.document?.addEventListener("visibilitychange", this.awake);
    globalThis.window?.addEventListener("online", this.awake);
    this.connect();
  }

  /** Hangs up, for good. */
  stop() {
    this.stopped = true;
    this.welcomed = false;
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    globalThis.document?.removeEventListener("visibilitychange", this.awake);
    globalThis.window?.removeEventListener("online", this.awake);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  async connect() {
    this.tell("connecting");
    try {
      const hello = await this.hello(() => this.tell("waiting"));
      if (!this.stopped) this.openSocket(hello);
    } catch (error) {
      this.refused(error instanceof Refusal ? error : new Refusal("offline", "", String(error), 0));
    }
  }

  /** @param {object} hello */
  openSocket(hello) {
    const socket = new WebSocket(this.url, PROTOCOL);
    this.socket = socket;
    this.heardAt = this.clock.elapsed();
    this.timers.slow = setTimeout(() => this.tell("waiting"), SLOW_MS);
    socket.onopen = () => this.send("hello", hello);
    socket.onmessage = (event) => this.socket === socket && this.receive(JSON.parse(event.data));
    socket.onclose = (event) => this.socket === socket && this.lost(event.code, event.reason);
  }

  /** Sends one message where that is possible now; before the welcome nothing but hello.
   * @param {string} type @param {object} [fields] */
  send(type, fields = {}) {
    const open = this.socket !== null && this.socket.readyState === OPEN;
    if (!open || (type !== "hello" && !this.welcomed)) return false;
    this.socket?.send(JSON.stringify({ type, ...fields }));
    return true;
  }

  /** @param {Status} status @param {Detail} [detail] */
  tell(status, detail = {}) {
    if (!this.stopped) this.on.status?.(status, detail);
  }

  // --- losing it ---

  /** @param {Refusal} refusal */
  refused({ status, code, message, retryMs }) {
    if (retryMs === null) return this.tell("refused", { code, message });
    const backoff = Math.random() * Math.min(20000, 500 * 2 ** this.attempt);
    return this.again(status, retryMs ? retryMs * (1 + Math.random()) : backoff, { code, message });
  }

  /** @param {number} code @param {string} [reason] @param {Status} [status] */
  lost(code, reason = "", status = "offline") {
    this.socket = null;
    this.welcomed = false;
    clearTimeout(this.timers.slow);
    clearTimeout(this.timers.resync);
    this.timers.resync = undefined;
    if (code === BAD_PASS) this.onBadPass();
    const wait = waitAfter({ code, reason, attempt: this.attempt, spreadMs: this.pace.spread_ms });
    if (wait === null) this.tell("refused", this.lastError || { code: String(code), message: reason });
    else this.again(OVERLOADED.has(code) ? "overloaded" : status, wait, { code: String(code) });
  }

  /** @param {Status} status @param {number} waitMs @param {Detail} detail */
  again(status, waitMs, detail) {
    if (this.stopped) return;
    this.attempt += 1;
    this.tell(status, { ...detail, waitMs });
    this.timers.again = setTimeout(() => this.connect(), waitMs);
  }

  /** Silence is no proof of death while Redis is away: a sync is answered by the gateway alone. */
  watch() {
    if (this.clock.hasSlept()) this.probe();
    if (!this.socket) return;
    const now = this.clock.elapsed();
    if (now - this.heardAt > DEAD_MS) this.drop();
    else if (!this.welcomed) return;
    else if (now - this.heardAt > SILENT_MS || now - this.syncedAt > SYNC_MS) this.sync();
  }

  /** After a sleep the socket may be dead without anybody having told us: an answer must come within 5 s. */
  probe() {
    if (!this.welcomed) return;
    this.heardAt = Math.min(this.heardAt, this.clock.elapsed() - DEAD_MS + WATCH_MS);
    this.sync();
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.lost(1006, "", "waiting");
  }

  sync() {
    this.syncedAt = this.clock.elapsed();
    this.send("sync", { t0: this.clock.stamp() });
  }

  // --- what comes in ---

  /** @param {Message} message */
  receive(message) {
    this.heardAt = this.clock.elapsed();
    const take = TAKE[message.type];
    if (take && take(this, message) === false) return;
    this.on[message.type]?.(message);
  }

  resync() {
    if (this.timers.resync) return;
    this.timers.resync = setTimeout(() => {
      this.send("resync");
      this.timers.resync = setTimeout(() => (this.timers.resync = undefined), RESYNC_PAUSE_MS);
    }, Math.random() * this.pace.jitter_ms);
  }
}

/** What the connection itself makes of a message; false where nobody else shall hear of it.
 * @type {Record<string, (connection: Connection, message: Message) => boolean | void>} */
const TAKE = {
  welcome(connection, message) {
    clearTimeout(connection.timers.slow);
    connection.attempt = 0;
    connection.welcomed = true;
    connection.lastError = null;
    TAKE.pace(connection, message);
    connection.clock.begin(message.now);
    connection.position = { epoch: message.epoch, seq: message.seq };
    connection.state = message.state;
    connection.sync();
    connection.timers.second = setTimeout(() => connection.sync(), SECOND_SYNC_MS);
    connection.tell("connected");
  },

  /** An older state is dropped; one of a new epoch never is. One of the same number says who holds the prizes now. */
  state(connection, message) {
    const { epoch, seq } = message;
    if (epoch === connection.position.epoch && seq < connection.position.seq) return false;
    connection.position = { epoch, seq };
    connection.state = message;
    return true;
  },

  cue: (connection, message) => takeStep(connection, message) && addCue(connection, message),
  named: (connection, message) => takeStep(connection, message) && addName(connection, message),

  pulse(connection, { epoch, seq }) {
    if (epoch !== connection.position.epoch || seq > connection.position.seq) connection.resync();
  },

  pace(connection, { report_every_ms, jitter_ms, spread_ms }) {
    connection.pace = { report_every_ms, jitter_ms, spread_ms };
  },

  synced(connection, message) {
    connection.clock.learn(message);
  },

  error(connection, { code, message }) {
    connection.lastError = { code, message };
  },
};

/** A part of a state in place of the whole one: it counts only right after the one that this screen has.
 * @param {Connection} connection @param {Message} message */
function takeStep(connection, { epoch, seq }) {
  const { position } = connection;
  if (epoch === position.epoch && seq <= position.seq) return false;
  if (epoch !== position.epoch || seq > position.seq + 1) {
    connection.resync();
    return false;
  }
  connection.position = { epoch, seq };
  return true;
}

/** @param {Connection} connection @param {Message} message */
function addCue(connection, { cue }) {
  connection.state = { ...connection.state, cue };
  return true;
}

const MOST_NAMED = 20; // that a state lists, the newest

/** @param {Connection} connection @param {Message} message */
function addName(connection, { segment: id, of, winner, prize }) {
  const { segment } = connection.state;
  if (segment?.id !== id) return false;
  const { winners = [], prizes = [] } = segment.naming ?? {};
  const others = prizes.filter((/** @type {Message} */ other) => other.id !== prize.id);
  const newest = [...winners, winner].slice(-MOST_NAMED);
  const naming = { of, named: winner.number, winners: newest, prizes: [...others, prize] };
  connection.state = { ...connection.state, segment: { ...segment, naming } };
  return true;
}

// --- what a phone keeps of a show, over reloads and between nights ---

const MOST_IDENTITIES = 8;
const FORGOTTEN = "forgotten"; // the name under which lies who was told last to forget
const LEASE_MS = 3000;

/** A storage like localStorage where the browser gives none: it lasts as long as the page. */
function memory() {
  /** @type {Map<string, string>} */
  const rows = new Map();
  return {
    getItem: (/** @type {string} */ key) => rows.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void rows.set(key, value),
    removeItem: (/** @type {string} */ key) => void rows.delete(key),
    names: () => [...rows.keys()],
  };
}

/** @typedef {{getItem: (key: string) => string | null, setItem: (key: string, value: string) => void,
 *   removeItem: (key: string) => void, names?: () => string[]}} Store localStorage, or what stands in for it. */

/** localStorage, if it may be used at all: in some private windows it throws. @returns {Store} */
function ownStorage() {
  try {
    localStorage.getItem("");
    return localStorage;
  } catch {
    return memory();
  }
}

const randomName = () => Math.random().toString(36).slice(2, 12);

/**
 * What a phone keeps of one show, the same for all tabs of it. What lies there may be of an older page or of a show of
 * the same name: what does not fit is passed over. "Forget me" in one tab holds in all: it leaves a mark, and a tab
 * that was there before the mark writes nothing any more.
 */
export class Keep {
  /** @param {string} slug @param {Store} [storage] */
  constructor(slug, storage = ownStorage()) {
    this.prefix = `shake.${slug}.`;
    this.storage = storage;
    this.mark = storage.getItem(this.prefix + FORGOTTEN);
    this.forgotten = false;
    /** @type {Map<string, string>} What this tab has written, to take it back. */
    this.written = new Map();
    /** @type {() => void} */
    this.onForgotten = () => {};
    /** @type {(name: string) => void} Another tab has written this. */
    this.onChange = () => {};
    /** @type {Identity[]} Renewed passes are of the same viewer; who had to become another one may still claim. */
    this.identities = this.readList("identities").filter(isIdentity);
    globalThis.window?.addEventListener("storage", (event) => this.hear(event.key));
  }

  /** @param {string} name @returns {any} null for what is not there, and for what is no JSON */
  read(name) {
    try {
      return JSON.parse(this.storage.getItem(this.prefix + name) ?? "null");
    } catch {
      return null;
    }
  }

  /** @param {string} name @returns {any[]} */
  readList(name) {
    const list = this.read(name);
    return Array.isArray(list) ? list : [];
  }

  /** @param {string} name @param {any} value */
  write(name, value) {
    if (this.isForgotten()) return;
    const text = JSON.stringify(value);
    this.written.set(name, text);
    try {
      this.storage.setItem(this.prefix + name, text);
    } catch {
      // full, or off: then a reload starts from what the server has acknowledged
    }
  }

  /** What another tab has written, or thrown away; null for all of it. @param {string | null} key */
  hear(key) {
    if (key !== null && !key.startsWith(this.prefix)) return;
    if (!this.isForgotten() && key !== null) this.onChange(key.slice(this.prefix.length));
  }

  isForgotten() {
    if (!this.forgotten && this.storage.getItem(this.prefix + FORGOTTEN) !== this.mark) this.endHere();
    return this.forgotten;
  }

  /** Told in another tab: what this one has written since, before it heard of it, goes as well. */
  endHere() {
    this.forgotten = true;
    for (const [name, text] of this.written) {
      if (this.storage.getItem(this.prefix + name) === text) this.storage.removeItem(this.prefix + name);
    }
    this.onForgotten();
  }

  /** Everything of this show; what this page would write before it is gone is not kept either. */
  forget() {
    this.forgotten = true;
    try {
      this.storage.setItem(this.prefix + FORGOTTEN, randomName());
      const names = typeof this.storage.names === "function" ? this.storage.names() : Object.keys(this.storage);
      const ours = names.filter((name) => name.startsWith(this.prefix) && name !== this.prefix + FORGOTTEN);
      for (const key of ours) this.storage.removeItem(key);
    } catch {
      // storage is off: nothing was kept
    }
  }

  /** The claim page and the page of the draw find them there. @param {Identity} identity */
  remember({ viewer, salt, pass }) {
    const others = this.identities.filter((other) => other.viewer !== viewer);
    this.identities = [{ viewer, salt, pass }, ...others].slice(0, MOST_IDENTITIES);
    this.write("identities", this.identities);
  }

  /** Whether this phone has been this viewer. @param {string} pseudonym */
  has(pseudonym) {
    return this.identities.some(({ viewer }) => viewer === pseudonym);
  }

  /**
   * The seals as this phone was first shown them, in the order of drawing, under epoch and segment: the page of the
   * draw compares. No later one takes their place, but a new epoch numbers its segments anew. With them the ledger that
   * has them, as it was signed before the draw: nobody can put another history in its place any more.
   * @param {number} epoch @param {Message} segment
   */
  keepSeals(epoch, { id, seal, seals, checkpoint }) {
    const key = `${epoch}-${id}`;
    this.keepFirst("seals", key, seal ? seals || [seal] : null);
    this.keepFirst("checkpoints", key, checkpoint);
  }

  /** @param {string} name @param {string} key @param {any} value */
  keepFirst(name, key, value) {
    const known = this.read(name) || {};
    if (value && !known[key]) this.write(name, { ...known, [key]: value });
  }
}

/** @param {any} one */
const isIdentity = (one) => typeof one?.pass === "string" && typeof one.salt === "string";

/**
 * Whose turn it is to count: of several tabs of a show one counts and reports, all show. It is the one that was looked
 * at or touched last; where that one is gone, the next that has something to count.
 */
export class Turn {
  /** @param {Keep} keep @param {() => number} [now] the same clock for all tabs */
  constructor(keep, now = wallMs) {
    this.keep = keep;
    this.now = now;
    this.name = randomName();
  }

  isMine() {
    const held = this.keep.read("turn");
    const age = Math.abs(this.now() - held?.at); // a clock that was set back holds nothing for ever
    if (held?.tab !== this.name && age < LEASE_MS) return false;
    if (held?.tab !== this.name || !(age < LEASE_MS / 3)) this.take();
    return true;
  }

  /** Whether another tab counts now. */
  isElsewhere() {
    const held = this.keep.read("turn");
    return held !== null && held.tab !== this.name && Math.abs(this.now() - held.at) < LEASE_MS;
  }

  take() {
    this.keep.write("turn", { tab: this.name, at: this.now() });
  }

  /** Somebody looks at this tab now. */
  claim() {
    const held = this.keep.read("turn");
    if (held !== null && held.tab !== this.name) this.take();
  }
}

/** What this phone has won: as told in `won`, or as the results say of any viewer that it has been. */
export class Wins {
  /** @param {Keep} keep */
  constructor(keep) {
    this.keep = keep;
    /** @type {number | null} */
    this.epoch = null;
    /** @type {Message[]} */
    this.list = [];
  }

  /** Draws are numbered anew in a new database: a win of another epoch is of another draw. @param {number} epoch */
  enter(epoch) {
    if (epoch === this.epoch) return;
    this.epoch = epoch;
    this.list = this.keep.readList("wins").filter((win) => win?.epoch === epoch);
  }

  /** @param {Message} told */
  take({ draw, prize, claim_url, claim_by, shown_at, status = "won" }) {
    const others = this.list.filter((other) => other.draw !== draw);
    const known = this.list.find((other) => other.draw === draw);
    // Who was named before the last one is not told a second time that it has to wait.
    const at = known ? Math.min(known.shown_at ?? 0, shown_at ?? 0) : shown_at;
    const win = { epoch: this.epoch, draw, prize, claim_url, claim_by, shown_at: at, status };
    this.list = status === "lost" ? others : [win, ...others];
  }

  /** @param {number} draw */
  has(draw) {
    return this.list.some((win) => win.draw === draw);
  }

  /** `won` comes to the viewer that this phone is now; what one has won that it was before stands in the results.
   * @param {Message[]} results */
  compare(results) {
    for (const result of results) {
      const mine = result.winners.find((/** @type {Message} */ winner) => this.keep.has(winner.pseudonym));
      const complete = result.winners.length === result.winners_total;
      if (mine) this.take({ ...result, ...mine });
      // A prize that was lost is one that somebody else holds now, or nobody.
      else if (complete) this.list = this.list.filter((win) => win.draw !== result.draw);
    }
  }

  /** Those that can still be claimed, or are; none before the wall has named it. @param {number} now */
  shown(now) {
    const named = this.list.filter(({ shown_at }) => !(shown_at > now));
    return named.filter(({ status, claim_by }) => status === "claimed" || claim_by > now);
  }

  save() {
    this.keep.write("wins", this.list);
  }
}

// --- the pass ---

const MOST_WORKS = 6; // neighbours make a pass dearer while this phone works
const WORK_MS = 300000;
const OTHER_KEYS = ["bad_pass", "wrong_salt"]; // the server has other keys by now
const TURN_OF_TAB_MS = 3000;
const FRESH_MS = 60000; // a pass that ends sooner is renewed

/** @typedef {{working?: (seconds: number) => void, askForCode?: (refusal: string) => Promise<string>,
 *   slow?: () => void}} Told What the viewer sees while a pass is earned. */

/**
 * How a phone gets its pass: the one it has, a renewed one, a free one, or one that it earns. `solver` is the address
 * of ALTCHA's worker; without one, this phone does no work.
 */
export class Pass {
  /** @param {{slug: string, keep: Keep, base?: string, solver?: string, patience?: Patience}} options */
  constructor({ slug, keep, base = ownBase(), solver = "", patience = {} }) {
    this.address = `${base}/api/shows/${encodeURIComponent(slug)}/passes`;
    this.keep = keep;
    this.solver = solver;
    this.patience = patience;
  }

  /** A valid pass; tabs that open at once get the same. @param {Told} [told] @returns {Promise<string>} */
  async get(told = {}) {
    const known = this.kept();
    if (known) return known;
    const locks = globalThis.navigator?.locks;
    return locks ? this.inTurn(locks, () => this.fetch(told)) : this.fetch(told);
  }

  /** One tab asks, the others take what it gets; but nobody waits long for a viewer who does not type the code there.
   * @param {LockManager} locks @param {() => Promise<string>} work @returns {Promise<string>} */
  async inTurn(locks, work) {
    const waiting = new AbortController();
    const timer = setTimeout(() => waiting.abort(), TURN_OF_TAB_MS);
    const begin = () => {
      clearTimeout(timer);
      return work();
    };
    try {
      return await locks.request(`${this.keep.prefix}pass`, { signal: waiting.signal }, begin);
    } catch (error) {
      if (waiting.signal.aborted) return work();
      throw error;
    }
  }

  kept() {
    const known = this.keep.read("pass");
    return known?.expires_at > wallMs() + FRESH_MS && typeof known.pass === "string" ? known.pass : null;
  }

  /** @param {Told} told @returns {Promise<string>} */
  async fetch(told) {
    const before = this.kept();
    if (before) return before;
    const fresh = (await this.renew(told)) || (await this.earn(told));
    const other = this.kept(); // where there are no locks, another tab may have been quicker
    if (other) return other;
    this.keep.write("pass", fresh);
    return fresh.pass;
  }

  /** The server does not take it. */
  drop() {
    this.keep.write("pass", null);
  }

  /** For the viewer that this phone was last: prizes and shakes of tonight are theirs. @param {Told} told */
  async renew(told) {
    const [{ pass, salt } = { pass: "", salt: "" }] = this.keep.readList("identities").filter(isIdentity);
    if (!pass) return null;
    const { fresh, refusal } = await this.ask({ pass, salt }, told);
    if (fresh || OTHER_KEYS.includes(refusal.code)) return fresh;
    throw asError(refusal);
  }

  /** @param {Told} told @returns {Promise<Message>} */
  async earn(told) {
    let body = {};
    for (let works = 0; works <= MOST_WORKS; ) {
      const { fresh, refusal } = await this.ask(body, told);
      if (fresh) return fresh;
      if (refusal.work) works += 1;
      body = await this.earning(refusal, told);
    }
    throw new Refusal("overloaded", "too_many", "", 60000);
  }

  /** What to ask with next, as the refusal says.
   * @param {Message} refusal @param {Told} told @returns {Promise<object>} */
  async earning(refusal, told) {
    const { code, message, ways = [], work } = refusal;
    if (code === "bad_work") return {};
    if (code === "bad_code" && told.askForCode) return { code: await told.askForCode(message) };
    if (code !== "earn_it") throw asError(refusal);
    if (work && this.canWork()) return { work: { challenge: work, solution: await this.solve(work, told.working) } };
    if (ways.includes("code") && told.askForCode) return { code: await told.askForCode("") };
    throw new Refusal("refused", "no_way", message, null);
  }

  /** @param {object} body @param {Told} told @returns {Promise<{fresh: Message | null, refusal: Message}>} */
  async ask(body, { slow }) {
    const { ok, status, retryMs, content } = await post(this.address, body, { ...this.patience, slow });
    if (ok) return { fresh: content, refusal: {} };
    const mayComeBack = status === 429 || status >= 500;
    return { fresh: null, refusal: { ...content, retryMs: mayComeBack ? retryMs : null } };
  }

  // --- work ---

  canWork() {
    return this.solver !== "" && typeof Worker === "function" && typeof WebAssembly === "object";
  }

  /** By ALTCHA's own worker, which needs no https; on half of the cores, so that a phone stays cool.
   * @param {Message} challenge @param {(seconds: number) => void} [working] @returns {Promise<object>} */
  async solve(challenge, working = () => {}) {
    const count = Math.min(4, Math.max(1, Math.floor((navigator.hardwareConcurrency || 2) / 2)));
    const began = elapsedMs();
    const workers = Array.from({ length: count }, () => new Worker(this.solver));
    const timer = setInterval(() => working(Math.ceil((elapsedMs() - began) / 1000)), 250);
    working(1);
    try {
      return await Promise.race(workers.map((worker, first) => search(worker, challenge, first, count)));
    } finally {
      clearInterval(timer);
      workers.forEach((worker) => worker.terminate());
    }
  }
}

/** @param {Worker} worker @param {Message} challenge @param {number} counterStart @param {number} counterStep
 * @returns {Promise<object>} */
function search(worker, challenge, counterStart, counterStep) {
  return new Promise((resolve, reject) => {
    const failed = () => reject(new Refusal("refused", "no_way", "", null));
    worker.onerror = failed;
    worker.onmessage = ({ data }) => (data?.derivedKey ? resolve(data) : failed());
    worker.postMessage({ type: "work", challenge, counterStart, counterStep, timeout: WORK_MS });
  });
}

/** @param {Message} refusal */
function asError({ code, message, retryMs }) {
  return new Refusal(retryMs === null ? "refused" : "overloaded", code, message, retryMs);
}

// --- the count, and its way to the server ---

/**
 * What this phone has counted, and what the server has acknowledged of it: the latter alone is *counted*. Both are
 * kept, so that they survive a reload and are the same in all tabs.
 */
export class Counter {
  /** @param {Keep} keep */
  constructor(keep) {
    this.keep = keep;
    this.viewer = "";
    /** @type {number | null} */
    this.epoch = null;
    /** @type {number | null} */
    this.segment = null;
    this.own = 0;
    this.acknowledged = 0;
    /** @type {{segment: number, total: number} | null} The last total of the segment before, not acknowledged yet. */
    this.leftover = null;
  }

  /** @param {any} one */
  isThis(one) {
    return one?.epoch === this.epoch && one?.segment === this.segment && one?.viewer === this.viewer;
  }

  /** Continues from the larger of what this phone and what the server has.
   * @param {string} viewer @param {number} epoch @param {number | null} segment @param {number} total */
  resume(viewer, epoch, segment, total) {
    const kept = this.keep.read("count");
    const isOther = epoch !== this.epoch || viewer !== this.viewer;
    const before = isOther ? { own: 0, segment: null } : { own: this.own, segment: this.segment };
    if (isOther) this.leftover = null; // it is of somebody else
    else if (segment !== before.segment) this.leave();
    Object.assign(this, { viewer, epoch, segment });
    const own = [before.segment === segment ? before.own : 0, this.isThis(kept) ? totalOf(kept.own) : 0, total];
    this.own = Math.max(...own);
    this.acknowledged = total;
    if (isOther) this.takeLeftover(kept);
    if (this.isThis(kept)) this.save(); // what the server says now holds in all tabs
  }

  /** A page that was loaded anew in the grace of the segment before. @param {any} kept */
  takeLeftover(kept) {
    if (this.leftover || kept?.epoch !== this.epoch || kept?.viewer !== this.viewer) return;
    const last = kept.segment === this.segment ? kept.leftover : { segment: kept.segment, total: kept.own };
    const open = kept.segment === this.segment || totalOf(kept.own) > totalOf(kept.acknowledged);
    if (open && Number.isInteger(last?.segment) && totalOf(last.total) > 0) this.leftover = last;
  }

  /** @param {number} epoch @param {number} segment */
  begin(epoch, segment) {
    // The database was restored: the server begins this segment anew, and what was counted of it is of another play.
    if (epoch !== this.epoch) Object.assign(this, { epoch, segment: null, own: 0, acknowledged: 0, leftover: null });
    if (segment === this.segment) return;
    this.leave();
    Object.assign(this, { segment, own: 0, acknowledged: 0 });
  }

  /** The next segment may be announced while the grace of this one still runs. */
  leave() {
    if (this.segment !== null && this.own > this.acknowledged) {
      this.leftover = { segment: this.segment, total: this.own };
    }
  }

  add() {
    this.own += 1;
    this.save();
  }

  /** @param {Message} ack */
  acknowledge({ segment, total }) {
    if (segment === this.leftover?.segment && total >= (this.leftover?.total ?? 0)) this.leftover = null;
    if (segment !== this.segment) return;
    this.acknowledged = Math.max(this.acknowledged, total);
    this.own = Math.max(this.own, total); // another device of the same viewer
    this.save();
  }

  save() {
    const { epoch, segment, viewer, own, acknowledged, leftover } = this;
    if (own > 0 || leftover) this.keep.write("count", { epoch, segment, viewer, own, acknowledged, leftover });
  }

  /** Another tab has counted, or was told. */
  follow() {
    const kept = this.keep.read("count");
    if (!this.isThis(kept)) return;
    this.own = Math.max(this.own, totalOf(kept.own));
    this.acknowledged = Math.max(this.acknowledged, totalOf(kept.acknowledged));
  }
}

/** What lies in a storage may be anything. @param {any} value */
const totalOf = (value) => (Number.isSafeInteger(value) && value > 0 ? value : 0);

const FINAL_SPREAD_MS = 1000; // the last total has to arrive within the grace
const FINAL_EVERY_MS = 1500;
const SHORT_ACKS = 2; // so many acks below the final total mean: the server accepts no more than this

/** When to report: at the pace while the window is open, soon after it, and until the total is acknowledged. */
export class Reporter {
  /** @param {Connection} connection @param {Counter} count */
  constructor(connection, count) {
    this.connection = connection;
    this.count = count;
    this.at = 0; // server time of the next report
    this.turnAt = 0; // when it was last the time for one, left out or not
    this.moment = ""; // the moment that `at` was chosen for
    this.waiting = false; // for the ack of the last report
    this.done = false; // the server takes no more for this segment
    this.final = 0; // the total of a final report that is not answered yet
    this.shortAcks = 0;
  }

  /** What was not answered on the last connection is said again. */
  begin() {
    this.waiting = false;
    this.moment = "";
  }

  /** Spreads the phones: everybody's window begins and ends in the same instant.
   * @param {string} moment @param {number} now */
  enter(moment, now) {
    const { report_every_ms, jitter_ms } = this.connection.pace;
    const spread = moment === "open" ? report_every_ms + jitter_ms : Math.min(jitter_ms, FINAL_SPREAD_MS);
    this.at = now + Math.random() * spread;
    Object.assign(this, { moment, done: false, turnAt: 0, waiting: false, final: 0, shortAcks: 0 });
  }

  /** Sends what is due. @param {string} moment @param {number} now */
  tick(moment, now) {
    if (moment !== this.moment) this.enter(moment, now);
    const report = now < this.at ? null : this.count.leftover || this.due(moment);
    if (report === null) return;
    this.turnAt = now;
    this.at = now + this.pause(moment);
    // A server that is busy gets no second report before the ack of the first; but one turn is enough to leave out.
    const leavesOut = moment === "open" && this.waiting;
    this.waiting = !leavesOut;
    if (leavesOut || !this.connection.send("shakes", report)) return;
    this.final = moment === "closing" && report.segment === this.count.segment ? report.total : 0;
  }

  /** A new pace holds for the wait that has begun, too. */
  followPace() {
    if (this.moment === "open" && this.turnAt) this.at = this.turnAt + this.pause(this.moment);
  }

  /** The report that this moment asks for, or null. @param {string} moment */
  due(moment) {
    const { segment, own, acknowledged } = this.count;
    const taken = moment === "open" || (moment === "closing" && !this.done);
    return taken && segment !== null && own > acknowledged ? { segment, total: own } : null;
  }

  /** @param {string} moment */
  pause(moment) {
    const { report_every_ms, jitter_ms } = this.connection.pace;
    if (moment === "open") return report_every_ms + Math.random() * jitter_ms;
    return Math.min(report_every_ms, FINAL_EVERY_MS) + Math.random() * 500;
  }

  /** @param {Message} ack */
  acknowledged({ segment, total }) {
    this.waiting = false;
    if (segment !== this.count.segment || this.final === 0) return;
    this.shortAcks = total < this.final ? this.shortAcks + 1 : 0;
    this.final = 0;
    if (this.shortAcks >= SHORT_ACKS) this.done = true; // the rest was clamped
  }

  /** @param {Message} error */
  refused({ code }) {
    if (code !== "not_open") return;
    this.waiting = false;
    // While the window is open by our clock it opens by the server's in a moment; after it there is nothing to add.
    if (this.count.leftover) this.count.leftover = null;
    else if (this.moment === "closing") this.done = true;
  }
}

// --- shaking ---

const STROKE = 8; // m/s² beside gravity: a walk stays below, a stroke of a shake goes well above
const STROKE_PUSH = 0.5; // m/s: what a stroke gives the phone; a knock or a heel is as strong, and over at once
const REST = 2.5; // m/s²: below it a stroke is over
const MEMORY_MS = 500; // how fast the direction of the shaking is forgotten
const TURN_MS = 150; // how fast the axis follows it
const GRAVITY_MS = 800; // how fast a new orientation is taken for granted
const GAP_MS = 60; // between two strokes of a hand
const MOST_PER_S = 8; // what the server takes
const SECOND = 1000;
const PAUSE_MS = 200; // after a longer silence of the sensor everything begins anew
const FIRST_MS = 16; // what the first sample stands for

/** @typedef {{t: number, x: number, y: number, z: number, gravity?: boolean}} Sample
 * At `t` ms, in m/s²; `gravity`: whether gravity is in it. */

/** @param {number[]} vector */
function unit(vector) {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((part) => part / length) : vector;
}

/** What a detector knows of how the phone is held and moved. */
const nothingSeen = () => ({
  count: 0, // samples so far
  gravity: [0, 0, 0],
  spread: [0, 0, 0, 0, 0, 0], // of the movement: xx, xy, xz, yy, yz, zz
  axis: [0, 0, 0], // along which it moves most
  side: 0, // of the half wave that goes on: -1, 1, or 0 for none
  push: 0, // m/s, of that half wave
  height: 0, // m/s², of the last sample in it
  counted: false, // that half wave
});

/**
 * Finds the strokes of a shake, however the phone is held. Gravity is taken out by a slow low-pass; what is left is
 * projected on the direction in which the phone has moved most in the last moments; a stroke is a peak on one side, and
 * the next one is on the other side, or after a rest. Pure: it reads no sensor and no clock.
 */
export class ShakeDetector {
  constructor() {
    this.t = NaN;
    /** @type {number[]} */
    this.strokes = []; // of the last second
    this.seen = nothingSeen();
  }

  /** Whether this sample completes a stroke. @param {Sample} sample */
  add(sample) {
    const since = sample.t - this.t;
    if (since <= 0) return false; // told twice
    const goesOn = since < PAUSE_MS;
    if (!goesOn) this.seen = nothingSeen();
    const ms = goesOn ? since : FIRST_MS;
    this.t = sample.t;
    return this.follow(this.project(this.withoutGravity(sample, ms), ms), ms / 1000);
  }

  /** @param {Sample} sample @param {number} ms @returns {number[]} */
  withoutGravity({ x, y, z, gravity = false }, ms) {
    const raw = [x, y, z];
    this.seen.count += 1;
    if (!gravity) return raw;
    // At first the mean of what has come, since nobody knows how the phone is held.
    const share = Math.max(1 / this.seen.count, ms / (GRAVITY_MS + ms));
    this.seen.gravity = this.seen.gravity.map((value, place) => value + share * (raw[place] - value));
    return raw.map((value, place) => value - this.seen.gravity[place]);
  }

  /** The part of a movement along the direction of the last ones. @param {number[]} moved @param {number} ms */
  project([x, y, z], ms) {
    const keep = Math.exp(-ms / MEMORY_MS);
    const square = [x * x, x * y, x * z, y * y, y * z, z * z];
    this.seen.spread = this.seen.spread.map((value, place) => keep * value + square[place]);
    const [xx, xy, xz, yy, yz, zz] = this.seen.spread;
    let [a, b, c] = this.seen.axis;
    if (a === 0 && b === 0 && c === 0) [a, b, c] = [x, y, z];
    // A step of the power method, taken slowly: the axis keeps its sign, and does not run after a phone in circles.
    const pulled = unit([xx * a + xy * b + xz * c, xy * a + yy * b + yz * c, xz * a + yz * b + zz * c]);
    [a, b, c] = unit(unit([a, b, c]).map((part, place) => part + (ms / TURN_MS) * pulled[place]));
    this.seen.axis = [a, b, c];
    return x * a + y * b + z * c;
  }

  /** @param {number} strength @param {number} s */
  follow(strength, s) {
    const side = Math.sign(strength);
    const height = Math.abs(strength);
    const begins = side !== this.seen.side || height < REST;
    if (begins) Object.assign(this.seen, { side, push: 0, height: 0, counted: false });
    this.seen.push += ((this.seen.height + height) / 2) * s;
    this.seen.height = height;
    if (this.seen.counted || height < STROKE || this.seen.push < STROKE_PUSH) return false;
    this.strokes = this.strokes.filter((t) => t > this.t - SECOND);
    if (this.strokes.length >= MOST_PER_S || this.t - (this.strokes.at(-1) ?? -Infinity) < GAP_MS) return false;
    this.strokes.push(this.t);
    this.seen.counted = true;
    return true;
  }
}

const ZEROS = 30; // so many samples of nothing at all: no sensor is as quiet as that

/**
 * Makes samples of `devicemotion` events. Some phones give no acceleration without gravity: null, or zeros for ever;
 * then the one with gravity is taken.
 */
export class SampleReader {
  constructor() {
    this.lives = false; // the acceleration without gravity has been something else than nothing
    this.zeros = 0;
  }

  /**
   * @param {{acceleration?: Vector, accelerationIncludingGravity?: Vector}} event @param {number} t
   * @returns {Sample | null} null where the device measures nothing
   */
  read({ acceleration, accelerationIncludingGravity }, t) {
    const [pure, raw] = [vectorOf(acceleration), vectorOf(accelerationIncludingGravity)];
    if (pure && (pure.x !== 0 || pure.y !== 0 || pure.z !== 0)) this.lives = true;
    else if (!raw) this.zeros += 1;
    if (pure && (this.lives || !raw)) return { t, ...pure, gravity: false };
    return raw && { t, ...raw, gravity: true };
  }

  /** Whether all that has come is nothing: a sensor that is switched off, or none. */
  isDead() {
    return !this.lives && this.zeros > ZEROS;
  }
}

/** @param {Vector} vector @returns {{x: number, y: number, z: number} | null} */
function vectorOf(vector) {
  const [x, y, z] = [vector?.x, vector?.y, vector?.z].map((value) => value ?? NaN);
  return Number.isFinite(x) && Number.isFinite(y) && Number.isFinite(z) ? { x, y, z } : null;
}

const SILENT_SENSOR_MS = 2000;

/** @typedef {"ask" | "on" | "insecure" | "missing" | "denied" | "silent"} Reason
 * `ask`: the sensor opens after a press of a button, which calls `ask()`. `on`: it speaks. All others say why a viewer
 * has to tap: no https, no sensor, not allowed, nothing measured. */

/** The motion sensor of this phone: its permission, its strokes, and why there are none. */
export class Motion {
  /** @param {{onShake: () => void, onReason: (reason: Reason) => void}} options */
  constructor({ onShake, onReason }) {
    this.onShake = onShake;
    this.onReason = onReason;
    this.reader = new SampleReader();
    this.detector = new ShakeDetector();
    this.heard = false;
    /** @param {any} event */
    this.take = (event) => this.hear(event);
  }

  start() {
    if (!globalThis.isSecureContext) return this.onReason("insecure");
    if (!("DeviceMotionEvent" in globalThis)) return this.onReason("missing");
    window.addEventListener("devicemotion", this.take);
    // On some phones only a press of a button opens the sensor; on others it speaks at once.
    if (typeof askPermission() === "function") return this.onReason("ask");
    return this.expect();
  }

  stop() {
    window.removeEventListener("devicemotion", this.take);
  }

  /** To be called by a press of a button. */
  async ask() {
    const answer = await askPermission()?.().catch(() => "denied");
    if (answer === "denied") this.onReason("denied");
    else this.expect();
  }

  expect() {
    setTimeout(() => this.heard || this.onReason("silent"), SILENT_SENSOR_MS);
  }

  /** @param {DeviceMotionEvent} event */
  hear(event) {
    const sample = this.reader.read(event, event.timeStamp);
    if (sample === null || this.reader.isDead()) return;
    if (!this.heard) {
      this.heard = true;
      this.onReason("on");
    }
    if (this.detector.add(sample)) this.onShake();
  }
}

/** @returns {(() => Promise<string>) | undefined} */
function askPermission() {
  const { DeviceMotionEvent: sensor } = /** @type {any} */ (globalThis);
  return typeof sensor.requestPermission === "function" ? () => sensor.requestPermission() : undefined;
}

// --- the device ---

/**
 * Vibrates where that can be; false where not, or before the first touch of the page.
 * @param {number | number[]} pattern in ms: on, off, on, ...
 */
export function vibrate(pattern) {
  try {
    if (globalThis.navigator?.userActivation?.hasBeenActive === false) return false; // browsers complain of the try
    return globalThis.navigator?.vibrate?.(pattern) ?? false;
  } catch {
    return false;
  }
}

/** Keeps the screen on while the page is looked at: at once where the browser allows it, else from the first touch. */
export class WakeLock {
  constructor() {
    /** @type {WakeLockSentinel | null} */
    this.held = null;
    this.asking = false;
  }

  start() {
    for (const name of ["visibilitychange", "pointerdown", "keydown"]) {
      document.addEventListener(name, () => this.hold());
    }
    return this.hold();
  }

  async hold() {
    const here = globalThis.navigator?.wakeLock;
    if (!here || this.asking || document.hidden || (this.held && !this.held.released)) return;
    this.asking = true;
    this.held = await here.request("screen").catch(() => null);
    this.asking = false;
  }
}

// --- what a segment is at this moment ---

const CUE_MS = 10000;
const BEACON_MS = 15000; // the last part of the wait for the round; before it the seal is what there is to see
const ANTICIPATION_MS = 1000; // before a name is told, the screens hold their breath
const LAST_NAME_MS = 5000; // the last name has the screens as long as others have them

/** @typedef {"idle" | "armed" | "soon" | "cue" | "open" | "closing" | "sealed" | "beacon" | "drawn" | "naming" |
 *   "published" | "void" | "spoiled"} Moment */

/**
 * By the clock, not by the last message: idle, armed, soon, cue (the last 10 s before the window), open, closing,
 * sealed, beacon (from 15 s before the beacon's round until it is there), drawn, naming, published, void, spoiled.
 * @param {Message | null} segment @param {number} now
 * @param {Message[]} [results] of the same state: a feed behind the studio shows them later
 * @returns {Moment}
 */
export function momentOf(segment, now, results = []) {
  if (!segment) return "idle";
  if (["armed", "open", "closing"].includes(segment.phase)) return windowMoment(segment, now);
  if (segment.phase === "sealed") return segment.beacon_at - BEACON_MS <= now ? "beacon" : "sealed";
  return ["drawn", "published"].includes(segment.phase) ? resultMoment(segment, now, results) : segment.phase;
}

/** @param {Message} segment @param {number} now @param {Message[]} results @returns {Moment} */
function resultMoment(segment, now, results) {
  const times = (segment.naming?.winners ?? []).map((/** @type {Message} */ { at }) => at);
  const isOpen = segment.phase === "drawn" || Math.max(...times) + LAST_NAME_MS > now;
  if (isOpen && times.some((/** @type {number} */ at) => at - ANTICIPATION_MS <= now)) return "naming";
  const isEarly = results.some(({ segment: of, shown_at }) => of === segment.id && shown_at > now);
  return isOpen || isEarly ? "drawn" : "published";
}

/**
 * What the screens show: the moment of the segment, or idle where the crew has cleared them. A window that is scheduled
 * and a name that is new come before that.
 * @param {Message} state @param {number} now @returns {Moment}
 */
export function shownMoment({ segment, results = [], cue }, now) {
  const moment = momentOf(segment, now, results);
  if (cue?.kind !== "clear" || cue.at > now || ["soon", "cue", "open", "closing"].includes(moment)) return moment;
  const newest = Math.max(...(segment?.naming?.winners ?? []).map((/** @type {Message} */ { at }) => at));
  return moment === "naming" && newest > cue.at ? moment : "idle";
}

/**
 * The winners whom the host has named and the screens of this feed may show, each with its prize; `awaited` is the
 * number of the one that is about to be.
 * @param {Message | null} segment @param {number} now
 * @returns {{of: number, winners: Message[], awaited: number | null}}
 */
export function namedOf(segment, now) {
  const { of = 0, winners = [], prizes = [] } = segment?.naming ?? {};
  const due = winners.filter((/** @type {Message} */ { at }) => at <= now);
  const next = winners.find((/** @type {Message} */ { at }) => at > now && at - ANTICIPATION_MS <= now);
  return { of, winners: withPrizes({ winners: due, prizes }).winners, awaited: next?.number ?? null };
}

/** @param {Message} segment @param {number} now @returns {Moment} */
function windowMoment({ opens_at, closes_at }, now) {
  if (opens_at === null) return "armed";
  if (now < opens_at) return now < opens_at - CUE_MS ? "soon" : "cue";
  return now < closes_at ? "open" : "closing";
}

/**
 * The results of one segment that may be shown now; a winner names its prize by its number, which stands here in its
 * place.
 * @param {Message[]} results @param {number} segmentId @param {number} [now]
 */
export function resultsOf(results, segmentId, now = Infinity) {
  return results.filter((result) => result.segment === segmentId && !(result.shown_at > now)).map(withPrizes);
}

/** @param {Message} result @returns {Message} */
export function withPrizes(result) {
  const prizes = new Map(result.prizes.map((/** @type {Message} */ prize) => [prize.id, prize]));
  const named = (/** @type {Message} */ winner) => ({ ...winner, prize: prizes.get(winner.prize) });
  return { ...result, winners: result.winners.map(named) };
}

/** How many winners of these results are not listed in them. @param {Message[]} results @returns {number} */
export function unlisted(results) {
  return results.reduce((count, result) => count + result.winners_total - result.winners.length, 0);
}

const COLOURS = ["Amber", "Azure", "Brave", "Bright", "Calm", "Clever", "Coral", "Crimson", "Gentle", "Golden",
  "Happy", "Indigo", "Ivory", "Jade", "Kind", "Lucky", "Merry", "Noble", "Pearl", "Proud", "Quick", "Quiet",
  "Rose", "Royal", "Ruby", "Sapphire", "Scarlet", "Silver", "Sunny", "Swift", "Teal", "Violet"];
const THINGS = ["Anchor", "Aurora", "Bamboo", "Breeze", "Bridge", "Butterfly", "Camellia", "Cedar", "Cherry",
  "Cloud", "Comet", "Compass", "Crane", "Crystal", "Deer", "Dolphin", "Dragon", "Eagle", "Falcon", "Feather",
  "Firefly", "Fountain", "Fox", "Garden", "Harbour", "Heron", "Island", "Jasmine", "Kite", "Koala", "Lake",
  "Lantern", "Lark", "Lemon", "Lily", "Lion", "Lotus", "Magpie", "Maple", "Meadow", "Melody", "Moon", "Mountain",
  "Orchid", "Otter", "Owl", "Panda", "Peach", "Penguin", "Peony", "Phoenix", "Pine", "Rainbow", "River", "Robin",
  "Sail", "Shell", "Spring", "Star", "Sunrise", "Swallow", "Tiger", "Tulip", "Willow"];

/** The viewer's name on screen, as engagement/core/names.py makes it. @param {string} pseudonym */
export function stageName(pseudonym) {
  const byte = (/** @type {number} */ index) => parseInt(pseudonym.slice(2 * index, 2 * index + 2), 16);
  return `${COLOURS[byte(2) % 32]} ${THINGS[byte(3) % 64]} ${10 + ((byte(4) * 256 + byte(5)) % 90)}`;
}

// --- all of it: one phone in one show ---

const TICK_MS = 100;

/**
 * A phone that takes part: it gets a pass, connects, counts, reports, keeps, and comes back. `on` has a function for
 * each message type (docs/protocol.md), after the phone has taken it in, and `status(status, detail)`, `tick(moment,
 * now)` ten times a second, and `counted()` when a number has changed.
 */
export class Phone {
  /**
   * @param {{slug: string, base?: string, feed?: string, getPass?: () => Promise<string>, solver?: string, told?: Told,
   *   storage?: Store, patience?: Patience, on?: Record<string, (...told: any[]) => void>}} options
   * `getPass` is for pages whose own backend gives passes; without it the phone asks as a guest.
   */
  constructor({ slug, base = ownBase(), feed = "", getPass, solver, told = {}, storage, patience, on = {} }) {
    this.on = on;
    this.keep = new Keep(slug, storage);
    this.pass = new Pass({ slug, keep: this.keep, base, solver, patience });
    this.count = new Counter(this.keep);
    this.wins = new Wins(this.keep);
    this.turn = new Turn(this.keep);
    this.viewer = "";
    this.passNow = ""; // of this connection
    this.connection = new Connection({
      slug,
      base,
      hello: async (slow) => {
        this.passNow = getPass ? await getPass() : await this.pass.get({ ...told, slow });
        return { pass: this.passNow, ...(feed ? { feed } : {}) };
      },
      onBadPass: () => this.pass.drop(),
      on: this.listeners(),
    });
    this.reporter = new Reporter(this.connection, this.count);
    this.keep.onForgotten = () => this.end();
    this.keep.onChange = (name) => name === "count" && this.follow();
    this.claim = () => globalThis.document?.hidden || this.turn.claim();
  }

  get clock() {
    return this.connection.clock;
  }

  /** The newest state, with the cues and names that have come since. */
  get state() {
    return this.connection.state;
  }

  start() {
    for (const name of ["visibilitychange", "pointerdown", "keydown", "focusin"]) {
      globalThis.document?.addEventListener(name, this.claim, true); // before the page makes a tap of it
    }
    this.connection.start();
    this.ticking = setInterval(() => this.tick(), TICK_MS);
  }

  stop() {
    clearInterval(this.ticking);
    this.connection.stop();
  }

  /** This phone was told in another tab to forget its viewer. */
  end() {
    this.stop();
    this.on.status?.("refused", { code: "forgotten", message: "" });
  }

  /** Forgets everything of this show, in all tabs; the page should be loaded anew. */
  forget() {
    this.stop();
    this.keep.forget();
  }

  /** Of the segment; what the screens show may be another one, see `shownMoment`. */
  moment() {
    return momentOf(this.state.segment, this.clock.now(), this.state.results);
  }

  /** A stroke, or a tap; whether it counts: while the window is open, and in one tab only. */
  shake() {
    if (this.moment() !== "open" || this.keep.isForgotten() || !this.turn.isMine()) return false;
    this.count.follow();
    this.count.add();
    this.on.counted?.();
    return true;
  }

  tick() {
    if (this.keep.isForgotten()) return;
    const [now, moment] = [this.clock.now(), this.moment()];
    if (!this.hasNews() || this.turn.isMine()) this.reporter.tick(moment, now);
    this.on.tick?.(moment, now);
  }

  hasNews() {
    return this.count.leftover !== null || this.count.own > this.count.acknowledged;
  }

  follow() {
    this.count.follow();
    this.on.counted?.();
  }

  /** @param {Message} message */
  takeState(message) {
    if (message.segment) {
      this.count.begin(message.epoch, message.segment.id);
      this.keep.keepSeals(message.epoch, message.segment);
    }
    this.wins.enter(message.epoch);
    this.wins.compare(message.results.map(withPrizes));
    this.wins.save();
  }

  /** @param {Message} message */
  welcome(message) {
    this.viewer = message.viewer;
    this.keep.remember({ viewer: message.viewer, salt: message.salt, pass: this.passNow });
    this.count.resume(message.viewer, message.epoch, message.state.segment?.id ?? null, message.total);
    this.reporter.begin();
    this.takeState(message.state);
  }

  /** Takes each message in, then tells the page. @returns {Record<string, (...told: any[]) => void>} */
  listeners() {
    /** @type {Record<string, (message: Message) => void>} */
    const takers = {
      welcome: (message) => this.welcome(message),
      state: (message) => this.takeState(message),
      won: (message) => {
        this.wins.take(message);
        this.wins.save();
      },
      ack: (message) => {
        this.count.acknowledge(message);
        this.reporter.acknowledged(message);
      },
      pace: () => this.reporter.followPace(),
      error: (message) => this.reporter.refused(message),
    };
    const passOn = (/** @type {string} */ type) => (/** @type {any[]} */ ...said) => {
      takers[type]?.(said[0]);
      this.on[type]?.(...said);
    };
    const types = new Set([...Object.keys(takers), ...Object.keys(this.on), "status"]);
    return Object.fromEntries([...types].map((type) => [type, passOn(type)]));
  }
}
