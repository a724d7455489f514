// The phone page: counts shakes, reports the total, shows what comes of it.
"use strict";

(() => {
  const { slug, feed } = document.body.dataset;
  const FINAL_SPREAD_MS = 1000; // the last total has to arrive within the grace
  const FINAL_EVERY_MS = 1500;
  const TICK_MS = 100;

  const { identities, wins } = Keep;

  // --- the pass ---

  let pass = null; // of this connection

  const earning = {
    working: (seconds) => Shake.setText("status", Words.say("working", { seconds })),

    /** What the viewer types into the form; an empty one is not taken. */
    askForCode(refusal) {
      Shake.setText("status", ""); // it is the viewer's turn
      Shake.setText("code-wrong", refusal ? Words.say("code_wrong") : "");
      Shake.show("code-form", true);
      if (refusal) Shake.byId("code").select();
      return new Promise((resolve) => {
        Shake.byId("code-form").onsubmit = (event) => {
          event.preventDefault();
          Shake.show("code-form", false);
          // A keyboard for Chinese may type digits as wide as its letters.
          resolve(Shake.byId("code").value.normalize("NFKC").trim());
        };
      });
    },
  };

  // --- the count, and its way to the server ---

  const count = {
    epoch: null, segment: null, viewer: "", own: 0, acknowledged: 0,
    leftover: null, // the last total of the segment before, where the server has not got it yet

    /** Continues from the larger of what this phone and what the server has. */
    resume(viewer, epoch, segment, total) {
      const isSame = (one) => one?.epoch === epoch && one.segment === segment && one.viewer === viewer;
      const before = isSame(this) ? this : Keep.read("count");
      const own = isSame(before) && Number.isInteger(before.own) ? before.own : 0;
      if (epoch !== this.epoch || viewer !== this.viewer) this.leftover = null; // it is of somebody else
      Object.assign(this, { viewer, epoch, segment, own: Math.max(own, total), acknowledged: total });
    },

    begin(epoch, segment) {
      // The database was restored: the server begins this segment anew, and what was counted of it is of another play.
      if (epoch !== this.epoch) Object.assign(this, { epoch, segment: null, own: 0, acknowledged: 0, leftover: null });
      if (segment === this.segment) return;
      // The next segment may be announced while the grace of this one still runs.
      if (this.own > this.acknowledged) this.leftover = { segment: this.segment, total: this.own };
      Object.assign(this, { segment, own: 0, acknowledged: 0 });
    },

    add() {
      this.own += 1;
      this.keep();
    },

    acknowledge({ segment, total }) {
      if (segment === this.leftover?.segment && total >= this.leftover.total) this.leftover = null;
      if (segment !== this.segment) return;
      this.acknowledged = Math.max(this.acknowledged, total);
      this.own = Math.max(this.own, total); // another device of the same viewer
    },

    keep() {
      const { epoch, segment, viewer, own } = this;
      Keep.write("count", { epoch, segment, viewer, own });
    },
  };

  const reporter = {
    at: 0, // server time of the next report
    turnAt: 0, // when it was last the time for one, left out or not
    moment: "", // the moment that `at` was chosen for
    waiting: false, // for the ack of the last report
    done: false, // the server takes no more for this segment

    /** Spreads the phones: everybody's window begins and ends in the same instant. */
    enter(moment, now) {
      const { report_every_ms, jitter_ms } = connection.pace;
      const spread = moment === "open" ? report_every_ms + jitter_ms : Math.min(jitter_ms, FINAL_SPREAD_MS);
      this.at = now + Math.random() * spread;
      this.done = false;
      this.moment = moment;
      this.turnAt = 0;
      this.waiting = false;
    },

    tick(moment, now) {
      if (moment !== this.moment) this.enter(moment, now);
      const report = now < this.at ? null : count.leftover || this.due(moment);
      if (report === null) return;
      this.turnAt = now;
      this.at = now + this.pause(moment);
      // A server that is busy gets no second report before the ack of the first; but one turn is enough to leave out.
      const leavesOut = moment === "open" && this.waiting;
      this.waiting = !leavesOut;
      if (leavesOut) return;
      connection.send("shakes", report);
    },

    /** A new pace holds for the wait that has begun, too. */
    followPace() {
      if (this.moment === "open" && this.turnAt) this.at = this.turnAt + this.pause(this.moment);
    },

    /** The report that this moment asks for, or null. */
    due(moment) {
      const taken = moment === "open" || (moment === "closing" && !this.done);
      return taken && count.own > count.acknowledged ? { segment: count.segment, total: count.own } : null;
    },

    pause(moment) {
      const { report_every_ms, jitter_ms } = connection.pace;
      if (moment === "open") return report_every_ms + Math.random() * jitter_ms;
      return Math.min(report_every_ms, FINAL_EVERY_MS) + Math.random() * 500;
    },

    refused({ code }) {
      if (code !== "not_open") return;
      this.waiting = false;
      // While the window is open by our clock it opens by the server's in a moment; after it there is nothing to add.
      if (count.leftover) count.leftover = null;
      else if (this.moment === "closing") this.done = true;
    },
  };

  // --- shaking ---

  const THRESHOLD = 11; // m/s² beside gravity: walking stays below, a shake goes well above
  const GAP_MS = 110;

  const sensor = {
    heard: false, lastAt: 0, gravity: 9.81,

    onMotion(event) {
      const strength = sensor.strength(event);
      if (strength === null) return;
      if (!sensor.heard) {
        sensor.heard = true;
        Shake.show("sensor", false);
        Shake.setText("how", Words.say("sensor_on"));
      }
      if (strength > THRESHOLD && event.timeStamp - sensor.lastAt > GAP_MS) {
        sensor.lastAt = event.timeStamp;
        shaken();
      }
    },

    /** The acceleration beside gravity; null where the device measures none. */
    strength({ acceleration, accelerationIncludingGravity }) {
      const pure = sensor.length(acceleration);
      if (pure !== null) return pure;
      const raw = sensor.length(accelerationIncludingGravity);
      if (raw === null) return null;
      sensor.gravity = 0.9 * sensor.gravity + 0.1 * raw;
      return Math.abs(raw - sensor.gravity);
    },

    length(vector) {
      if (!vector || vector.x === null || vector.x === undefined) return null;
      return Math.hypot(vector.x, vector.y, vector.z);
    },

    async ask() {
      const answer = await DeviceMotionEvent.requestPermission().catch(() => "denied");
      Shake.show("sensor", false);
      if (answer === "granted") sensor.expect();
      else Shake.setText("how", Words.say("sensor_denied"));
    },

    expect() {
      setTimeout(() => sensor.heard || Shake.setText("how", Words.say("sensor_silent")), 2000);
    },

    start() {
      if (!window.isSecureContext) return Shake.setText("how", Words.say("sensor_insecure"));
      if (!("DeviceMotionEvent" in window)) return Shake.setText("how", Words.say("sensor_missing"));
      window.addEventListener("devicemotion", sensor.onMotion);
      // On some phones only a press of a button opens the sensor; on others it speaks at once.
      if (typeof DeviceMotionEvent.requestPermission === "function") return Shake.show("sensor", true);
      return sensor.expect();
    },
  };

  function shaken() {
    if (momentNow() !== "open") return;
    count.add();
    drawCount();
    const button = Shake.byId("tap");
    button.classList.remove("hit");
    void button.offsetWidth; // starts the animation again
    button.classList.add("hit");
  }

  let wakeLock = null;
  async function keepAwake() {
    if (!navigator.wakeLock || (wakeLock && !wakeLock.released) || document.hidden) return;
    wakeLock = await navigator.wakeLock.request("screen").catch(() => null);
  }

  // --- what is shown ---

  let state = { segment: null, results: [], more_to_come: false };

  const momentNow = () => Shake.momentOf(state.segment, connection.clock.now());

  function tick() {
    const now = connection.clock.now();
    const moment = Shake.momentOf(state.segment, now);
    reporter.tick(moment, now);
    drawMoment(moment, now);
    drawCount();
  }

  function drawMoment(moment, now) {
    document.body.dataset.moment = moment;
    Shake.setText("moment", Words.say(`moment_${moment}`));
    const until = { soon: state.segment?.opens_at, open: state.segment?.closes_at }[moment];
    Shake.show("countdown", until !== undefined);
    if (until !== undefined) Shake.setText("countdown", Words.countdownText(until - now));
    Shake.byId("tap").disabled = moment !== "open";
    Shake.show("counter", ["open", "closing"].includes(moment) || count.own > 0);
    Shake.show("shaking", ["idle", "armed", "soon", "open"].includes(moment));
    Shake.show("prizes", Boolean(state.segment?.prizes.length) && !["published", "void", "spoiled"].includes(moment));
    Shake.show("result", moment === "published");
  }

  function drawCount() {
    Shake.setText("own", Words.numberText(count.own));
    Shake.setText("acknowledged", Words.say("counted", { total: count.acknowledged }));
  }

  function drawState() {
    const segment = state.segment;
    Shake.setText("segment", segment ? Words.localized(segment, "title") : "");
    Shake.setRows("prize-list", segment ? segment.prizes : [], prizeRow);
    const results = segment ? Shake.resultsOf(state.results, segment.id) : [];
    Shake.setRows("winners", results.flatMap((result) => result.winners), winnerRow);
    Shake.setRows("checks", state.results.map((result) => result.draw), checkRow);
    Shake.show("checks", state.results.length > 0);
    Shake.show("rehearsal", results.some((result) => result.strength === "rehearsal"));
    Shake.setText("unlisted", Shake.moreText(results));
    const mine = results.some((result) => wins.has(result.draw));
    Shake.setText("not-won", Words.say(state.more_to_come ? "not_won_more" : "not_won"));
    Stubs.show(connection.position.epoch, segment?.id ?? null, results, phones);
    Shake.show("not-won", results.length > 0 && count.acknowledged > 0 && !mine);
  }

  function prizeRow(prize) {
    const row = Shake.make("li", "", Words.prizeText(prize));
    if (prize.quantity > 1) row.append(Shake.make("span", "times", ` × ${prize.quantity}`));
    row.append(Shake.make("span", "price", Words.say("worth", { price: Words.priceText(prize) })));
    return row;
  }

  function winnerRow(winner) {
    const row = Shake.make("li", identities.has(winner.pseudonym) ? "me" : "");
    row.append(Shake.make("strong", "", winner.name), Shake.make("span", "", Words.prizeText(winner.prize)));
    if (winner.moved_up) row.append(Shake.make("span", "moved-up", Words.say("moved_up")));
    return row;
  }

  /** The way to the receipt, for those who have not won above all. */
  function checkRow(draw) {
    const [row, link] = [Shake.make("li"), Shake.make("a", "", Words.say("check", { draw: String(draw) }))];
    link.href = `/draws/${Number(draw)}/?lang=${Words.language}`;
    row.append(link);
    return row;
  }

  let phones = 0; // in the whole show, as the newest pulse says
  let viewer = ""; // who this phone is now

  async function takeStub(message) {
    const { epoch } = connection.position;
    if (await Stubs.take(epoch, message, { show: slug, viewer })) drawState();
  }

  function drawWon() {
    wins.keep();
    const shown = wins.shown(connection.clock.now());
    Shake.show("won", shown.length > 0);
    Shake.setRows("won-list", shown, (win) => {
      const row = Shake.make("div", "win");
      const state = win.status === "claimed" ? claimed() : claimable(win);
      row.append(Shake.make("p", "garment", Words.prizeText(win.prize)), ...state);
      return row;
    });
  }

  const claimed = () => [Shake.make("p", "claimed", Words.say("is_claimed"))];
  const claimable = ({ claim_by, claim_url }) => [
    Shake.make("p", "", Words.say("claim_by", { time: Words.timeText(claim_by) })),
    claimLink(claim_url),
  ];

  function claimLink(address) {
    const link = Shake.make("a", "button", Words.say("claim"));
    const url = new URL(address, location.href);
    if (["http:", "https:"].includes(url.protocol)) link.href = url.href;
    return link;
  }

  function drawStatus(status, { waitMs = 0, code = "", message = "" }) {
    document.body.dataset.status = status;
    const values = { seconds: Math.ceil(waitMs / 1000), minutes: Math.ceil(waitMs / 60000), message: message || code };
    const known = [`refused_${code}`, `waiting_${code}`].find((key) => key.startsWith(status) && Words.has(key));
    Shake.setText("status", Words.say(known || `status_${status}`, values));
    Shake.show("again", status === "refused");
  }

  // --- what comes in ---

  function takeState(message) {
    state = { segment: message.segment, results: message.results, more_to_come: message.more_to_come };
    if (state.segment) {
      count.begin(message.epoch, state.segment.id);
      Keep.keepSeals(message.epoch, state.segment);
    }
    wins.enter(message.epoch);
    wins.compare(state.results.map(Shake.withPrizes));
    drawState();
    drawWon();
    tick();
  }

  const connection = new Shake.Connection({
    slug,
    hello: async () => {
      pass = await Pass.get(earning);
      return { pass, ...(feed ? { feed } : {}) };
    },
    onBadPass: () => Keep.write("pass", null),
    on: {
      status: drawStatus,
      welcome(message) {
        viewer = message.viewer;
        reporter.waiting = false; // what was not answered on the last connection is said again
        identities.remember({ ...message, pass });
        count.resume(message.viewer, message.epoch, message.state.segment?.id ?? null, message.total);
        Shake.setText("show", Words.localized(message.show, "title"));
        Shake.setText("you", Words.say("you_are", { name: Shake.stageName(message.viewer) }));
        Shake.setText("number", message.viewer);
        reporter.moment = "";
        takeState(message.state);
      },
      state: takeState,
      won(message) {
        wins.take(message);
        drawState();
        drawWon();
      },
      ack(message) {
        count.acknowledge(message);
        reporter.waiting = false;
      },
      pace: () => reporter.followPace(),
      pulse: (message) => (phones = message.phones),
      stub: takeStub,
      error: (message) => reporter.refused(message),
    },
  });

  /** On a device that others use: whoever comes next must not claim or decline as this viewer. */
  function askToForget() {
    const asked = Shake.byId("forget-sure").hidden;
    for (const id of ["forget-what", "forget-sure"]) Shake.show(id, asked);
  }

  function forget() {
    Keep.forget();
    location.reload();
  }

  Shake.byId("tap").addEventListener("pointerdown", shaken);
  Shake.byId("tap").addEventListener("keydown", (event) => event.key === "Enter" && !event.repeat && shaken());
  Shake.byId("sensor").addEventListener("click", sensor.ask);
  Shake.byId("again").addEventListener("click", () => location.reload());
  Shake.byId("forget").addEventListener("click", askToForget);
  Shake.byId("forget-sure").addEventListener("click", forget);
  document.addEventListener("pointerdown", keepAwake);
  document.addEventListener("visibilitychange", keepAwake);
  sensor.start();
  connection.start();
  setInterval(tick, TICK_MS);
})();
