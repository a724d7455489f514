// The phone page: counts shakes, and shows what comes of them. All that takes part is in shake-client.js.
import { byId, make, setRows, setText, show } from "./dom.js";
import {
  CLAIM_BY, MOMENTS, NOT_WON, OVERLOADED, REFUSED, SENSOR, STATUSES, WORKING, WRONG_CODE,
} from "./phrases.js";
import { Motion, Phone, resultsOf, stageName, unlisted, WakeLock } from "./shake-client.js";
import { showStub } from "./stub_card.js";
import { Stubs } from "./stubs.js";
import {
  countdownText, language, localized, moreText, nameText, numberText, priceText, prizeText, say, timeText,
} from "./words.js";

const { slug, feed, solver } = document.body.dataset;
const BY_CODE = { refused: REFUSED, overloaded: OVERLOADED };
// Moments that this page shows like another one.
const SHOWN_AS = { cue: "soon", beacon: "sealed", naming: "drawn" };

// --- the pass ---

const told = {
  working: (seconds) => setText("status", say(WORKING, { seconds })),

  /** What the viewer types into the form; an empty one is not taken. */
  askForCode(refusal) {
    setText("status", ""); // it is the viewer's turn
    setText("code-wrong", refusal ? say(WRONG_CODE) : "");
    show("code-form", true);
    if (refusal) byId("code").select();
    return new Promise((resolve) => {
      byId("code-form").onsubmit = (event) => {
        event.preventDefault();
        show("code-form", false);
        // A keyboard for Chinese may type digits as wide as its letters.
        resolve(byId("code").value.normalize("NFKC").trim());
      };
    });
  },
};

const phone = new Phone({
  slug, feed, solver, told,
  on: {
    status: drawStatus,
    welcome(message) {
      setText("show", localized(message.show, "title"));
      setText("you", say("You are {name}", { name: nameText(stageName(message.viewer)) }));
      setText("number", message.viewer);
      drawAll();
    },
    state: drawAll,
    won: drawAll,
    counted: drawCount,
    tick: drawTick,
    pulse: (message) => (phones = message.phones),
    stub: takeStub,
  },
});
const { wins } = phone;
const stubs = new Stubs(phone.keep);
let phones = 0; // in the whole show, as the newest pulse says

// --- shaking ---

const motion = new Motion({
  onShake: shaken,
  onReason(reason) {
    show("sensor", reason === "ask");
    setText("how", reason === "ask" ? "" : say(SENSOR[reason]));
  },
});

function shaken() {
  if (!phone.shake()) return;
  const button = byId("tap");
  button.classList.remove("hit");
  void button.offsetWidth; // starts the animation again
  button.classList.add("hit");
}

function tapByKey(event) {
  if (!["Enter", " "].includes(event.key)) return;
  event.preventDefault();
  if (!event.repeat) shaken();
}

// --- what is shown ---

function drawAll() {
  drawState();
  drawWon();
  drawTick(phone.moment(), phone.clock.now());
}

let drawn = ""; // which results and wins: some are there, and not to be shown yet

function drawTick(moment, now) {
  const due = [phone.state.results.filter((result) => !(result.shown_at > now)).length, wins.shown(now).length].join();
  if (due !== drawn) {
    drawState();
    drawWon();
  }
  drawn = due;
  drawMoment(SHOWN_AS[moment] ?? moment, now);
  drawCount();
}

function drawMoment(moment, now) {
  const { segment } = phone.state;
  document.body.dataset.moment = moment;
  setText("moment", say(MOMENTS[moment]));
  const until = { soon: segment?.opens_at, open: segment?.closes_at }[moment];
  show("countdown", until !== undefined);
  if (until !== undefined) setText("countdown", countdownText(until - now));
  byId("tap").disabled = moment !== "open";
  show("counter", ["open", "closing"].includes(moment) || phone.count.own > 0);
  show("shaking", ["idle", "armed", "soon", "open"].includes(moment));
  show("prizes", Boolean(segment?.prizes.length) && !["published", "void", "spoiled"].includes(moment));
  show("result", moment === "published");
}

function drawCount() {
  setText("own", numberText(phone.count.own));
  setText("acknowledged", say("{total} of them are counted", { total: phone.count.acknowledged }));
}

function drawState() {
  const { segment, results: all, more_to_come } = phone.state;
  setText("segment", segment ? localized(segment, "title") : "");
  setRows("prize-list", segment ? segment.prizes : [], prizeRow);
  const results = segment ? resultsOf(all, segment.id, phone.clock.now()) : [];
  setRows("winners", results.flatMap((result) => result.winners), winnerRow);
  setRows("checks", all.map((result) => result.draw), checkRow);
  show("checks", all.length > 0);
  show("rehearsal", results.some((result) => result.strength === "rehearsal"));
  setText("unlisted", moreText(unlisted(results)));
  const mine = results.some((result) => wins.has(result.draw));
  setText("not-won", say(more_to_come ? NOT_WON.more : NOT_WON.last));
  showStub(stubs, phone.connection.position.epoch, segment?.id ?? null, results, phones);
  show("not-won", results.length > 0 && phone.count.acknowledged > 0 && !mine);
}

function prizeRow(prize) {
  const row = make("li", "", prizeText(prize));
  if (prize.quantity > 1) row.append(make("span", "times", ` × ${prize.quantity}`));
  row.append(make("span", "price", say("worth {price}", { price: priceText(prize) })));
  return row;
}

function winnerRow(winner) {
  const row = make("li", phone.keep.has(winner.pseudonym) ? "me" : "");
  row.append(make("strong", "", nameText(winner.name)), make("span", "", prizeText(winner.prize)));
  if (winner.moved_up) row.append(make("span", "moved-up", say("moved up")));
  return row;
}

/** The way to the receipt, for those who have not won above all. */
function checkRow(draw) {
  const [row, link] = [make("li"), make("a", "", say("Check this draw (number {draw})", { draw: String(draw) }))];
  link.href = `/draws/${Number(draw)}/?lang=${language}`;
  row.append(link);
  return row;
}

async function takeStub(message) {
  const { epoch } = phone.connection.position;
  if (await stubs.take(epoch, message, { show: slug, viewer: phone.viewer })) drawState();
}

function drawWon() {
  const shown = wins.shown(phone.clock.now());
  show("won", shown.length > 0);
  setRows("won-list", shown, (win) => {
    const row = make("div", "win");
    const state = win.status === "claimed" ? claimed() : claimable(win);
    row.append(make("p", "garment", prizeText(win.prize)), ...state);
    return row;
  });
}

const claimed = () => [make("p", "claimed", say("You have claimed it. It is yours."))];
const claimable = ({ claim_by, claim_url }) => [
  make("p", "", say(CLAIM_BY, { time: timeText(claim_by) })),
  claimLink(claim_url),
];

function claimLink(address) {
  const link = make("a", "button", say("Claim it"));
  const url = new URL(address, location.href);
  if (["http:", "https:"].includes(url.protocol)) link.href = url.href;
  return link;
}

function drawStatus(status, { waitMs = 0, code = "", message = "" }) {
  document.body.dataset.status = status;
  const values = { seconds: Math.ceil(waitMs / 1000), minutes: Math.ceil(waitMs / 60000), message: message || code };
  setText("status", say(BY_CODE[status]?.[code] ?? STATUSES[status], values));
  show("again", status === "refused");
}

/** On a device that others use: whoever comes next must not claim or decline as this viewer. */
function askToForget() {
  const asked = byId("forget-sure").hidden;
  for (const id of ["forget-what", "forget-sure"]) show(id, asked);
}

function forget() {
  phone.forget();
  location.reload();
}

byId("tap").addEventListener("pointerdown", shaken);
byId("tap").addEventListener("keydown", tapByKey);
byId("sensor").addEventListener("click", () => motion.ask());
byId("again").addEventListener("click", () => location.reload());
byId("forget").addEventListener("click", askToForget);
byId("forget-sure").addEventListener("click", forget);
new WakeLock().start();
motion.start();
phone.start();
