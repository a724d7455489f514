// How the pages for viewers speak: texts of the catalogue (texts/en.js, texts/zh.js), numbers, prices and times.
// A classic script, so that it has a hashed name; it adds one name to the page: Words.
"use strict";

const Words = (() => {
  const language = document.documentElement.lang; // "en" or "zh", as the server has chosen

  const numberText = (number) => number.toLocaleString(language);

  /** The text of this key, with its {placeholders} filled; numbers are written as the language does. */
  function say(key, values = {}) {
    const shown = (value) => (typeof value === "number" ? numberText(value) : (value ?? ""));
    return Texts[key].replace(/\{(\w+)\}/g, (_, name) => shown(values[name]));
  }

  const has = (key) => Object.hasOwn(Texts, key);

  /** The text for so many: `${key}_one` or `${key}_other`. */
  const sayCount = (key, count) => say(`${key}_${count === 1 ? "one" : "other"}`, { count });

  /** A field in the viewer's language, where there is one. */
  function localized(object, name) {
    return (language === "zh" && object[`${name}_zh`]) || object[name] || "";
  }

  /** "Coat by Atelier Nord, worn by Lin Mei, size M", in the viewer's language. */
  function prizeText(prize) {
    const parts = { garment: localized(prize, "garment"), celebrity: localized(prize, "celebrity") };
    return say("prize", { ...parts, brand: prize.brand, size: prize.size });
  }

  // As in prizes/story.py; browsers disagree on how many digits some currencies have.
  const WHOLE_CURRENCIES = ["CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"];

  function priceText({ value_minor, currency }) {
    const digits = WHOLE_CURRENCIES.includes(currency) ? 0 : 2;
    const options = { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits };
    return (value_minor / 10 ** digits).toLocaleString(language, options);
  }

  /** A moment of server time, in the time zone of this device, which it names: other pages give UTC. */
  const DAY = { year: "numeric", month: "long", day: "numeric" };
  const TIME = { ...DAY, hour: "numeric", minute: "2-digit", timeZoneName: "short" };
  const timeText = (ms) => new Date(ms).toLocaleString(language, TIME);

  /** "8", "1:05": whole seconds, never 0 before the end. */
  function countdownText(ms) {
    const seconds = Math.max(0, Math.ceil(ms / 1000));
    if (seconds < 60) return String(seconds);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }

  return { countdownText, has, language, localized, numberText, priceText, prizeText, say, sayCount, timeText };
})();
