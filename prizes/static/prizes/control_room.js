// The control room: presses buttons without leaving the page, and asks for the live figures every second.
import { Clock, request } from "../engagement/shake-client.js";
import { mark, numberText, say, sayIn } from "../engagement/words.js";
import { PHASES } from "./crew_phrases.js";
import { bannerLine, press } from "./press.js";

const POLL_MS = 1000;
const RATE_MS = 3000; // shakes per second are measured over this time
const CHANGED = mark(
  "The rundown was changed, or somebody else has logged in. This page is loaded again when its fields are empty.",
);
const clock = new Clock(); // of the server
let latest = null;
const answered = new Set(); // requests that were decided here
let counts = []; // [server time, segment, shakes] of the last polls

const byId = (id) => document.getElementById(id);
const inputs = () => [...document.querySelectorAll("#rundown input")];
const isTyping = () => inputs().some((field) => field.value !== field.defaultValue);
const rowOf = (id) => document.querySelector(`tr[data-segment="${id}"]`);
const figureText = (number) => (number === null || number === undefined ? "–" : numberText(number));

function make(tag, text, className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

// --- buttons ---

async function pressed(event) {
  const form = event.target.closest("form[data-action]");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const told = await press(form, say("See the phase below before you press again, or reload the page."));
    if (told.ok) form.reset(); // what was typed is taken, and nothing is left that a reload could lose
    tell(told);
    if (told.ok && form.closest("[data-approval]")) answered.add(form.closest("[data-approval]").dataset.approval);
  } finally {
    button.disabled = false;
    if (document.activeElement === document.body) focusOn(button); // a browser lets go of what is disabled
  }
  await poll();
  focusOn(button);
}

/** Whoever works by keyboard goes on from the button, or from what came of it where the button is gone. */
function focusOn(button) {
  if (![document.body, button].includes(document.activeElement)) return;
  (button.getClientRects().length ? button : byId("said")).focus();
}

/** What came of a button stays on the page, so it says when that was. */
function tell({ ok, message }, style = ok ? "good" : "bad") {
  const text = `${utcTime(clock.now())} ${message}`;
  byId("said").replaceChildren(bannerLine(text, style));
}

// --- live ---

async function poll() {
  try {
    const answer = await request(document.body.dataset.live, { headers: { Accept: "application/json" } });
    const live = await answer.json();
    lose(answer.status === 403 ? live.message : "");
    age(!live.ok);
    if (live.ok) follow(live);
    else warn(answer.status === 403 ? [] : [live.message]);
  } catch {
    age(true);
    warn([say("This page does not reach the server. What you see is old.")]);
  }
}

/** What is old looks so. */
function age(isOld) {
  document.body.classList.toggle("old", isOld);
}

/** Whoever is logged out, perhaps in another tab, presses nothing here. */
function lose(message) {
  const place = byId("lost");
  if (place.hidden === !message) return;
  place.hidden = !message;
  place.querySelector("span").textContent = message;
  for (const button of document.querySelectorAll("main form button")) button.disabled = Boolean(message);
}

/** Names, the order of the rundown and the account come with the page: when they change, it is loaded again. */
function follow(live) {
  const { rundown, account } = document.body.dataset;
  const isThis = live.rundown === rundown && live.account === account;
  if (!isThis && !isTyping()) return location.reload();
  hideWhatIsGone(live);
  take(isThis ? live : { ...live, warnings: [...live.warnings, say(CHANGED)] });
  return undefined;
}

function hideWhatIsGone({ segments }) {
  const there = new Set(segments.map(({ id }) => String(id)));
  for (const row of document.querySelectorAll("tr[data-segment]")) row.hidden = !there.has(row.dataset.segment);
}

function take(live) {
  latest = live;
  clock.begin(live.now);
  warn(live.warnings);
  alarm(live.alarms);
  tellOfRestore(live.restored);
  drawRequests(live.requests);
  for (const form of document.querySelectorAll("#screens form")) {
    form.classList.toggle("on", form.dataset.action === `cue-${live.cue}`);
  }
  for (const figure of document.querySelectorAll("[data-figure]")) {
    figure.textContent = figureText(live.counters?.[figure.dataset.figure]);
  }
  byId("per-second").textContent = figureText(perSecond(live));
  live.segments.forEach(drawSegment);
  byId("gateways").replaceChildren(...live.gateways.map(gatewayRow));
  drawWitnesses(live.witnesses);
  byId("stamping").hidden = live.stampers.length === 0;
  byId("stampers").replaceChildren(...live.stampers.map(stamperRow));
}

function perSecond({ now, counters }) {
  if (!counters) return null;
  counts = counts.filter(([at, segment]) => segment === counters.segment && at > now - RATE_MS);
  counts.push([now, counters.segment, counters.shakes]);
  const [[since, , before]] = counts;
  return now > since ? Math.round(((counters.shakes - before) * 1000) / (now - since)) : 0;
}

function warn(warnings) {
  const list = byId("warnings");
  list.hidden = warnings.length === 0;
  const key = warnings.join("\n");
  if (list.dataset.key === key) return; // a screen reader is not told the same thing every second
  list.dataset.key = key;
  list.replaceChildren(...warnings.map((text) => make("li", text)));
}

function alarm(alarms) {
  const place = byId("alarms");
  const told = place.textContent === alarms.join("");
  if (!told) place.replaceChildren(...alarms.map((text) => make("p", text, "banner alarm")));
}

function tellOfRestore(text) {
  const place = byId("restored");
  place.hidden = !text;
  const told = place.querySelector("p");
  if (told.textContent !== text) told.textContent = text;
}

/** What waits for a second person. A banner that is there stays, so that nobody's click misses its button. */
function drawRequests(requests) {
  const place = byId("requests");
  const wanted = new Set(requests.map(({ id }) => String(id)));
  for (const banner of [...place.children]) if (!wanted.has(banner.dataset.approval)) end(banner);
  for (const request of requests) {
    if (!place.querySelector(`[data-approval="${request.id}"]`)) place.append(requestBanner(place, request));
  }
}

/** A request that is gone without this page's doing: whoever asked, or meant to answer, is told. */
function end(banner) {
  const isLate = latest.now >= Number(banner.dataset.until);
  const asked = { request: banner.querySelector("p").textContent };
  const late = say("Nobody has agreed in time: {request}", asked);
  const message = isLate ? late : say("Decided in the meantime, see the ledger: {request}", asked);
  if (!answered.has(banner.dataset.approval)) tell({ message }, isLate ? "bad" : "note");
  banner.remove();
}

function requestBanner(place, { id, text, until, may_agree, may_refuse, refuse }) {
  const banner = make("div", "", "banner asked");
  Object.assign(banner.dataset, { approval: id, until });
  banner.append(make("p", text));
  const answers = [["agree", say("Agree"), "", may_agree], ["refuse", refuse, "danger", may_refuse]];
  for (const [action, label, style, may] of answers.filter((row) => row[3])) {
    const form = document.createElement("form");
    form.method = "post";
    form.action = place.dataset.url.replace("/0/agree/", `/${id}/${action}/`);
    form.dataset.action = action;
    const button = make("button", label, style);
    form.append(button);
    banner.append(form);
  }
  return banner;
}

function drawSegment(segment) {
  const row = rowOf(segment.id);
  if (!row) return; // new: it comes with the next load
  const phase = row.querySelector(".phase");
  phase.textContent = sayIn("phase", PHASES[segment.phase]);
  phase.dataset.phase = segment.phase;
  row.querySelector(".entries").textContent = segment.entries === null ? "" : figureText(segment.entries);
  const seal = row.querySelector(".seal");
  seal.textContent = segment.seal.slice(0, 20);
  seal.title = segment.seal;
  const trouble = row.querySelector(".trouble");
  trouble.textContent = segment.trouble;
  trouble.hidden = !segment.trouble;
  drawProgress(row.querySelector(".progress"), segment.progress);
  const lines = segment.waits.flatMap((wait) => wait.lines);
  row.querySelector(".waits").replaceChildren(...lines.map((text) => make("li", text)));
  for (const form of row.querySelectorAll("form[data-action]")) {
    form.hidden = !segment.actions.includes(form.dataset.action);
  }
  // Of a hidden field this is its value, too: a press says how many winners its page showed.
  row.querySelector('input[name="named"]').defaultValue = segment.named;
  drawLinks(row, segment.draws);
}

function drawProgress(line, progress) {
  line.hidden = !progress;
  if (!progress) return;
  const { text, done, total } = progress;
  line.textContent = total ? `${text}: ${Math.floor((100 * done) / total)} %` : `${text} …`;
}

function drawLinks(row, draws) {
  const links = draws.map(({ number, address }) => {
    const link = make("a", say("Draw {number}", { number: String(number) }));
    link.href = address;
    return link;
  });
  const line = row.querySelector(".draws");
  if (line.children.length !== links.length) line.replaceChildren(...links);
}

function gatewayRow({ name, phones, screens, pending, lag_ms, connections }) {
  const row = document.createElement("tr");
  row.append(make("td", name, "mono"));
  for (const figure of [phones, screens, pending]) row.append(make("td", figureText(figure), "number"));
  row.append(make("td", `${figureText(lag_ms)} ms`, "number"), make("td", figureText(connections), "number"));
  return row;
}

function drawWitnesses({ line, rows }) {
  const place = byId("cosigning");
  place.hidden = rows.length === 0;
  place.querySelector("p").textContent = line;
  byId("witnesses").replaceChildren(...rows.map(witnessRow));
}

const momentText = (at) => (at === null ? "" : `${new Date(at).toISOString().slice(0, 10)} ${utcTime(at)}`);

function stamperRow({ name, draw, at, trouble }) {
  const row = document.createElement("tr");
  row.append(make("td", name), make("td", draw ?? say("none"), "mono"), make("td", momentText(at), "number"));
  row.append(make("td", trouble || "–", trouble ? "bad" : ""));
  return row;
}

function witnessRow({ name, size, at, trouble, whole }) {
  const row = document.createElement("tr");
  row.append(make("td", name), make("td", size === null ? say("none") : figureText(size), "number"));
  row.append(make("td", momentText(at), "number"));
  if (trouble) row.append(make("td", trouble, "bad"));
  else row.append(make("td", whole ? say("up to date") : say("is asked"), whole ? "good" : ""));
  return row;
}

// --- clocks ---

function tick() {
  if (!latest) return;
  const now = clock.now();
  for (const segment of latest.segments) {
    const cell = rowOf(segment.id)?.querySelector(".clock");
    if (cell) cell.textContent = clockText(segment, now);
  }
}

function clockText({ phase, air }, now) {
  if (air === null) return "";
  const { opens_at, closes_at, ends_at } = air;
  if (phase === "armed" && now < opens_at) return say("opens in {time}", { time: secondsText(opens_at - now) });
  if (["armed", "open"].includes(phase)) {
    if (now < closes_at) return say("closes in {time}", { time: secondsText(closes_at - now) });
    return now < ends_at ? say("last feed ends in {time}", { time: secondsText(ends_at - now) }) : say("closing");
  }
  return say("{from} to {until}", { from: utcTime(opens_at), until: utcTime(closes_at) });
}

/** As in the ledger, and as the actions say it. */
const utcTime = (ms) => `${new Date(ms).toISOString().slice(11, 19)} UTC`;
const secondsText = (ms) => `${Math.max(0, ms / 1000).toFixed(1)} s`;

document.addEventListener("submit", pressed);
setInterval(tick, 100);
(async function pollForever() {
  await poll();
  setTimeout(pollForever, POLL_MS);
})();
