// How the pages for viewers speak: texts of the catalogue (texts/en.js, texts/zh.js), numbers, prices and times.

export const language = document.documentElement.lang; // such as "zh-Hans", as the server has chosen

export const numberText = (number) => number.toLocaleString(language);

let texts = {};

/** The catalogue of the page's language; it comes as a module of its own, before the page's. */
export function learn(catalogue) {
  texts = catalogue;
}

/** The text of this key, with its {placeholders} filled; numbers are written as the language does. */
export function say(key, values = {}) {
  const shown = (value) => (typeof value === "number" ? numberText(value) : (value ?? ""));
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => shown(values[name]));
}

export const has = (key) => Object.hasOwn(texts, key);

/** The text for so many: `${key}_one` or `${key}_other`. */
export const sayCount = (key, count) => say(`${key}_${count === 1 ? "one" : "other"}`, { count });

/** A field in the viewer's language, where there is one. */
export function localized(object, name) {
  return (language.startsWith("zh") && object[`${name}_zh`]) || object[name] || "";
}

/** "Coat by Atelier Nord, worn by Lin Mei, size M", in the viewer's language. */
export function prizeText(prize) {
  const parts = { garment: localized(prize, "garment"), celebrity: localized(prize, "celebrity") };
  return say("prize", { ...parts, brand: prize.brand, size: prize.size });
}

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

/** "8", "1:05": whole seconds, never 0 before the end. */
export function countdownText(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 60) return String(seconds);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** "and 980 more winners", where not all of so many are listed. */
export const moreText = (count) => (count > 0 ? sayCount("unlisted", count) : "");
