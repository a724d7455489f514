// Winners and reserves: presses buttons without leaving the page, and shows what has changed meanwhile.
import { request } from "../engagement/shake-client.js";
import { mark, say } from "../engagement/words.js";
import { bannerLine, press } from "./press.js";

const REFRESH_MS = 3000;
const LOGGED_OUT = mark("You were logged out: please log in again.");
const OLD = mark("This page does not reach the server. What you see is old.");
const byId = (id) => document.getElementById(id);

async function pressed(event) {
  const form = event.target.closest("#claims form");
  if (!form) return;
  event.preventDefault();
  tell(await press(form, say("Reload the page before you press again.")));
  await refresh();
}

function tell({ ok, message }) {
  byId("said").replaceChildren(bannerLine(message, ok ? "good" : "bad"));
}

/** The same page again: only the tables are taken from it. */
async function refresh() {
  try {
    const answer = await request(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("claims");
    if (!fresh) return tell({ ok: false, message: answer.ok ? say(LOGGED_OUT) : titleOf(page) });
    if (page.body.dataset.account !== document.body.dataset.account) return location.reload();
    byId("claims").replaceWith(document.adoptNode(fresh));
  } catch {
    tell({ ok: false, message: say(OLD) });
  }
  return undefined;
}

/** What the page of a failure says. */
const titleOf = (page) => page.querySelector("h1")?.textContent ?? say(OLD);

/** Somebody who is choosing a reason is not disturbed. */
const busy = () => byId("claims").contains(document.activeElement) || document.hidden;

document.addEventListener("submit", pressed);
(async function refreshForever() {
  if (!busy()) await refresh();
  setTimeout(refreshForever, REFRESH_MS);
})();
