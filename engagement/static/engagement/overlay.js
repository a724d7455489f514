// One part of the wall for a vision mixer: what is not to be shown leaves the picture of the mixer as it is.
import { byId, fill, setImage, show } from "./dom.js";
import { fitAll } from "./fit.js";
import { Screen, prizeWords, sceneWords } from "./screen.js";
import { isRehearsal, pictureAddress } from "./wall_scenes.js";
import { resultsOf } from "./shake-client.js";
import { nameText, numberText, say } from "./words.js";

const { body } = document;
const { slug, feed, overlay } = body.dataset;
const TRUE_MS = 10000; // so long the last truth stays without a connection

/** The words of the counter at each scene, and which number is its figure; at others it is not there. */
const COUNTERS = {
  soon: (words) => ({ figure: words.seconds, what: say("Phones out!") }),
  cue: (words) => ({ figure: words.seconds, what: say("Phones out!") }),
  open: (words) => ({ figure: words.shakes, what: say("shakes"), left: words.seconds }),
  closing: (words) => ({ figure: words.shakes, what: say("shakes") }),
  sealed: (words) => ({ figure: words.seal, what: words.seal_garment || say("Locked in") }),
  beacon: (words) => ({ figure: words.seconds, what: say("Nobody knows it yet") }),
};
const COUNTS = ["soon", "cue", "beacon"];

const PARTS = {
  counter(view, words) {
    const counter = COUNTERS[view.scene]?.(words);
    fill({ figure: "", what: "", left: "", ...counter });
    show("on-air", view.scene === "open");
    show("left", Boolean(counter?.left));
    body.toggleAttribute("data-counts", COUNTS.includes(view.scene));
    return Boolean(counter);
  },
  join: ({ scene }) => ["idle", "announce", "armed", "soon", "cue", "open"].includes(scene),
  prize(view, words) {
    const { scene, prize } = view;
    fill(words);
    drawPicture(prize);
    return ["armed", "soon", "cue", "prize"].includes(scene) && Boolean(prize);
  },
  winner(view, words) {
    const last = lastWinner(view);
    if (!last) return false;
    fill({ ...words, ...last.words });
    drawPicture(last.prize);
    return true;
  },
};

/** The winner whom the host has named last, also once all are published; nobody while the next one is awaited. */
function lastWinner({ state, scene, naming, now }) {
  if (!["naming", "published"].includes(scene) || naming.awaited !== null) return null;
  const named = naming.winners.at(-1);
  const published = resultsOf(state.results, state.segment.id, now).flatMap((result) => result.winners);
  const holder = scene === "published" ? (holds(published, named) ?? published.at(-1)) : named;
  if (!holder) return null;
  const nth = named && holds([named], holder) ? {} : { nth: "" };
  return { prize: holder.prize, words: { ...prizeWords(holder.prize), winner: nameText(holder.name), ...nth } };
}

/** The winner of these who is the same person with the same prize. */
const holds = (winners, one) =>
  one && winners.find((other) => other.pseudonym === one.pseudonym && other.prize?.id === one.prize?.id);

function drawPicture(prize) {
  const image = document.querySelector(".picture");
  setImage(image, pictureAddress(prize?.picture, Math.ceil(innerWidth * devicePixelRatio * 0.17)));
}

function draw(view) {
  const words = sceneWords(view, null);
  body.dataset.scene = view.scene;
  const isTrue = screen.lostMs() < TRUE_MS && screen.connection.state.cue !== undefined;
  const visible = PARTS[overlay](view, words) && isTrue && view.scene !== "standby";
  show(overlay, visible);
  show("rehearsal", visible && isRehearsal(view.state, view.now));
  fitAll();
}

function frame(view) {
  if (overlay === "counter" && ["open", "closing"].includes(view.scene)) fill({ figure: numberText(view.shakes) });
}

const screen = new Screen({ slug, feed, draw, frame });
screen.start();
