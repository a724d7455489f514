// A button of the crew's pages, pressed without leaving the page.
"use strict";

const Press = {
  /** Sends the form; what came of it as {ok, message}. `advice` is for when nobody can say. */
  async post(form, advice) {
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json" },
        body: new FormData(form),
        redirect: "error",
      });
      return await answer.json();
    } catch {
      return { ok: false, message: `No answer that makes sense. ${advice}` };
    }
  },
};
