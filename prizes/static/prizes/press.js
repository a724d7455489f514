// A button of the crew's pages, pressed without leaving the page.
"use strict";

const Press = {
  CONFIRM: "/account/confirm/",

  /** A line for the page; the address that it names to confirm a login is a link, which leads back here. */
  line(text, style) {
    const line = document.createElement("p");
    line.className = `banner ${style}`;
    const [before, after] = text.split(Press.CONFIRM);
    line.append(before);
    if (after === undefined) return line;
    const link = document.createElement("a");
    link.href = `${Press.CONFIRM}?next=${encodeURIComponent(location.pathname)}`;
    link.textContent = Press.CONFIRM;
    line.append(link, after);
    return line;
  },

  /** Sends the form; what came of it as {ok, message}. `advice` is for when nobody can say. */
  async post(form, advice) {
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json" },
        body: Press.fields(form),
        redirect: "error",
      });
      return await answer.json();
    } catch {
      return { ok: false, message: `No answer came: nobody can say yet whether it was done. ${advice}` };
    }
  },

  /** As typed; with the token of this moment, since another tab may have logged in again, and for whom this page is. */
  fields(form) {
    const fields = new FormData(form);
    const token = document.cookie.split("; ").find((cookie) => cookie.startsWith("csrftoken="));
    if (token) fields.set("csrfmiddlewaretoken", token.slice("csrftoken=".length));
    fields.set("account", document.body.dataset.account);
    return fields;
  },
};
