// The claim page of a winner: finds the pass and the salt that the phone page has kept, and asks the API with them.
import { byId, setText, show } from "../engagement/dom.js";
import { Keep, request } from "../engagement/shake-client.js";
import { priceText, prizeText, say, timeText } from "../engagement/words.js";

const { slug, draw } = document.body.dataset;
const LOST = { too_late: "claim_too_late", declined: "claim_declined", disqualified: "claim_disqualified" };
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
  setText("price", say("worth", { price: priceText(win.prize) }));
  show("win", true);
  const open = win.status === "won"; // the server's clock says whether it is late, not this device's
  tell(open ? "claim_until" : textOf(win), { time: timeText(win.claim_by) });
  if (win.status === "disqualified" && win.reason) {
    const reason = say(`reason_${win.reason.replaceAll(" ", "_")}`);
    setText("told", say("claim_why", { told: say("claim_disqualified"), reason }));
  }
  show("claim", open);
  show("decline", open);
  show("decline-sure", false);
}

function textOf({ status, reason }) {
  if (status === "disqualified") return "claim_disqualified";
  if (status === "claimed") return "claim_claimed";
  return reason === "declined" ? "claim_declined" : "claim_too_late";
}

function tell(key, values = {}) {
  document.body.dataset.told = key;
  setText("told", say(key, values));
}

function showRefusal({ code, message }) {
  for (const id of ["claim", "decline", "decline-sure"]) show(id, false);
  if (code in LOST) tell(LOST[code]);
  else tell("claim_failed", { message });
  show("again", !(code in LOST));
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
  if (!best) return tell("claim_not_mine");
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

byId("claim").addEventListener("click", attempt(() => act("", "claim_claimed")));
byId("decline").addEventListener("click", () => show("decline-sure", true));
byId("decline-sure").addEventListener("click", attempt(() => act("/decline", "claim_declined")));
byId("again").addEventListener("click", () => location.reload());
attempt(find)();
