// The party page: makes secrets and commitments on this device (docs/draw.md, section 1), and counts down to the
// deadline.
import { Clock, request } from "../engagement/shake-client.js";
import { say } from "../engagement/words.js";

const POLL_MS = 2000;
const SECRET_BYTES = 32;
const clock = new Clock(); // of the server
const deadlines = new Map(); // article -> UTC ms

const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytesOf = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const isHex = (text) => /^[0-9a-f]{64}$/.test(text);

// --- commitments ---

/** TH("shake-draw/v1/commit", draw id, party, secret): every field carries its length, so that
 *  no two lists give the same bytes. */
async function commitTo(drawId, party, secret) {
  const utf8 = new TextEncoder();
  const tag = utf8.encode("shake-draw/v1/commit");
  const parts = [[tag, 2], [utf8.encode(drawId), 4], [utf8.encode(party), 4], [secret, 4]];
  const input = parts.flatMap(([field, width]) => [...bigEndian(field.length, width), ...field]);
  return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", Uint8Array.from(input))));
}

function bigEndian(number, width) {
  return Array.from({ length: width }, (_, place) => Math.floor(number / 256 ** (width - 1 - place)) % 256);
}

async function makeSecret(article) {
  const { drawId, party } = article.dataset;
  const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  const commitment = await commitTo(drawId, party, secret);
  article.querySelector(".secret").textContent = hexOf(secret);
  const kept = { draw_id: drawId, party, secret: hexOf(secret), commitment };
  const link = article.querySelector(".save");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(kept, null, 1)], { type: "application/json" }));
  link.download = `secret-${drawId.replaceAll("/", "-")}-${party}.json`;
  article.querySelector(".made").hidden = false;
  article.querySelector("[name=commitment]").value = commitment;
  allowCommit(article, false); // until the file is saved: a promise without its secret is no use
}

function allowCommit(article, allowed) {
  article.querySelector("form button").disabled = !allowed;
}

// --- reveals ---

async function readFile(input) {
  const text = (await input.files[0].text()).trim();
  let secret = text;
  try {
    if (text.startsWith("{")) secret = String(JSON.parse(text).secret);
  } catch {
    secret = "";
  }
  const field = input.form.querySelector("[name=secret]");
  field.value = isHex(secret) ? secret : "";
  const wrong = say("This is not the file of a secret: expected 64 hex digits, or a field “secret” with them.");
  complain(isHex(secret) ? "" : wrong);
}

/** A wrong secret is refused by the server, and that stands in the ledger; a slip of the hand need not. */
async function checkBeforeReveal(event) {
  const form = event.target.closest("form.reveal");
  if (!form || !window.crypto?.subtle) return;
  event.preventDefault();
  const { drawId, party, commitment } = form.closest("article").dataset;
  const typed = form.querySelector("[name=secret]").value.replaceAll(/\s/g, "").toLowerCase();
  const fits = isHex(typed) && (await commitTo(drawId, party, bytesOf(typed))) === commitment;
  if (fits) form.submit();
  else {
    complain(
      say("This is not the secret of {draw}: it does not fit your commitment. Nothing was sent.", { draw: drawId }),
    );
  }
}

// --- live ---

async function poll() {
  try {
    const answer = await request(document.body.dataset.live, { headers: { Accept: "application/json" } });
    if (answer.status === 403) {
      return lose(
        say("Please log in again. If you have just made a secret, save it before you leave this page."),
      );
    }
    const live = await answer.json();
    if (!live.ok) return lose(live.message);
    clock.begin(live.now);
    live.draws.forEach(show);
    lose("");
  } catch {
    lose(say("This page does not reach the server. What you see is old, and nothing that you press here arrives."));
  }
  return undefined;
}

function show({ id, party_id, text, may_reveal, reveal_by }) {
  const article = document.querySelector(`article[data-draw="${id}"][data-party-id="${party_id}"]`);
  if (!article) return tellOfNews();
  article.querySelector(".text").textContent = text;
  article.querySelector("form.reveal").hidden = !may_reveal;
  if (reveal_by === null) deadlines.delete(article);
  else deadlines.set(article, reveal_by);
}

/** Not reloaded by itself: a secret that was just made would be lost. */
function tellOfNews() {
  if (!complaint) complain(say("Segments were armed in the meantime. Save your secrets, then reload this page."));
}

function tick() {
  for (const article of document.querySelectorAll("article[data-draw]")) {
    const deadline = deadlines.get(article);
    const left = deadline === undefined ? 0 : deadline - clock.now();
    const seconds = Math.ceil(left / 1000);
    article.querySelector(".left").textContent = left > 0 ? say("{seconds} s left", { seconds }) : "";
  }
}

const byId = (id) => document.getElementById(id);

let complaint = ""; // about what was done here
let loss = ""; // of the server

function complain(text) {
  complaint = text;
  drawTrouble();
}

function lose(text) {
  loss = text;
  drawTrouble();
}

function drawTrouble() {
  const text = [loss, complaint].filter(Boolean).join(" ");
  if (byId("trouble").textContent !== text) byId("trouble").textContent = text; // a screen reader is told once
  byId("trouble").hidden = !text;
}

if (window.crypto?.subtle) {
  for (const button of document.querySelectorAll("button.make")) {
    const article = button.closest("article");
    button.addEventListener("click", () => makeSecret(article));
    article.querySelector(".save").addEventListener("click", () => allowCommit(article, true));
    article.querySelector("[name=commitment]").addEventListener("input", () => allowCommit(article, true));
  }
} else {
  for (const button of document.querySelectorAll("button.make")) button.disabled = true;
  complain(say(
    "Browsers make secrets only on pages that come over https, or from localhost. Open this page so, or compute "
    + "the commitment elsewhere.",
  ));
}
for (const input of document.querySelectorAll("input.file")) input.addEventListener("change", () => readFile(input));
document.addEventListener("submit", checkBeforeReveal);
setInterval(tick, 250);
(async function pollForever() {
  await poll();
  setTimeout(pollForever, POLL_MS);
})();
