// What the phone page and the stage page share: the socket (docs/protocol.md), the clock, and the elements of the page.
// A classic script, so that both files have hashed names; it adds one name to the page: Shake.
"use strict";

const Shake = (() => {
  const PROTOCOL = "shake.v1";
  // 4409: newer tabs or devices of this viewer. Whoever would come back by itself would push one of those out.
  const NEVER_AGAIN = new Set([4400, 4404, 4409, 4413, 1009]);
  const BAD_PASS = 4401;
  const WATCH_MS = 5000;
  const SILENT_MS = 15000; // pulses come every 10 s; after that long the socket is asked whether it still lives
  const DEAD_MS = 25000;
  const SYNC_MS = 60000;
  const RESYNC_PAUSE_MS = 3000; // a gateway that is behind itself is not asked at every pulse

  // --- time ---

  /** Server time, from the sample with the shortest way; see `sync` in docs/protocol.md. */
  class Clock {
    constructor() {
      this.offset = 0;
      this.samples = [];
    }

    now() {
      return Date.now() + this.offset;
    }

    /** A first guess, off by the time that the message was under way. */
    reset(serverNow) {
      this.samples = [];
      this.offset = serverNow - Date.now();
    }

    learn({ t0, t1, t2 }, t3 = Date.now()) {
      const sample = { trip: t3 - t0 - (t2 - t1), offset: (t1 - t0 + (t2 - t3)) / 2 };
      const [best] = this.samples;
      // A jump that the ways cannot explain: somebody has set this device's clock.
      const jumped = best && Math.abs(best.offset - sample.offset) > (best.trip + sample.trip) / 2 + 50;
      this.samples = jumped ? [sample] : [...this.samples, sample].sort((a, b) => a.trip - b.trip).slice(0, 8);
      this.offset = this.samples[0].offset;
    }
  }

  // --- the socket ---

  /** Milliseconds to wait before the next connection, or null for never; the table of close codes. */
  function waitAfter({ code, reason, attempt, spreadMs, random = Math.random }) {
    if (NEVER_AGAIN.has(code)) return null;
    if (code === 4429 || code === 4503) return retryOf(reason) * (1 + random());
    if (code === 1012) return random() * 5000;
    if (attempt === 0 && code !== BAD_PASS && code !== 4408) return random() * spreadMs;
    return random() * Math.min(20000, 500 * 2 ** attempt);
  }

  function retryOf(reason) {
    const found = /retry=(\d+)/.exec(reason || "");
    return found ? Number(found[1]) : 2000;
  }

  /** Why there is no pass. `retryMs` null: asking again does not help. */
  class PassRefused extends Error {
    constructor(code, message, retryMs) {
      super(message);
      this.code = code;
      this.retryMs = retryMs;
    }
  }

  /**
   * One lasting conversation with a show: reconnects, keeps the clock, sees gaps.
   * `hello` returns the fields of the hello (a promise); `on` has a function per message type, and `status`.
   */
  class Connection {
    constructor({ slug, hello, on, onBadPass = () => {} }) {
      const scheme = location.protocol === "https:" ? "wss:" : "ws:";
      this.url = `${scheme}//${location.host}/ws/shows/${encodeURIComponent(slug)}/`;
      Object.assign(this, { hello, on, onBadPass });
      this.clock = new Clock();
      this.pace = { report_every_ms: 1000, jitter_ms: 500, spread_ms: 5000 };
      this.position = { epoch: null, seq: -1 };
      this.attempt = 0;
      this.welcomed = false;
      this.lastError = null;
    }

    start() {
      setInterval(() => this.watch(), WATCH_MS);
      document.addEventListener("visibilitychange", () => document.hidden || this.probe());
      window.addEventListener("online", () => this.probe());
      this.connect();
    }

    async connect() {
      this.tell("connecting");
      let hello;
      try {
        hello = await this.hello();
      } catch (refusal) {
        this.refused(refusal);
        return;
      }
      this.openSocket(hello);
    }

    openSocket(hello) {
      const socket = new WebSocket(this.url, PROTOCOL);
      this.socket = socket;
      this.heardAt = Date.now();
      socket.onopen = () => this.send("hello", hello);
      socket.onmessage = (event) => this.socket === socket && this.receive(JSON.parse(event.data));
      socket.onclose = (event) => this.socket === socket && this.lost(event.code, event.reason);
    }

    /** Sends one message where that is possible now; before the welcome nothing but hello. */
    send(type, fields = {}) {
      const open = this.socket && this.socket.readyState === WebSocket.OPEN;
      if (!open || (type !== "hello" && !this.welcomed)) return false;
      this.socket.send(JSON.stringify({ type, ...fields }));
      return true;
    }

    tell(status, detail = {}) {
      this.on.status(status, detail);
    }

    // --- losing it ---

    refused(refusal) {
      if (refusal.retryMs === null) {
        this.tell("refused", { code: refusal.code, message: refusal.message });
        return;
      }
      const backoff = Math.random() * Math.min(20000, 500 * 2 ** this.attempt);
      this.again(refusal.retryMs ? refusal.retryMs * (1 + Math.random()) : backoff, refusal.code);
    }

    lost(code, reason) {
      this.socket = null;
      this.welcomed = false;
      clearTimeout(this.resyncTimer);
      this.resyncTimer = null;
      if (code === BAD_PASS) this.onBadPass();
      const wait = waitAfter({ code, reason, attempt: this.attempt, spreadMs: this.pace.spread_ms });
      if (wait === null) this.tell("refused", this.lastError || { code: String(code), message: reason });
      else this.again(wait);
    }

    again(waitMs, code = "") {
      this.attempt += 1;
      this.tell("waiting", { waitMs, code });
      setTimeout(() => this.connect(), waitMs);
    }

    /** Silence is no proof of death while Redis is away: a sync is answered by the gateway alone. */
    watch() {
      if (!this.socket) return;
      const silentMs = Date.now() - this.heardAt;
      if (silentMs > DEAD_MS) this.drop();
      else if (!this.welcomed) return;
      else if (silentMs > SILENT_MS || Date.now() - this.syncedAt > SYNC_MS) this.sync();
    }

    probe() {
      // After a sleep the socket may be dead without anybody having told us: an answer must come within 5 s.
      if (!this.welcomed) return;
      this.heardAt = Math.min(this.heardAt, Date.now() - DEAD_MS + WATCH_MS);
      this.sync();
    }

    drop() {
      const socket = this.socket;
      this.socket = null;
      if (socket) socket.close();
      this.lost(1006, "");
    }

    sync() {
      this.syncedAt = Date.now();
      this.send("sync", { t0: Date.now() });
    }

    // --- what comes in ---

    receive(message) {
      this.heardAt = Date.now();
      const take = this[`take_${message.type}`];
      if (take && take.call(this, message) === false) return;
      const tell = this.on[message.type];
      if (tell) tell(message);
    }

    take_welcome(message) {
      this.attempt = 0;
      this.welcomed = true;
      this.lastError = null;
      this.take_pace(message);
      this.clock.reset(message.now);
      this.position = { epoch: message.epoch, seq: message.seq };
      this.sync();
      setTimeout(() => this.welcomed && this.sync(), 700);
      this.tell("connected");
    }

    /**
     * An older state is dropped; one of a new epoch never is. One of the same number says who holds the prizes now:
     * screens get it with every claim.
     */
    take_state({ epoch, seq }) {
      const older = epoch === this.position.epoch && seq < this.position.seq;
      if (!older) this.position = { epoch, seq };
      return !older;
    }

    take_pulse({ epoch, seq }) {
      if (epoch !== this.position.epoch || seq > this.position.seq) this.resync();
    }

    take_pace({ report_every_ms, jitter_ms, spread_ms }) {
      this.pace = { report_every_ms, jitter_ms, spread_ms };
    }

    take_synced(message) {
      this.clock.learn(message);
    }

    take_error({ code, message }) {
      this.lastError = { code, message };
    }

    resync() {
      if (this.resyncTimer) return;
      this.resyncTimer = setTimeout(() => {
        this.send("resync");
        this.resyncTimer = setTimeout(() => (this.resyncTimer = null), RESYNC_PAUSE_MS);
      }, Math.random() * this.pace.jitter_ms);
    }
  }

  // --- what a segment is at this moment ---

  /** idle, armed, soon, open, closing, sealed, drawn, published, void, spoiled: by the clock, not the last message. */
  function momentOf(segment, now) {
    if (!segment) return "idle";
    if (!["armed", "open", "closing"].includes(segment.phase)) return segment.phase;
    if (segment.opens_at === null) return "armed";
    if (now < segment.opens_at) return "soon";
    return now < segment.closes_at ? "open" : "closing";
  }

  /** The results of one segment; a winner names its prize by its number, which stands here in its place. */
  function resultsOf(results, segmentId) {
    return results.filter((result) => result.segment === segmentId).map(withPrizes);
  }

  function withPrizes(result) {
    const prizes = new Map(result.prizes.map((prize) => [prize.id, prize]));
    return { ...result, winners: result.winners.map((winner) => ({ ...winner, prize: prizes.get(winner.prize) })) };
  }

  /** How many winners of these results are not listed in them. */
  function unlisted(results) {
    return results.reduce((count, result) => count + result.winners_total - result.winners.length, 0);
  }

  /** "and 980 more: /draws/", where not all winners are listed. */
  function moreText(results) {
    const count = unlisted(results);
    return count > 0 ? Words.sayCount("unlisted", count) : "";
  }

  // --- names ---

  const COLOURS = ["Amber", "Azure", "Brave", "Bright", "Calm", "Clever", "Coral", "Crimson", "Gentle", "Golden",
    "Happy", "Indigo", "Ivory", "Jade", "Kind", "Lucky", "Merry", "Noble", "Pearl", "Proud", "Quick", "Quiet",
    "Rose", "Royal", "Ruby", "Sapphire", "Scarlet", "Silver", "Sunny", "Swift", "Teal", "Violet"];
  const THINGS = ["Anchor", "Aurora", "Bamboo", "Breeze", "Bridge", "Butterfly", "Camellia", "Cedar", "Cherry",
    "Cloud", "Comet", "Compass", "Crane", "Crystal", "Deer", "Dolphin", "Dragon", "Eagle", "Falcon", "Feather",
    "Firefly", "Fountain", "Fox", "Garden", "Harbour", "Heron", "Island", "Jasmine", "Kite", "Koala", "Lake",
    "Lantern", "Lark", "Lemon", "Lily", "Lion", "Lotus", "Magpie", "Maple", "Meadow", "Melody", "Moon", "Mountain",
    "Orchid", "Otter", "Owl", "Panda", "Peach", "Penguin", "Peony", "Phoenix", "Pine", "Rainbow", "River", "Robin",
    "Sail", "Shell", "Spring", "Star", "Sunrise", "Swallow", "Tiger", "Tulip", "Willow"];

  /** The viewer's name on screen, as engagement/core/names.py makes it. */
  function stageName(pseudonym) {
    const byte = (index) => parseInt(pseudonym.slice(2 * index, 2 * index + 2), 16);
    return `${COLOURS[byte(2) % 32]} ${THINGS[byte(3) % 64]} ${10 + ((byte(4) * 256 + byte(5)) % 90)}`;
  }

  // --- the page ---

  const byId = (id) => document.getElementById(id);

  function setText(id, text) {
    const element = byId(id);
    if (element.textContent !== text) element.textContent = text;
  }

  function show(id, visible) {
    byId(id).hidden = !visible;
  }

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  /** Replaces the children of an element, unless they would be the same. */
  function setRows(id, rows, build) {
    const element = byId(id);
    const key = JSON.stringify(rows);
    if (element.dataset.rows === key) return;
    element.dataset.rows = key;
    element.replaceChildren(...rows.map(build));
  }

  return {
    BAD_PASS, Clock, Connection, PassRefused, byId, make, momentOf, moreText, resultsOf, setRows, setText, show,
    stageName, waitAfter, withPrizes,
  };
})();
