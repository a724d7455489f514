// The host's screen: what to say now, the clock, and for the crew the button that names the next winner.
import { byId, fill, make, setRows, show } from "../engagement/dom.js";
import { fitAll } from "../engagement/fit.js";
import { isRehearsal, eightDigits, winnersOf } from "../engagement/wall_scenes.js";
import { Screen, prizeWords, sceneWords } from "../engagement/screen.js";
import { secondsText, countdownText, localized, numberText, say, sealsOf, wornText } from "../engagement/words.js";
import { bannerLine, press } from "./press.js";

const { body } = document;
const { slug, feed } = body.dataset;
const form = document.querySelector("#naming form");
const OFFLINE_MS = 2000;
const PRIZES = 5;
const REST_MS = 1100; // after a name: the server takes the next press 2 s after the last, a second after its name
const NAMES = ["drawn", "naming"];
const OVER = ["closing", "sealed", "beacon", "drawn", "naming"]; // the window is over, the segment is not

/** What to say at each scene, and what belongs to it. */
const SAYS = {
  idle: () => ({ say: say("Nothing is armed.") }),
  announce: ({ next }) => ({ say: say("Next: {title}.", { title: next }) }),
  armed: () => ({ say: say("This is what can be won now."), more: say("Ask them to scan the code and join.") }),
  prize: ({ garment, wearer }) => ({ say: garment, more: wearer }),
  soon: () => ({ say: say("Phones out!"), more: say("Shaking starts in a moment.") }),
  cue: () => ({ say: say("Phones out!"), more: say("Shaking starts in a moment.") }),
  open: ({ shakes }) => ({ say: say("Keep shaking!"), more: say("{shakes} shakes", { shakes }) }),
  closing: ({ shakes }) => ({ say: say("Time!"), more: say("{shakes} shakes", { shakes }) }),
  sealed: ({ seal }) => ({ say: say("Nobody can change who takes part now, not even we."), more: seal }),
  beacon: ({ seconds }) => ({
    say: say("Chance comes from outside."),
    more: say("In {seconds} s. Nobody here can know it before.", { seconds }),
  }),
  drawn: ({ winners }) => ({ say: say("It is drawn"), more: winners }),
  naming: ({ winner, garment, wearer, nth, awaits }) =>
    awaits ? { say: nth } : { say: winner, more: `${nth} · ${garment} · ${wearer}` },
  published: () => ({ say: say("Anybody can check this draw: the code is on the wall.") }),
  void: ({ reason }) => ({ say: say("This round does not count"), more: reason }),
  standby: () => ({ say: say("The standby picture is on the screens.") }),
};

function draw(view) {
  const { scene, state, now, naming } = view;
  body.dataset.scene = scene;
  const words = { ...sceneWords(view, null), awaits: naming.awaited !== null };
  const seals = sealsOf(state.segment).map(sealText).join(" · ");
  const said = { more: "", ...SAYS[scene]({ ...words, seal: seals }) };
  const title = localized(state, "title");
  const next = words.next || (state.segment ? say("This is the last one.") : "–");
  const texts = { ...said, ...windowTexts(view), next, what: whatText(scene) };
  fill(title ? { ...texts, title } : texts);
  byId("time").textContent = secondsText(now);
  drawPrizes(view);
  drawNaming(view);
  show("rehearsal", isRehearsal(state, now));
  drawOffline(now);
  fitAll();
}

const sealText = ({ seal, prize }) => [eightDigits(seal), ...(prize ? [wornText(prize)] : [])].join(" ");

const whatText = (scene) => (["idle", "standby", "announce"].includes(scene) ? "" : say("Say"));

/** How long until the window opens, how much of it is left, or for how long it has been over. */
function windowTexts({ state: { segment }, now }) {
  body.toggleAttribute("data-over", false);
  const opens = segment?.opens_at ?? null;
  if (opens === null) return { window: "", window_label: "" };
  if (now < opens) return { window: countdownText(opens - now), window_label: say("opens in") };
  if (now < segment.closes_at) return { window: countdownText(segment.closes_at - now), window_label: say("left") };
  if (!OVER.includes(segment.phase)) return { window: "", window_label: "" };
  body.toggleAttribute("data-over", true);
  return { window: `+${countdownText(now - segment.closes_at)}`, window_label: say("over") };
}

function drawPrizes({ scene, state }) {
  const prizes = scene === "armed" ? state.segment.prizes.slice(0, PRIZES) : [];
  setRows("prizes", prizes, (prize) => {
    const { garment, wearer, brand, value, pieces } = prizeWords(prize);
    const row = make("li");
    row.append(make("strong", "", garment), make("span", "", ` · ${wearer} · ${brand} · ${value} · ${pieces}`));
    return row;
  });
}

function drawNaming({ scene, state, naming, now }) {
  const named = state.segment?.naming?.named ?? 0;
  show("naming", NAMES.includes(scene));
  fill({ to_name: numberText(Math.max(0, winnersOf(state.segment) - named)) });
  if (!form) return;
  form.action = form.dataset.action.replace("/0/", `/${state.segment?.id ?? 0}/`);
  form.elements.named.value = named; // what this page shows: a press that is late names nobody
  const rests = now < (naming.winners.at(-1)?.at ?? 0) + REST_MS;
  form.querySelector("button").disabled = pressing || naming.awaited !== null || rests || !NAMES.includes(scene);
}

function drawOffline(now) {
  const lost = screen.lostMs();
  show("offline", lost > OFFLINE_MS);
  if (lost <= OFFLINE_MS) return;
  const time = secondsText(now - lost);
  byId("offline").textContent = say("No connection since {time}. What you see is old.", { time });
}

// --- the button ---

let pressing = false;

async function name(event) {
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.disabled) return;
  pressing = button.disabled = true;
  byId("said").replaceChildren();
  const told = await press(form, say("Look at the name above before you press again."));
  byId("said").replaceChildren(...(told.ok ? [] : [bannerLine(told.message, "bad")]));
  pressing = false;
}

function hearKey(event) {
  const isSpace = event.key === " " && !event.repeat && !event.ctrlKey && !event.altKey && !event.metaKey;
  if (!isSpace || event.target.closest?.("a, input, button")) return;
  event.preventDefault();
  form.requestSubmit();
}

if (form) {
  form.addEventListener("submit", name);
  addEventListener("keydown", hearKey);
}
const screen = new Screen({ slug, feed, draw });
screen.start();
