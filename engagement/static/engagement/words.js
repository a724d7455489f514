// How the pages for viewers speak: texts of the catalogue (texts/zh-hans.js and so on), numbers, prices and times.

export const language = document.documentElement.lang; // such as "zh-Hans", as the server has chosen

export const numberText = (number) => number.toLocaleString(language);

const NAME = "name of a viewer"; // the context of its words
/** @type {Map<string, string | string[]>} English text -> the page's; of one that depends on a count, all forms. */
const texts = new Map();

/** A catalogue of the page's language; it comes as a module of its own, before the page's. English needs none. */
export function learn(catalogue) {
  for (const [text, translated] of Object.entries(catalogue)) texts.set(text, translated);
}

/** Marks an English text that is said elsewhere, so that the catalogues get it. */
export const mark = (text) => text;

/** The same for one that is said by `sayIn`. */
export const markIn = (context, text) => text;

/** An English text in the page's language, its {placeholders} filled; numbers are written as the language does. */
export const say = (text, values = {}) => fill(texts.get(text) ?? text, values);

/** The text for so many. */
export function sayCount(one, many, count, values = {}) {
  const forms = texts.get(one) ?? [one, many];
  return fill(forms[count === 1 ? 0 : forms.length - 1], { ...values, count });
}

/** A text whose meaning the context tells, where the English alone does not. */
export const sayIn = (context, text, values = {}) => fill(texts.get(`${context}\u0004${text}`) ?? text, values);

function fill(text, values) {
  const shown = (value) => (typeof value === "number" ? numberText(value) : (value ?? ""));
  return text.replace(/\{(\w+)\}/g, (_, name) => shown(values[name]));
}

// What a field is called in each language, the best one first: the server tells Traditional where it differs.
const FIELDS = {
  "zh-Hans": ["_zh", ""], "zh-Hant-TW": ["_hant", "_zh", ""], "zh-Hant-HK": ["_hk", "_hant", "_zh", ""], en: [""],
};

/** A field in the viewer's language, where there is one. */
export function localized(object, name) {
  return (FIELDS[language] ?? FIELDS.en).map((ending) => object[name + ending]).find(Boolean) ?? "";
}

/** The name of a viewer, which the server tells in English, by its words: "Scarlet Eagle 47". */
export function nameText(name) {
  const [whole, colour, thing, number, more = ""] = /^(\w+) (\w+) (\d\d)( \(\d+\))?$/.exec(name) ?? [];
  if (!whole) return name;
  const words = { colour: sayIn(NAME, colour), thing: sayIn(NAME, thing), number };
  return sayIn("name of a viewer", "{colour} {thing} {number}", words) + more;
}

/** "Coat by Atelier Nord, worn by Lin Mei, size M", in the viewer's language. */
export function prizeText(prize) {
  const parts = { garment: localized(prize, "garment"), celebrity: localized(prize, "celebrity") };
  const values = { ...parts, brand: prize.brand, size: prize.size };
  return say("{garment} by {brand}, worn by {celebrity}, size {size}", values);
}

/**
 * The seals of a segment, one of each draw, each with the prize that comes first in it: null where there is but one.
 * @param {Record<string, any> | null} segment
 */
export function sealsOf(segment) {
  const { seal, draws, prizes } = segment ?? {};
  const seals = segment?.seals ?? (seal ? [seal] : []);
  let first = 0;
  return seals.map((one, number) => {
    const prize = (draws && seals.length > 1 && prizes[first]) || null;
    first += draws?.[number] ?? 0;
    return { seal: one, prize };
  });
}

/** "Coat · worn by Lin Mei". */
export const wornText = (prize) =>
  `${localized(prize, "garment")} · ${say("worn by {celebrity}", { celebrity: localized(prize, "celebrity") })}`;

// As in prizes/story.py; browsers disagree on how many digits some currencies have.
const WHOLE_CURRENCIES = ["CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"];

export function priceText({ value_minor, currency }) {
  const digits = WHOLE_CURRENCIES.includes(currency) ? 0 : 2;
  const options = { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits };
  return (value_minor / 10 ** digits).toLocaleString(language, options);
}

/** A moment of server time, in the time zone of this device, which it names: other pages give UTC. */
const DAY = { year: "numeric", month: "long", day: "numeric" };
const TIME = { ...DAY, hour: "numeric", minute: "2-digit", timeZoneName: "short" };
export const timeText = (ms) => new Date(ms).toLocaleString(language, TIME);

/** "21:40:07": the time of day, with seconds, on this device. */
export const secondsText = (ms) => new Date(ms).toLocaleTimeString(language, { hour12: false });

/** "21:40": a time of this night. */
export const clockText = (ms) => new Date(ms).toLocaleTimeString(language, { hour: "numeric", minute: "2-digit" });

/** "2 days 4 hours", "3 hours 20 minutes", "14:59": what is left until a deadline. */
export function leftText(ms) {
  const minutes = Math.floor(Math.max(0, ms) / 60000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  const inHours = hours > 0 ? [sayCount("1 hour", "{count} hours", hours)] : [];
  if (days > 0) return [sayCount("1 day", "{count} days", days), ...inHours].join(" ");
  if (minutes < 60) return countdownText(ms);
  const rest = minutes % 60;
  return [...inHours, ...(rest > 0 ? [sayCount("1 minute", "{count} minutes", rest)] : [])].join(" ");
}

/** "8", "1:05": whole seconds, never 0 before the end. */
export function countdownText(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 60) return String(seconds);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** "and 980 more winners", where not all of so many are listed. */
export function moreText(count) {
  if (count <= 0) return "";
  return sayCount(
    "and 1 more winner, on the pages of the draws", "and {count} more winners, on the pages of the draws", count,
  );
}
