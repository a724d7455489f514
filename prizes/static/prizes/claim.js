// The claim page of a winner: finds the pass and the salt that the phone page has kept, and asks the API with them.
"use strict";

(() => {
  const { slug, draw } = document.body.dataset;
  const LOST = { too_late: "claim_too_late", declined: "claim_declined", disqualified: "claim_disqualified" };
  let proof = null; // {pass, salt} of the viewer who has won

  /** Everybody this phone has been in the show; the newest first. */
  function identities() {
    try {
      return JSON.parse(localStorage.getItem(`shake.${slug}.identities`)) || [];
    } catch {
      return []; // storage is off, or holds something else
    }
  }

  async function ask(path, { pass, salt }) {
    const answer = await fetch(`/api/draws/${draw}/claims${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ pass, salt }),
    });
    const body = await answer.json();
    return { ok: answer.ok, ...body };
  }

  // --- what is shown ---

  function drawWin(win) {
    Shake.setText("prize", Shake.prizeText(win.prize));
    Shake.setText("price", Shake.say("worth", { price: Shake.priceText(win.prize) }));
    Shake.show("win", true);
    const open = win.status === "won"; // the server's clock says whether it is late, not this device's
    say(open ? "claim_until" : textOf(win), { time: Shake.timeText(win.claim_by) });
    Shake.show("claim", open);
    Shake.show("decline", open);
    Shake.show("decline-sure", false);
  }

  function textOf({ status }) {
    if (status === "disqualified") return "claim_disqualified";
    return status === "claimed" ? "claim_claimed" : "claim_too_late";
  }

  function say(key, values = {}) {
    document.body.dataset.told = key;
    Shake.setText("told", Shake.say(key, values));
  }

  function showRefusal({ code, message }) {
    for (const id of ["claim", "decline", "decline-sure"]) Shake.show(id, false);
    if (code in LOST) say(LOST[code]);
    else say("claim_failed", { message });
    Shake.show("again", !(code in LOST));
  }

  // --- what is done ---

  async function find() {
    for (const identity of identities()) {
      const answer = await ask("/look", identity);
      if (answer.ok) {
        proof = identity;
        drawWin(answer);
        return;
      }
      if (!["not_a_winner", "bad_pass", "wrong_salt"].includes(answer.code)) {
        showRefusal(answer);
        return;
      }
    }
    say("claim_not_mine");
  }

  async function act(path, told) {
    for (const id of ["claim", "decline", "decline-sure"]) Shake.byId(id).disabled = true;
    try {
      const answer = await ask(path, proof);
      if (!answer.ok) return showRefusal(answer);
      drawWin(answer);
      return say(told);
    } finally {
      for (const id of ["claim", "decline", "decline-sure"]) Shake.byId(id).disabled = false;
    }
  }

  /** A network that fails is said, not swallowed. */
  const attempt = (step) => () => step().catch((error) => showRefusal({ code: "", message: error.message }));

  Shake.writeTexts();
  Shake.byId("claim").addEventListener("click", attempt(() => act("", "claim_claimed")));
  Shake.byId("decline").addEventListener("click", () => Shake.show("decline-sure", true));
  Shake.byId("decline-sure").addEventListener("click", attempt(() => act("/decline", "claim_declined")));
  Shake.byId("again").addEventListener("click", () => location.reload());
  attempt(find)();
})();
