// The claim page of a winner: finds the pass and the salt that the phone page has kept, and asks the API with them.
import { byId, setText, show } from "../engagement/dom.js";
import { CLAIMED_NEXT } from "../engagement/phrases.js";
import { artOf } from "../engagement/pictures.js";
import { Keep, request } from "../engagement/shake-client.js";
import { priceText, prizeText, say, timeText } from "../engagement/words.js";
import { CLAIMS, REASONS } from "./phrases.js";

const { slug, draw } = document.body.dataset;
const LOST = ["too_late", "declined", "disqualified"]; // codes, and how the win then stands
const ORDER = ["won", "claimed"];
const PASSED_OVER = ["not_a_winner", "bad_pass", "wrong_salt", "bad_input"]; // the next one may be the winner
let proof = null; // {pass, salt} of the viewer who has won

/** Everybody this phone has been in the show, the newest first. */
const { identities } = new Keep(slug);

async function ask(path, { pass, salt }) {
  const answer = await request(`/api/draws/${draw}/claims${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ pass, salt }),
  });
  const body = await answer.json();
  return { ok: answer.ok, ...body };
}

// --- what is shown ---

function drawWin(win) {
  setText("prize", prizeText(win.prize));
  setText("price", say("worth {price}", { price: priceText(win.prize) }));
  if (byId("win").hidden) byId("art").append(artOf(win.prize));
  show("win", true);
  const open = win.status === "won"; // the server's clock says whether it is late, not this device's
  tell(open ? "until" : standingOf(win), { time: timeText(win.claim_by) });
  if (win.status === "disqualified" && win.reason) {
    const reason = say(REASONS[win.reason.replaceAll(" ", "_")]);
    setText("told", say("{told} ({reason})", { told: say(CLAIMS.disqualified), reason }));
  }
  setText("following", win.status === "claimed" ? say(CLAIMED_NEXT) : "");
  show("following", win.status === "claimed");
  show("claim", open);
  show("decline", open);
  show("decline-sure", false);
}

function standingOf({ status, reason }) {
  if (["disqualified", "claimed"].includes(status)) return status;
  return reason === "declined" ? "declined" : "too_late";
}

function tell(standing, values = {}) {
  document.body.dataset.told = `claim_${standing}`;
  setText("told", say(CLAIMS[standing], values));
}

function showRefusal({ code, message }) {
  for (const id of ["claim", "decline", "decline-sure"]) show(id, false);
  if (LOST.includes(code)) tell(code);
  else tell("failed", { message });
  show("again", !LOST.includes(code));
}

// --- what is done ---

/** A win that is open, else one that was claimed, else one that was lost: a phone may have been several viewers. */
async function find() {
  const found = [];
  for (const identity of identities) {
    const answer = await ask("/look", identity);
    if (answer.ok) found.push({ identity, answer });
    else if (!PASSED_OVER.includes(answer.code)) return showRefusal(answer);
  }
  const rank = ({ answer }) => (ORDER.includes(answer.status) ? ORDER.indexOf(answer.status) : ORDER.length);
  const [best] = found.sort((a, b) => rank(a) - rank(b));
  if (!best) return tell("not_mine");
  proof = best.identity;
  return drawWin(best.answer);
}

async function act(path, told) {
  for (const id of ["claim", "decline", "decline-sure"]) byId(id).disabled = true;
  try {
    const answer = await ask(path, proof);
    if (!answer.ok) return showRefusal(answer);
    drawWin(answer);
    return tell(told);
  } finally {
    for (const id of ["claim", "decline", "decline-sure"]) byId(id).disabled = false;
  }
}

/** A network that fails is said, not swallowed. */
const attempt = (step) => () => step().catch((error) => showRefusal({ code: "", message: error.message }));

byId("claim").addEventListener("click", attempt(() => act("", "claimed")));
byId("decline").addEventListener("click", () => show("decline-sure", true));
byId("decline-sure").addEventListener("click", attempt(() => act("/decline", "declined")));
byId("again").addEventListener("click", () => location.reload());
attempt(find)();
