// The stage page: what everybody in the hall sees. It only watches.
"use strict";

(() => {
  const { slug } = document.body.dataset;
  const LEADERS = 3; // one line
  const WINNERS_AT_ONCE = 12;
  const WINNERS_MS = 8000; // as long as that many names take to read
  const RELOAD_MS = 15000; // nobody stands beside the big screen to press a button

  let state = { segment: null, results: [], more_to_come: false };
  let pulse = null;

  // --- what is shown ---

  function tick() {
    const now = connection.clock.now();
    const moment = Shake.momentOf(state.segment, now);
    document.body.dataset.moment = moment;
    Shake.setText("moment", Words.say(`moment_${moment}`));
    drawCountdown(moment, now);
    drawWinners(now);
    Shake.show("live", ["open", "closing"].includes(moment));
    Shake.show("sealed", ["sealed", "drawn"].includes(moment) && Boolean(state.segment.seal));
    Shake.show("result", moment === "published");
    Shake.show("more-to-come", moment === "published" && state.more_to_come);
    Shake.show("prizes", ["armed", "soon", "open"].includes(moment) && state.segment.prizes.length > 0);
    Shake.show("leaders", ["open", "closing"].includes(moment) && hasLeaders());
  }

  function drawCountdown(moment, now) {
    const until = { soon: state.segment?.opens_at, open: state.segment?.closes_at }[moment];
    Shake.show("countdown", until !== undefined);
    if (until === undefined) return;
    Shake.setText("countdown-label", moment === "open" ? Words.say("closes_in") : "");
    Shake.setText("seconds", Words.countdownText(until - now));
  }

  const isOfSegment = () => pulse !== null && pulse.segment === state.segment?.id;
  const hasLeaders = () => isOfSegment() && pulse.leaders.length > 0;

  function drawPulse() {
    Shake.setText("phones", pulse ? Words.numberText(pulse.phones) : "–");
    Shake.setText("shakes", Words.numberText(isOfSegment() ? pulse.shakes : 0));
    Shake.setText("per-second", Words.numberText(isOfSegment() ? pulse.per_second : 0));
    Shake.setRows("leader-list", hasLeaders() ? pulse.leaders.slice(0, LEADERS) : [], ({ name, total }) => {
      const row = Shake.make("li");
      row.append(Shake.make("span", "name", name), Shake.make("span", "total", Words.numberText(total)));
      return row;
    });
  }

  function drawState() {
    const segment = state.segment;
    Shake.setText("segment", segment ? Words.localized(segment, "title") : "");
    Shake.setRows("prize-list", segment ? segment.prizes : [], prizeRow);
    drawSeal(segment?.seals ?? (segment?.seal ? [segment.seal] : []));
    const results = resultsNow();
    Shake.show("rehearsal", results.some((result) => result.strength === "rehearsal"));
    Shake.setText("unlisted", Shake.moreText(results));
    const seals = results.map((result) => `${Words.say("seal")} ${firstDigits(result.seal)}`);
    Shake.setText("result-seal", seals.join(" · "));
  }

  /** The first 20 digits in groups of four, for people to compare. */
  const firstDigits = (seal) => `${seal.slice(0, 20).replace(/(.{4})(?=.)/g, "$1 ")} …`;

  function drawSeal(seals) {
    if (!seals.length) return;
    const [seal] = seals;
    Shake.setText("seal", seals.map(firstDigits).join(" · "));
    const image = Shake.byId("seal-qr");
    const address = image.dataset.address.replace("SEAL", seal);
    if (image.getAttribute("src") !== address) image.setAttribute("src", address);
  }

  const resultsNow = () => (state.segment ? Shake.resultsOf(state.results, state.segment.id) : []);

  /** All of them where they fit, else page after page. */
  function drawWinners(now) {
    const winners = resultsNow().flatMap((result) => result.winners);
    const pages = Math.max(1, Math.ceil(winners.length / WINNERS_AT_ONCE));
    const first = (Math.floor(now / WINNERS_MS) % pages) * WINNERS_AT_ONCE;
    const shown = winners.slice(first, first + WINNERS_AT_ONCE);
    Shake.byId("winners").dataset.size = winners.length > 6 ? "many" : winners.length > 2 ? "some" : "few";
    Shake.setRows("winners", shown, winnerRow);
  }

  function prizeRow(prize) {
    const row = Shake.make("li");
    row.append(Shake.make("strong", "", Words.localized(prize, "garment")));
    row.append(Shake.make("span", "", `${prize.brand} · ${Words.localized(prize, "celebrity")} · ${prize.size}`));
    const times = prize.quantity > 1 ? ` × ${prize.quantity}` : "";
    row.append(Shake.make("span", "price", Words.priceText(prize) + times));
    return row;
  }

  function winnerRow({ name, prize, moved_up }) {
    const row = Shake.make("li");
    row.append(Shake.make("strong", "", name), Shake.make("span", "", Words.prizeText(prize)));
    if (moved_up) row.append(Shake.make("span", "moved-up", Words.say("moved_up")));
    return row;
  }

  // --- what comes in ---

  function takeState(message) {
    state = { segment: message.segment, results: message.results, more_to_come: message.more_to_come };
    drawState();
    drawPulse();
    tick();
  }

  function drawStatus(status) {
    document.body.dataset.status = status;
    Shake.show("offline", status !== "connected");
    if (status === "refused") setTimeout(() => location.reload(), RELOAD_MS);
  }

  const connection = new Shake.Connection({
    slug,
    hello: async () => ({ role: "screen" }),
    on: {
      status: drawStatus,
      welcome(message) {
        Shake.setText("show", Words.localized(message.show, "title"));
        takeState(message.state);
      },
      state: takeState,
      pulse(message) {
        pulse = message;
        drawPulse();
      },
    },
  });

  connection.start();
  setInterval(tick, 100);
})();
