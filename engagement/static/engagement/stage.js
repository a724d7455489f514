// The stage page: what everybody in the hall sees. It only watches.
import { byId, make, setRows, setText, show } from "./dom.js";
import { MOMENTS } from "./phrases.js";
import { Connection, resultsOf, shownMoment, unlisted } from "./shake-client.js";
import { countdownText, localized, moreText, nameText, numberText, priceText, prizeText, say } from "./words.js";

const { slug } = document.body.dataset;
// Moments that this page shows like another one.
const SHOWN_AS = { cue: "soon", beacon: "sealed", naming: "drawn" };
const LEADERS = 3; // one line
const WINNERS_AT_ONCE = 12;
const WINNERS_MS = 8000; // as long as that many names take to read
const RELOAD_MS = 15000; // nobody stands beside the big screen to press a button

let pulse = null;

// --- what is shown ---

function tick() {
  const now = connection.clock.now();
  const { state } = connection;
  const precise = shownMoment(state, now);
  const moment = SHOWN_AS[precise] ?? precise;
  document.body.dataset.moment = moment;
  setText("moment", say(MOMENTS[moment]));
  drawCountdown(moment, now);
  drawWinners(now);
  show("live", ["open", "closing"].includes(moment));
  show("sealed", ["sealed", "drawn"].includes(moment) && Boolean(state.segment.seal));
  show("result", moment === "published");
  show("more-to-come", moment === "published" && state.more_to_come);
  show("prizes", ["armed", "soon", "open"].includes(moment) && state.segment.prizes.length > 0);
  show("leaders", ["open", "closing"].includes(moment) && hasLeaders());
}

function drawCountdown(moment, now) {
  const { segment } = connection.state;
  const until = { soon: segment?.opens_at, open: segment?.closes_at }[moment];
  show("countdown", until !== undefined);
  if (until === undefined) return;
  setText("countdown-label", moment === "open" ? say("Closes in") : "");
  setText("seconds", countdownText(until - now));
}

const isOfSegment = () => pulse !== null && pulse.segment === connection.state.segment?.id;
const hasLeaders = () => isOfSegment() && pulse.leaders.length > 0;

function drawPulse() {
  setText("phones", pulse ? numberText(pulse.phones) : "–");
  setText("shakes", numberText(isOfSegment() ? pulse.shakes : 0));
  setText("per-second", numberText(isOfSegment() ? pulse.per_second : 0));
  setRows("leader-list", hasLeaders() ? pulse.leaders.slice(0, LEADERS) : [], ({ name, total }) => {
    const row = make("li");
    row.append(make("span", "name", nameText(name)), make("span", "total", numberText(total)));
    return row;
  });
}

function drawState() {
  const { segment } = connection.state;
  setText("segment", segment ? localized(segment, "title") : "");
  setRows("prize-list", segment ? segment.prizes : [], prizeRow);
  drawSeal(segment?.seals ?? (segment?.seal ? [segment.seal] : []));
  const results = resultsNow();
  show("rehearsal", results.some((result) => result.strength === "rehearsal"));
  setText("unlisted", moreText(unlisted(results)));
  const seals = results.map((result) => `${say("Seal")} ${firstDigits(result.seal)}`);
  setText("result-seal", seals.join(" · "));
}

/** The first 20 digits in groups of four, for people to compare. */
const firstDigits = (seal) => `${seal.slice(0, 20).replace(/(.{4})(?=.)/g, "$1 ")} …`;

function drawSeal(seals) {
  if (!seals.length) return;
  const [seal] = seals;
  setText("seal", seals.map(firstDigits).join(" · "));
  const image = byId("seal-qr");
  const address = image.dataset.address.replace("SEAL", seal);
  if (image.getAttribute("src") !== address) image.setAttribute("src", address);
}

function resultsNow() {
  const { segment, results } = connection.state;
  return segment ? resultsOf(results, segment.id) : [];
}

/** All of them where they fit, else page after page. */
function drawWinners(now) {
  const winners = resultsNow().flatMap((result) => result.winners);
  const pages = Math.max(1, Math.ceil(winners.length / WINNERS_AT_ONCE));
  const first = (Math.floor(now / WINNERS_MS) % pages) * WINNERS_AT_ONCE;
  const shown = winners.slice(first, first + WINNERS_AT_ONCE);
  byId("winners").dataset.size = winners.length > 6 ? "many" : winners.length > 2 ? "some" : "few";
  setRows("winners", shown, winnerRow);
}

function prizeRow(prize) {
  const row = make("li");
  row.append(make("strong", "", localized(prize, "garment")));
  row.append(make("span", "", `${prize.brand} · ${localized(prize, "celebrity")} · ${prize.size}`));
  const times = prize.quantity > 1 ? ` × ${prize.quantity}` : "";
  row.append(make("span", "price", priceText(prize) + times));
  return row;
}

function winnerRow({ name, prize, moved_up }) {
  const row = make("li");
  row.append(make("strong", "", nameText(name)), make("span", "", prizeText(prize)));
  if (moved_up) row.append(make("span", "moved-up", say("moved up")));
  return row;
}

// --- what comes in ---

function takeState() {
  drawState();
  drawPulse();
  tick();
}

function drawStatus(status) {
  document.body.dataset.status = status;
  show("offline", status !== "connected");
  if (status === "refused") setTimeout(() => location.reload(), RELOAD_MS);
}

const connection = new Connection({
  slug,
  hello: async () => ({ role: "screen" }),
  on: {
    status: drawStatus,
    welcome(message) {
      setText("show", localized(message.show, "title"));
      takeState();
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
