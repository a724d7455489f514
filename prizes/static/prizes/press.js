// A button of the crew's pages, pressed without leaving the page.
import { request } from "../engagement/shake-client.js";
import { say } from "../engagement/words.js";

const ANSWER_MS = 30000; // some steps take their time

const CONFIRM = "/account/confirm/";

/** A line for the page; the address that it names to confirm a login is a link, which leads back here. */
export function bannerLine(text, style) {
  const line = document.createElement("p");
  line.className = `banner ${style}`;
  const [before, after] = text.split(CONFIRM);
  line.append(before);
  if (after === undefined) return line;
  const link = document.createElement("a");
  link.href = `${CONFIRM}?next=${encodeURIComponent(location.pathname)}`;
  link.textContent = CONFIRM;
  line.append(link, after);
  return line;
}

/** Sends the form; what came of it as {ok, message}. `advice` is for when nobody can say. */
export async function press(form, advice) {
  const headers = { Accept: "application/json" };
  const options = { method: "POST", headers, body: fields(form), redirect: "error" };
  try {
    const answer = await request(form.action, options, { answerMs: ANSWER_MS });
    return await answer.json();
  } catch {
    return { ok: false, message: say("No answer came: nobody can say yet whether it was done. {advice}", { advice }) };
  }
}

/** As typed; with the token of this moment, since another tab may have logged in again, and for whom this page is. */
function fields(form) {
  const fields = new FormData(form);
  const token = document.cookie.split("; ").find((cookie) => cookie.startsWith("csrftoken="));
  if (token) fields.set("csrfmiddlewaretoken", token.slice("csrftoken=".length));
  fields.set("account", document.body.dataset.account);
  return fields;
}
