// A win takes over the whole page, until it is claimed or the viewer goes back to the show; then a strip leads to it.
import { byId, make, setRows, setText, show } from "./dom.js";
import { shout } from "./herald.js";
import { CLAIMED_NEXT } from "./phrases.js";
import { artOf } from "./pictures.js";
import { vibrate } from "./shake-client.js";
import { leftText, prizeText, say, timeText } from "./words.js";

const BUZZ = [400, 200, 400, 200, 400];
// A prize of an earlier segment does not stand in the way of the next one.
const BUSY = ["armed", "soon", "cue", "open", "closing", "sealed", "beacon", "drawn", "naming"];
const told = new Set(); // draws
let putAway = ""; // the wins with which the viewer went back to the show

/** @param {import("./shake-client.js").Phone} phone @param {Record<string, any>} view */
export function drawWins(phone, { scene, now, results }) {
  const wins = phone.wins.shown(now);
  const all = wins.map(({ draw, status }) => `${draw} ${status}`).join();
  const here = wins.filter(({ draw }) => !BUSY.includes(scene) || isOf(draw, results));
  const fresh = wins.filter(({ draw, status }) => status !== "claimed" && !told.has(draw));
  const takes = here.length > 0 && putAway !== all && scene !== "refused";
  show("won", takes);
  for (const id of ["top", "screen", "more"]) byId(id).inert = takes;
  show("win-strip", wins.length > 0 && !takes && !["cue", "open", "refused"].includes(scene));
  setText("win-strip", wins.length > 0 ? say("You have won: {prize}", { prize: prizeText(wins[0].prize) }) : "");
  setText("won-title", wins.every(({ status }) => status === "claimed") ? say("It is yours") : say("You have won!"));
  setRows("won-list", wins, winCard);
  for (const left of document.querySelectorAll("#won-list .to-claim")) {
    const text = leftText(Number(left.dataset.until) - now);
    if (left.textContent !== text) left.textContent = text;
  }
  if (takes && fresh.length > 0) tell(fresh);
  byId("won-back").onclick = () => {
    putAway = all;
    drawWins(phone, { scene, now, results });
  };
  byId("win-strip").onclick = () => {
    putAway = "";
    drawWins(phone, { scene: "idle", now, results });
  };
}

/** Whether a draw is of the segment that is on the page. */
function isOf(draw, results) {
  return results.some((result) => result.draw === draw);
}

function tell(fresh) {
  for (const { draw } of fresh) told.add(draw);
  const [{ prize, claim_by }] = fresh;
  shout(say("You have won {prize}. Claim it by {time}.", { prize: prizeText(prize), time: timeText(claim_by) }));
  vibrate(BUZZ);
}

function winCard(win) {
  const card = make("div", "win");
  card.append(artOf(win.prize), make("p", "garment", prizeText(win.prize)));
  card.append(...(win.status === "claimed" ? claimed() : claimable(win)));
  return card;
}

const claimed = () => [
  make("p", "claimed", say("You have claimed it. It is yours.")), make("p", "note", say(CLAIMED_NEXT)),
];

function claimable({ claim_by, claim_url }) {
  const left = make("p", "to-claim");
  left.dataset.until = String(claim_by);
  const label = make("p", "label", say("left to claim it"));
  const until = say("Claim it by {time}, on this phone.", { time: timeText(claim_by) });
  return [left, label, make("p", "note", until), claimLink(claim_url)];
}

function claimLink(address) {
  const link = make("a", "button", say("Claim it"));
  const url = new URL(address, location.href);
  if (["http:", "https:"].includes(url.protocol)) link.href = url.href;
  return link;
}
