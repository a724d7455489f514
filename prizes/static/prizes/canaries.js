// Canaries on the party page: their commitment is made on this device, and who they are stays here until it is opened
// (docs/ledger.md, "Canaries").
import { say, sayCount } from "../engagement/words.js";

const MOST = 100;
const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytesOf = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const utf8 = (text) => new TextEncoder().encode(text);
const part = (form, name) => form.querySelector(`[data-part="${name}"]`);

function bigEndian(number, width) {
  return Array.from({ length: width }, (_, place) => Math.floor(number / 256 ** (width - 1 - place)) % 256);
}

/** TH("shake-ledger/v2/canaries", show, name, salt, canonical JSON of the sorted pseudonyms). */
async function commitTo({ show, name, salt, pseudonyms }) {
  const tag = utf8("shake-ledger/v2/canaries");
  const fields = [utf8(show), utf8(name), bytesOf(salt), utf8(JSON.stringify([...pseudonyms].sort()))];
  const framed = fields.flatMap((field) => [...bigEndian(field.length, 4), ...field]);
  const input = Uint8Array.from([...bigEndian(tag.length, 2), ...tag, ...framed]);
  return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", input)));
}

function tell(form, text) {
  part(form, "trouble").textContent = text;
}

// --- committing ---

async function make(form) {
  const { show, name, play } = form.dataset;
  const typed = part(form, "pseudonyms").value.toLowerCase().split(/\s+/).filter(Boolean);
  const pseudonyms = [...new Set(typed)].sort();
  if (!pseudonyms.length || pseudonyms.length > MOST || !pseudonyms.every((one) => /^[0-9a-f]{28}$/.test(one))) {
    return tell(
      form, say("Expected 1 to {most} numbers of 28 digits (0 to 9, a to f), one on a line.", { most: MOST }),
    );
  }
  const salt = hexOf(crypto.getRandomValues(new Uint8Array(32)));
  const commitment = await commitTo({ show, name, salt, pseudonyms });
  const kept = { show, segment: Number(form.dataset.segment), play, name, salt, pseudonyms, commitment };
  const link = part(form, "save");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(kept, null, 1)], { type: "application/json" }));
  link.download = `canaries-${show}-${form.dataset.segment}-${name}.json`;
  form.elements.commitment.value = commitment;
  form.elements.count.value = pseudonyms.length;
  part(form, "made").hidden = false;
  return tell(form, "");
}

// --- opening ---

const kept = new WeakMap(); // form -> what its file says

async function readObject(file) {
  try {
    return JSON.parse(await file.text());
  } catch {
    return null;
  }
}

async function takeFile(form) {
  const found = await readObject(part(form, "kept").files[0]);
  if (!Array.isArray(found?.pseudonyms) || (await commitTo(found)) !== form.dataset.commitment) {
    return tell(form, say("This is not the file of your commitment. Nothing was sent."));
  }
  kept.set(form, found);
  part(form, "told").value = found.pseudonyms.map((one) => `${one} 0`).join("\n");
  return tell(
    form, say("Now add the files that your phones have saved, or type the shakes that each was told."),
  );
}

const rows = (form) => part(form, "told").value.split("\n").map((line) => line.trim().split(/\s+/));

async function takeStubs(form) {
  const told = new Map(rows(form).map(([pseudonym, total]) => [pseudonym, Number(total)]));
  let taken = 0;
  for (const file of part(form, "stubs").files) {
    const found = await readObject(file);
    const { segment, pseudonym, total } = found?.stub ?? found ?? {};
    if (segment === form.dataset.play && told.has(pseudonym) && Number.isSafeInteger(total)) {
      told.set(pseudonym, Math.max(total, told.get(pseudonym)));
      taken += 1;
    }
  }
  part(form, "told").value = [...told].map((row) => row.join(" ")).join("\n");
  const { length: all } = part(form, "stubs").files;
  tell(form, sayCount(
    "{taken} of 1 file is of these viewers and this segment.",
    "{taken} of {count} files are of these viewers and this segment.", all, { taken },
  ));
}

function fill(form, event) {
  const canaries = rows(form).map(([pseudonym, total]) => ({ pseudonym, total: Number(total) }));
  const whole = canaries.every(({ total }) => Number.isSafeInteger(total) && total >= 0);
  if (!kept.has(form) || !whole) {
    event.preventDefault();
    const wanted = say("Expected a number of shakes behind each viewer.");
    return tell(form, kept.has(form) ? wanted : say("Choose your file first."));
  }
  form.elements.opening.value = JSON.stringify({ salt: kept.get(form).salt, canaries });
  return undefined;
}

for (const form of document.querySelectorAll("form.canaries-commit")) {
  const allow = (allowed) => (part(form, "send").disabled = !allowed);
  part(form, "make").addEventListener("click", () => make(form).then(() => allow(false)));
  part(form, "save").addEventListener("click", () => allow(true)); // a promise without its file is no use
  part(form, "make").disabled = !window.crypto?.subtle;
}
for (const form of document.querySelectorAll("form.canaries-open")) {
  part(form, "kept").addEventListener("change", () => takeFile(form));
  part(form, "stubs").addEventListener("change", () => takeStubs(form));
  form.addEventListener("submit", (event) => fill(form, event));
}
