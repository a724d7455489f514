// The wall: what everybody in the hall sees. It only watches, and comes back by itself after any loss.
import { byId, fill, make, setImage, setRows, show } from "./dom.js";
import { throwConfetti } from "./confetti.js";
import { fitAll } from "./fit.js";
import { Screen, isStill, sceneWords } from "./screen.js";
import { isRehearsal, pictureAddress } from "./wall_scenes.js";
import { resultsOf } from "./shake-client.js";
import { showCard } from "./test_card.js";
import { WallSounds } from "./wall_sounds.js";
import { localized, nameText, numberText, say } from "./words.js";

const { body } = document;
const LEADERS = 3;
const WINNERS_AT_ONCE = 4;
const WINNERS_MS = 8000; // as long as that many names take to read
const OFFLINE_MS = 5000;
const RING_MS = 15000; // as long as the moment before the beacon's round
const AWAKE_MS = 3000;
const WITH_BACKDROP = { idle: "picture", announce: "picture", standby: "standby", cue: "prize" };

const sounds = new WallSounds();
let scene = "";

// --- for every frame: what runs ---

function frame(view) {
  if (view.scene !== scene) draw(view);
  if (["open", "closing"].includes(scene)) fill({ shakes: numberText(view.shakes) });
  if (scene === "beacon") closeRing(view);
}

function closeRing({ state, now }) {
  const left = Math.max(0, state.segment.beacon_at - now) / RING_MS;
  byId("ring").style.strokeDashoffset = isStill() ? 0 : Math.min(1, left);
}

// --- ten times a second ---

function draw(view) {
  const changed = view.scene !== scene;
  if (changed) enter(view.scene);
  const words = { title: titleOf(view.state), ...sceneWords(view, screen.pulse?.phones ?? null) };
  if (scene === "cue") beat(words.seconds);
  fill(words);
  drawPictures(view);
  const waited = body.hasAttribute("data-awaits");
  if (waited !== awaits(view.naming)) sounds.name(!waited);
  body.toggleAttribute("data-awaits", awaits(view.naming));
  drawLeaders(view);
  drawWinners(view);
  const practice = isRehearsal(view.state, view.now);
  body.toggleAttribute("data-rehearsal", practice);
  show("rehearsal", practice);
  show("band", practice);
  show("offline", screen.lostMs() > OFFLINE_MS);
  body.dataset.layout = [scene, ...body.getAttributeNames()].join();
  fitAll();
}

function enter(next) {
  if (next === "published" && scene !== "" && !isStill()) {
    throwConfetti(byId("confetti"), () => scene === "published");
  }
  scene = next;
  body.dataset.scene = next;
  sounds.enter(next);
}

const titleOf = (state) => localized(state, "title") || byId("rehearsal").previousElementSibling.textContent;

/** One pulse a second, with the digit. */
function beat(digit) {
  const place = document.querySelector(".digit");
  if (place.textContent === digit) return;
  place.classList.remove("beats");
  sounds.tick(digit);
  void place.offsetWidth; // so that the motion begins anew
  place.classList.add("beats");
}

function drawPictures({ state, prize, naming }) {
  const pixels = (part) => Math.ceil(innerWidth * devicePixelRatio * part);
  const shown = ["armed", "prize", "soon", "open", "closing", "drawn", "naming"].includes(scene);
  const picture = shown && !awaits(naming) ? pictureAddress(prize?.picture, pixels(0.35)) : "";
  setImage(byId("picture").firstElementChild, picture);
  body.toggleAttribute("data-picture", picture !== "");
  const behind = WITH_BACKDROP[scene];
  const backdrop = pictureAddress(behind === "prize" ? prize?.picture : state[behind], pixels(1));
  setImage(byId("backdrop"), backdrop);
  body.toggleAttribute("data-backdrop", backdrop !== "");
  body.toggleAttribute("data-standby", scene === "standby" && backdrop !== "");
}

/** Before a name is told the wall holds its breath: it shows which one, and nothing else. */
const awaits = (naming) => scene === "naming" && naming.awaited !== null;

function drawLeaders({ pulse }) {
  const leaders = (scene === "open" && pulse?.leaders) || [];
  const rows = leaders.slice(0, LEADERS).map((leader, place) => ({ ...leader, place: place + 1 }));
  setRows("leader-list", rows, ({ name, total, place }) => {
    const row = make("li");
    row.append(make("span", "rank", String(place)), make("span", "name", nameText(name)));
    row.append(make("span", "total number", numberText(total)));
    return row;
  });
}

function drawWinners({ state, now }) {
  if (scene !== "published") return;
  const results = resultsOf(state.results, state.segment.id, now);
  const winners = results.flatMap((result) => result.winners);
  const total = results.reduce((sum, result) => sum + result.winners_total, 0);
  const pages = Math.max(1, Math.ceil(winners.length / WINNERS_AT_ONCE));
  const first = (Math.floor(now / WINNERS_MS) % pages) * WINNERS_AT_ONCE;
  const shown = winners.slice(first, first + WINNERS_AT_ONCE);
  setRows("winners", shown, winnerRow);
  const page = { from: first + 1, to: first + shown.length, of: total };
  fill({ page: total > WINNERS_AT_ONCE ? say("{from} to {to} of {of}", page) : "" });
  show("more-to-come", state.more_to_come);
  const { address } = byId("check").dataset;
  setImage(byId("check").querySelector("img"), results.length ? address.replace("/0/", `/${results[0].draw}/`) : "");
}

function winnerRow({ name, prize, moved_up }) {
  const row = make("li");
  const strong = make("strong", "", nameText(name));
  strong.dataset.fit = "";
  row.append(strong, make("span", "", `${localized(prize, "garment")} · ${localized(prize, "celebrity")}`));
  if (moved_up) row.append(make("span", "moved-up", say("moved up")));
  return row;
}

// --- the person beside the screen ---

let sleeping;
function wake() {
  body.classList.add("awake");
  clearTimeout(sleeping);
  sleeping = setTimeout(() => body.classList.remove("awake"), AWAKE_MS);
}
for (const name of ["mousemove", "keydown", "touchstart"]) addEventListener(name, wake, { passive: true });

byId("sound").addEventListener("click", async ({ currentTarget }) => {
  await sounds.toggle();
  currentTarget.textContent = sounds.player.on ? say("Sound off") : say("Sound on");
});

const { slug, feed } = body.dataset;
const screen = new Screen({ slug, feed, draw, frame });
screen.start();
if (byId("card")) showCard(screen.connection.clock);
