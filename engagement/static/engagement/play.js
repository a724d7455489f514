// The phone page: counts shakes, and shows what comes of them. All that takes part is in shake-client.js, what each
// moment looks like in scenes.js.
import { byId, make, setRows, setText, show } from "./dom.js";
import { announce, Countdown, Once } from "./herald.js";
import { nudge, strike } from "./meter.js";
import { ELSEWHERE, OVERLOADED, REFUSED, SENSOR, SLEPT, STATUSES, WORKING, WRONG_CODE } from "./phrases.js";
import { SCENES, shortSeal } from "./scenes.js";
import { Motion, namedOf, Phone, resultsOf, shownMoment, stageName, vibrate, WakeLock } from "./shake-client.js";
import { showStub } from "./stub_card.js";
import { Stubs } from "./stubs.js";
import { drawWins } from "./wins.js";
import { language, localized, nameText, priceText, prizeText, say } from "./words.js";

const { slug, feed, solver } = document.body.dataset;
const BY_CODE = { refused: REFUSED, overloaded: OVERLOADED };
const SLEPT_MS = 30000;
const ASIDE_MS = 6000;
const BUZZ = { tick: 40, counted: 20, time: 400 };
const TAPS = ["idle", "armed", "soon", "cue", "open"];

// --- the pass ---

const told = {
  working(seconds) {
    document.body.dataset.works = "";
    setText("status", say(WORKING, { seconds }));
  },

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
      met = true;
      setText("you", say("You are {name}", { name: nameText(stageName(message.viewer)) }));
      setText("number", message.viewer);
      buzzed = Math.floor(phone.count.acknowledged / 10);
      draw();
    },
    state: draw,
    named: draw,
    cue: draw,
    won: draw,
    counted: drawNumbers,
    ack: counted,
    tick: draw,
    pulse: (message) => (phones = message.phones),
    stub: takeStub,
  },
});
const stubs = new Stubs(phone.keep);
let phones = 0; // in the whole show, as the newest pulse says
let met = false; // the server has welcomed this phone since the page was loaded
let status = { name: "connecting", waitMs: 0, triesAt: 0 };
let aside = { text: "", until: 0 };
let buzzed = 0; // tens of counted shakes that the phone has ticked for

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
  strike();
  nudge(byId("own"));
}

/** Space and Enter tap, wherever the focus is, but on what they open or press. */
function tapByKey(event) {
  const presses = event.target.closest?.("a, button, input, summary, form");
  if (!["Enter", " "].includes(event.key) || (presses && presses.id !== "tap") || phone.moment() !== "open") return;
  event.preventDefault();
  if (!event.repeat) shaken();
}

/** The phone ticks for every ten that are counted. */
function counted() {
  const tens = Math.floor(phone.count.acknowledged / 10);
  if (tens > buzzed && phone.moment() === "open") vibrate(BUZZ.counted);
  buzzed = tens;
  drawNumbers();
}

// --- the scene ---

let scene = { key: "", update: undefined };

/** Which scene, and all that it is made of. */
function look() {
  const { state } = phone;
  const { segment } = state;
  const now = phone.clock.now();
  const results = segment ? resultsOf(state.results, segment.id, now) : [];
  const named = namedOf(segment, now);
  const common = { state, segment, now, results, named, phones, count: phone.count, waitMs: status.waitMs };
  const name = phone.viewer && nameText(stageName(phone.viewer));
  const view = { ...common, name, has: (viewer) => phone.keep.has(viewer) };
  return { ...view, moment: shownMoment(state, now), scene: sceneOf(shownMoment(state, now), view) };
}

function sceneOf(moment, { results, count }) {
  if (status.name === "refused") return "refused";
  if (!met) return { overloaded: "line", offline: "offline", waiting: "offline" }[status.name] ?? "connecting";
  const mine = results.some((result) => phone.wins.has(result.draw));
  return moment === "published" && results.length > 0 && count.acknowledged > 0 && !mine ? "lost" : moment;
}

/** All that a scene is made of, and that does not change in it. */
function keyOf({ scene: name, segment, results, named, state, waitMs, name: viewer }) {
  const shown = segment && [segment.id, segment.title, segment.prizes, segment.seal, segment.entries, segment.reason];
  const names = name === "naming" && [named.awaited, named.winners.at(-1)?.number];
  const next = name === "lost" && [state.next, state.more_to_come];
  const picture = name === "idle" && state.picture;
  const wait = ["line", "offline"].includes(name) && waitMs;
  const told = ["lost", "published"].includes(name) && results;
  return JSON.stringify([name, shown, names, next, picture, wait, told, viewer]);
}

function draw() {
  const view = look();
  document.body.dataset.moment = view.scene;
  setText("segment", view.segment && view.scene !== "idle" && met ? localized(view.segment, "title") : "");
  drawScene(view);
  drawFrame(view);
  drawAround(view);
  drawWins(phone, view);
  speak(view);
}

function drawScene(view) {
  const key = keyOf(view);
  if (key !== scene.key && SCENES[view.scene]) {
    const { parts, update } = SCENES[view.scene](view);
    const element = make("div", `scene ${view.scene}`);
    element.append(...parts);
    byId("scene").replaceChildren(element);
    scene = { key, update };
  }
  scene.update?.(view);
}

function drawNumbers() {
  if (met) scene.update?.(look());
}

/** In the last seconds the screens of a feed agree within a frame. */
let frame = 0;
function drawFrame({ scene: name }) {
  if (frame || name !== "cue") return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    draw();
  });
}

/** What stays where it is in all scenes. */
function drawAround({ scene: name, segment, results, state, now }) {
  if (state.title) setText("show", localized(state, "title"));
  byId("tap").disabled = phone.moment() !== "open" || status.name === "refused";
  show("shaking", TAPS.includes(name) || !met);
  show("rehearsal", met && Boolean(segment?.rehearsal) && name !== "idle");
  const shown = state.results.filter((result) => !(result.shown_at > now));
  setRows("prize-list", segment?.prizes ?? [], prizeRow);
  show("prizes", (segment?.prizes.length ?? 0) > 1 || ["open", "closing"].includes(name));
  setRows("checks", shown.map((result) => result.draw), checkRow);
  show("checks", shown.length > 0);
  showStub(stubs, phone.connection.position.epoch, segment?.id ?? null, results, phones);
  setText("aside", asideText());
  if (status.waitMs && !("works" in document.body.dataset)) setText("status", statusText());
}

function prizeRow(prize) {
  const row = make("li", "", prizeText(prize));
  if (prize.quantity > 1) row.append(make("span", "times", ` × ${prize.quantity}`));
  row.append(make("span", "price", say("worth {price}", { price: priceText(prize) })));
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
  if (await stubs.take(epoch, message, { show: slug, viewer: phone.viewer })) draw();
}

// --- what is heard, and felt ---

const once = new Once();
const countdown = new Countdown();
let ticked = 0; // the last second that the phone has ticked for
let rehearses = false;

function speak(view) {
  const { scene: name, segment, now } = view;
  const until = { soon: segment?.opens_at, cue: segment?.opens_at, open: segment?.closes_at }[name];
  if (until === undefined || until === null) countdown.end();
  else hearCountdown(name, until - now);
  if (name === "closing" && once.scene === "open") vibrate(BUZZ.time);
  const spoken = { key: `${name} ${segment?.id} ${view.named.winners.at(-1)?.number ?? ""}`, text: spokenOf(view) };
  const first = Boolean(segment?.rehearsal) && !rehearses && spoken.text;
  once.scene = name;
  once.tell(spoken.key, first ? `${say("REHEARSAL")}. ${spoken.text}` : spoken.text);
  rehearses ||= Boolean(first);
}

function hearCountdown(name, left) {
  const second = countdown.hears(left);
  const values = { seconds: second };
  if (second !== null && name === "open") announce(say("{seconds} seconds left", values));
  else if (second !== null) announce(say("{seconds} seconds to go", values));
  const near = Math.ceil(left / 1000);
  if (name === "cue" && near !== ticked && near >= 1 && near <= 3) vibrate(BUZZ.tick);
  ticked = near;
}

/** What a moment says, once. */
function spokenOf({ scene: name, segment, count, named }) {
  const [prize] = segment?.prizes ?? [];
  const winner = named.winners.at(-1);
  const texts = {
    idle: () => `${byId("show").textContent}. ${say("You are in")}`,
    armed: () => (prize ? say("Next: {prize}", { prize: prizeText(prize) }) : say("Next: be ready to shake.")),
    open: () => say("Go"),
    closing: () => say("Time. {total} counted.", { total: count.acknowledged }),
    sealed: () => (segment.seal ? sayInDigits(segment.seal) : say("Locked in")),
    beacon: () => say("Chance comes from outside"),
    drawn: () => say("It is drawn"),
    naming: () => nameText(winner?.name ?? ""),
    published: () => say("The winners"),
    lost: () => say("Not this time"),
    void: () => [say("This round does not count"), segment.reason].filter(Boolean).join(". "),
    spoiled: () => say("This round does not count"),
    line: () => `${say("So many of you!")} ${say("You are in line. This page goes on by itself.")}`,
  };
  return texts[name]?.() ?? "";
}

const sayInDigits = (seal) =>
  say("Locked in. The seal begins with {seal}.", { seal: Array.from(shortSeal(seal)).join(" ") });

// --- the connection ---

function drawStatus(name, { waitMs = 0, code = "", message = "" }) {
  const was = status;
  const broken = name === "connected" ? false : was.broken;
  status = { name, waitMs, code, message, broken, triesAt: performance.now() + waitMs };
  document.body.dataset.status = name;
  delete document.body.dataset.works;
  setText("status", statusText());
  show("again", name === "refused");
  if (name === "refused") announce(byId("status").textContent);
  else if (["offline", "waiting", "overloaded"].includes(name) && met && !was.broken) {
    status.broken = true;
    announce(byId("status").textContent);
  } else if (name === "connected" && was.broken) announce(say("Connected again"));
  document.body.toggleAttribute("data-broken", Boolean(status.broken));
  draw();
}

/** How the connection is, and how long until the next try. */
function statusText() {
  const { name, code, message, triesAt } = status;
  const waitMs = Math.max(0, triesAt - performance.now());
  const values = { seconds: Math.ceil(waitMs / 1000), minutes: Math.ceil(waitMs / 60000), message: message || code };
  return say(BY_CODE[name]?.[code] ?? STATUSES[name], values);
}

/** What is said beside the moment, for a while: another tab counts, the phone has slept. */
function asideText() {
  if (phone.moment() === "open" && phone.turn.isElsewhere()) return say(ELSEWHERE);
  return performance.now() < aside.until ? aside.text : "";
}

let hiddenAt = 0;
function wake() {
  if (document.hidden) hiddenAt = Date.now();
  else if (hiddenAt && Date.now() - hiddenAt > SLEPT_MS) {
    aside = { text: say(SLEPT), until: performance.now() + ASIDE_MS };
    announce(aside.text);
  }
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
document.addEventListener("keydown", tapByKey);
document.addEventListener("visibilitychange", wake);
byId("sensor").addEventListener("click", () => motion.ask());
byId("again").addEventListener("click", () => location.reload());
byId("forget").addEventListener("click", askToForget);
byId("forget-sure").addEventListener("click", forget);
new WakeLock().start();
motion.start();
phone.start();
