// What the phone page shows in each moment (docs/screens.md): one scene at a time, made anew when the moment changes,
// so that nothing that is on the page is ever moved. Within a moment only texts change, each in the room that it has.
import { make } from "./dom.js";
import { artOf, pictureOf } from "./pictures.js";
import { BEACON_NOTE, LOST_NOTE, MOMENTS, SEAL_BECAUSE, SEAL_MEANS } from "./phrases.js";
import { ticketsOf } from "./stubs.js";
import {
  clockText, countdownText, language, localized, mark, moreText, nameText, numberText, priceText, prizeText, say,
  sayCount, sealsOf, wornText,
} from "./words.js";

/** @typedef {Record<string, any>} View What a scene is made of: `state`, `segment`, `now`, `count`, `phones`, `name`,
 * `named`, `results`, `has(pseudonym)`, `waitMs`. */
/** @typedef {{parts: HTMLElement[], update?: (view: View) => void}} Scene */

// --- parts ---

function part(tag, className, text = "", id = "") {
  const element = make(tag, className, text);
  if (id) element.id = id;
  return element;
}

const headline = (text) => part("h2", "headline", text, "moment");
const note = (text) => part("p", "note", text);

function box(className, ...children) {
  const element = part("div", className);
  element.append(...children.filter(Boolean));
  return element;
}

/** Replaces the text where it is another one: what stays the same is not drawn again. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The garment large, who wore it below. */
function garment(prize, tag = "h2") {
  const title = part(tag, "garment", localized(prize, "garment"), tag === "h2" ? "moment" : "");
  const worn = say("worn by {celebrity}", { celebrity: localized(prize, "celebrity") });
  return box("prize", title, part("p", "worn", worn));
}

const winnersLabel = (count) => part("p", "label", sayCount("winner", "winners", count));
const piecesOf = (segment) => segment.prizes.reduce((sum, prize) => sum + prize.quantity, 0);

/** "c0ff ee00": so much of a seal is told to people. */
export const shortSeal = (seal) => `${seal.slice(0, 4)} ${seal.slice(4, 8)}`;

const SEALS = 4; // so many have room; the page of each draw has its own
/** One of several seals, and what it is for. */
const sealLine = ({ seal, prize }) =>
  box("seal-line", part("p", "seal small", shortSeal(seal)), prize && note(wornText(prize)));

/** Eight digits in two groups, which come one by one. */
function sealDigits(seal) {
  const digits = part("p", "seal", "", "seal");
  digits.setAttribute("aria-label", shortSeal(seal));
  for (const half of [seal.slice(0, 4), seal.slice(4, 8)]) {
    const group = part("span", "group");
    group.append(...Array.from(half, (digit) => part("span", "digit", digit)));
    digits.append(group);
  }
  return digits;
}

/** What this phone has counted, and, in jade, what the server has acknowledged of it. */
function tally() {
  const [own, counted] = [part("span", "own", "", "own"), part("p", "counted", "", "acknowledged")];
  const line = box("tally", own, part("span", "unit", say("shakes")));
  const update = ({ count }) => {
    write(own, numberText(count.own));
    write(counted, count.own > 0 ? say("{total} of them are counted", { total: count.acknowledged }) : "");
  };
  return { line, counted, update };
}

/** "4 tickets · 6 shakes to the next", of what is counted, by the table of the segment. */
export function ticketsText(table, counted) {
  if (!table) return "";
  const tickets = ticketsOfText(ticketsOf(table, counted));
  const next = table.find(([shakes]) => shakes > counted);
  if (!next) return say("{tickets} · the most there are", { tickets });
  return sayCount("{tickets} · 1 shake to the next", "{tickets} · {count} shakes to the next", next[0] - counted,
    { tickets });
}

/** "4 tickets". */
const ticketsAlone = (table, counted) => (table ? ticketsOfText(ticketsOf(table, counted)) : "");
const ticketsOfText = (count) => sayCount("1 ticket", "{count} tickets", count);

// --- the scenes ---

/** @type {Record<string, (view: View) => Scene>} */
export const SCENES = {
  idle(view) {
    const people = part("p", "figure");
    const label = part("p", "label");
    const { picture } = view.state;
    const parts = [
      picture && box("behind", pictureOf(picture)),
      box("top", !picture && part("span", "check"), headline(say("You are in"))),
      box("middle", part("p", "label", say("Your name tonight")), part("p", "name", view.name)),
      box("bottom", people, label),
    ];
    function update({ phones }) {
      write(people, phones > 1 ? numberText(phones) : "");
      write(label, phones > 1 ? say("people here") : "");
    }
    return { parts: parts.filter(Boolean), update };
  },

  armed({ segment }) {
    const [prize] = segment.prizes;
    if (!prize) return { parts: [box("top"), box("middle", headline(say("Next: be ready to shake."))), box("bottom")] };
    const others = segment.prizes.length - 1;
    const more = sayCount("and 1 more prize, below", "and {count} more prizes, below", others);
    const facts = box("facts", part("span", "pieces", sayCount("1 piece", "{count} pieces", prize.quantity)),
      part("span", "price", say("worth {price}", { price: priceText(prize) })));
    return { parts: [
      box("picture", artOf(prize)),
      box("bottom", part("p", "label", say("To win")), garment(prize), facts,
        others > 0 && part("p", "more-prizes", more)),
    ] };
  },

  soon({ segment }) {
    const left = part("p", "countdown", "", "countdown");
    const [prize] = segment.prizes;
    return {
      parts: [
        box("top", headline(say("Get ready")), note(say("Shaking starts in"))),
        box("middle", left),
        box("bottom", prize && garment(prize, "p")),
      ],
      update: ({ now }) => write(left, countdownText(segment.opens_at - now)),
    };
  },

  cue({ segment }) {
    const digit = part("p", "digit-alone", "", "countdown");
    let shown = 0;
    function update({ now }) {
      const left = Math.max(1, Math.ceil((segment.opens_at - now) / 1000));
      if (left === shown) return;
      shown = left;
      digit.replaceChildren(part("span", "beat", String(left)));
    }
    return { parts: [digit], update };
  },

  open({ segment }) {
    const [seconds, tickets] = [part("p", "seconds", "", "countdown"), part("p", "tickets", "", "tickets")];
    const told = tally();
    const bar = part("div", "left");
    const length = segment.closes_at - segment.opens_at;
    const parts = [
      box("top", bar, box("row", headline(say("Shake!")), seconds)),
      box("middle", told.line),
      box("bottom", told.counted, tickets),
    ];
    function update(view) {
      told.update(view);
      const left = Math.max(0, segment.closes_at - view.now);
      write(seconds, countdownText(left));
      bar.style.transform = `scaleX(${Math.min(1, left / length)})`;
      write(tickets, ticketsText(view.segment.tickets, view.count.acknowledged));
    }
    return { parts, update };
  },

  closing() {
    const [counted, tickets] = [part("p", "figure good"), part("p", "tickets")];
    const told = part("p", "note", "", "acknowledged");
    const own = part("span", "own", "", "own");
    function update({ count, segment }) {
      write(counted, numberText(count.acknowledged));
      write(own, numberText(count.own));
      write(told, say("{total} of them are counted", { total: count.acknowledged }));
      write(tickets, count.own > count.acknowledged ? say("Counting the last shakes …")
        : ticketsAlone(segment.tickets, count.acknowledged));
    }
    const middle = box("middle", counted, part("p", "label good", say("shakes are counted")));
    return { parts: [box("top", headline(say("Time!"))), middle, box("bottom", tickets, hidden(own, told))], update };
  },

  sealed({ segment, count }) {
    const seals = sealsOf(segment);
    const [told, tickets] = [tally(), part("span", "mine-tickets")];
    const why = part("details", "why");
    why.append(part("summary", "", say("What is this number?")), note(say(SEAL_BECAUSE)));
    const kept = segment.seal && part("p", "note good", say("Your phone has kept it."));
    return {
      parts: [
        box("top", headline(say("Locked in"))),
        box("middle", ...(seals.length > 1 ? seals.slice(0, SEALS).map(sealLine)
          : seals.map(({ seal }) => sealDigits(seal)))),
        box("bottom", note(say(SEAL_MEANS)), kept, count.own > 0 && box("mine", told.line, tickets), why),
      ],
      update(view) {
        told.update(view);
        write(tickets, ticketsAlone(segment.tickets, view.count.acknowledged));
      },
    };
  },

  beacon({ segment, count }) {
    const seconds = part("p", "countdown", "", "countdown");
    const told = tally();
    const ring = box("ring", seconds);
    function update(view) {
      const left = segment.beacon_at - view.now;
      ring.classList.toggle("due", left <= 0);
      write(seconds, left > 0 ? countdownText(left) : "…");
      ring.style.setProperty("--part", String(Math.max(0, Math.min(1, left / 15000))));
      told.update(view);
    }
    return {
      parts: [
        box("top", headline(say("Chance comes from outside"))),
        box("middle", ring),
        box("bottom", note(say(BEACON_NOTE)), ...sealsOf(segment).slice(0, SEALS).map(sealLine),
          count.own > 0 && hidden(told.line)),
      ],
      update,
    };
  },

  drawn({ segment }) {
    const winners = piecesOf(segment);
    return { parts: [
      box("top", headline(say("It is drawn"))),
      box("middle", winners > 0 && part("p", "figure gold", numberText(winners)),
        winners > 0 && winnersLabel(winners)),
      box("bottom", note(say("Look at the screen: the names come there first."))),
    ] };
  },

  naming({ named, has }) {
    const { of, winners, awaited } = named;
    const last = winners.at(-1);
    const shown = awaited === null ? last : null;
    const place = say("Winner {number} of {of}", { number: awaited ?? last?.number ?? 1, of });
    const label = part("p", "label", place);
    if (!shown) return { parts: [box("top", label), box("middle", headline("…")), box("bottom")] };
    const mine = has(shown.pseudonym);
    return { parts: [
      box("top", mine ? part("p", "headline gold", say("That is you!")) : label),
      box("middle", part("h2", "name spot", nameText(shown.name), "moment")),
      box("bottom", shown.prize && garment(shown.prize, "p")),
    ] };
  },

  published({ results, has }) {
    const total = results.reduce((sum, result) => sum + result.winners_total, 0);
    return { parts: [
      box("top", headline(say("The winners"))),
      box("middle", part("p", "figure gold", numberText(total)), winnersLabel(total)),
      box("bottom", checkLink(results), winnerList(results, has)),
    ] };
  },

  lost({ results, state, segment, count, has, now }) {
    const tickets = ticketsOf(segment.tickets ?? [], count.acknowledged);
    const scene = box("bottom", fromTickets(segment, tickets), checkLink(results), nextUp(state, now),
      winnerList(results, has));
    const loss = box("middle", headline(say("Not this time")), note(say(LOST_NOTE)));
    loss.id = "not-won";
    return { parts: [loss, scene] };
  },

  void: ({ segment }) => calledOff(segment, MOMENTS.void),
  spoiled: ({ segment }) => calledOff(segment, MOMENTS.spoiled),

  line: (view) => waiting(view, mark("So many of you!"), mark("You are in line. This page goes on by itself.")),
  offline: (view) => waiting(view, mark("No connection"), mark("This page goes on by itself as soon as it can.")),
};

/** For who listens and for tests of what is counted; the scene shows it larger. */
function hidden(...children) {
  return box("unseen", ...children);
}

function fromTickets({ tickets: table, entries }, tickets) {
  const facts = [];
  const fact = (number, label) =>
    facts.push(box("fact", part("p", "figure", numberText(number)), part("p", "label", label)));
  if (table) fact(tickets, sayCount("ticket of yours", "tickets of yours", tickets));
  if (entries !== undefined) fact(entries, sayCount("person took part", "people took part", entries));
  return facts.length > 0 && box("two", ...facts);
}

function checkLink([result]) {
  if (!result) return false;
  const link = part("a", "button outline", say("Check this draw yourself"));
  link.href = `/draws/${Number(result.draw)}/?lang=${language}`;
  return link;
}

/** What comes next; after the last segment nothing but thanks. */
function nextUp({ next, more_to_come }, now) {
  if (next?.opens_at > now) {
    const time = clockText(next.opens_at);
    return part("p", "next", say("Next: {title}, {time}", { title: localized(next, "title"), time }), "next");
  }
  if (next) return part("p", "next", say("Next: {title}", { title: localized(next, "title") }), "next");
  const more = say("There is more to win in the next segment.");
  return part("p", "next", more_to_come ? more : say("Thank you for being here tonight."), "next");
}

function winnerList(results, has) {
  const list = part("ul", "card", "", "winners");
  list.append(...results.flatMap(({ winners }) => winners).map((winner) => winnerRow(winner, has)));
  const more = moreText(results.reduce((sum, { winners_total, winners }) => sum + winners_total - winners.length, 0));
  return box("winner-list", list, part("p", "note", more, "unlisted"));
}

function winnerRow(winner, has) {
  const row = part("li", has(winner.pseudonym) ? "me" : "");
  row.append(part("strong", "", nameText(winner.name)), part("span", "", prizeText(winner.prize)));
  if (winner.moved_up) row.append(part("span", "moved-up", say("moved up")));
  return row;
}

function calledOff({ reason }, text) {
  const why = reason && part("p", "note reason", say("The reason: {reason}", { reason }));
  const middle = box("middle", headline(say("This round does not count")), note(say(text)), why);
  return { parts: [box("top"), middle, box("bottom")] };
}

/** Nobody has answered yet: how long until the next try. */
function waiting({ now, waitMs }, title, text) {
  const until = now + waitMs;
  const left = part("p", "countdown");
  return {
    parts: [
      box("top", headline(say(title))),
      box("middle", left, part("p", "label", say("seconds"))),
      box("bottom", note(say(text))),
    ],
    update: (view) => write(left, String(Math.max(0, Math.ceil((until - view.now) / 1000)))),
  };
}
