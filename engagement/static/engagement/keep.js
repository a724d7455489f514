// What a phone keeps of a show in localStorage, over reloads and between nights.
// A classic script; it adds one name: Keep.
// What lies there may be of an older page or of a show of the same name: what does not fit is passed over.
"use strict";

const Keep = (() => {
  const PREFIX = `shake.${document.body.dataset.slug}.`;
  let forgotten = false;

  function read(name) {
    try {
      return JSON.parse(localStorage.getItem(PREFIX + name));
    } catch {
      return null; // storage is off, as in some private windows, or holds something else
    }
  }

  function write(name, value) {
    if (forgotten) return;
    try {
      localStorage.setItem(PREFIX + name, JSON.stringify(value));
    } catch {
      // then a reload starts from what the server has acknowledged
    }
  }

  const readList = (name) => {
    const list = read(name);
    return Array.isArray(list) ? list : [];
  };

  /** Everything of this show; what the page would write before it is gone is not kept either. */
  function forget() {
    forgotten = true;
    try {
      const ours = Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
      for (const key of ours) localStorage.removeItem(key);
    } catch {
      // storage is off: nothing was kept
    }
  }

  const isIdentity = (one) => typeof one?.pass === "string" && typeof one.salt === "string";

  /** Renewed passes are of the same viewer; whoever had to become another one may still win, and claim, as before. */
  const identities = {
    MOST: 8,
    list: readList("identities").filter(isIdentity),

    remember({ viewer, salt, pass }) {
      const others = this.list.filter((other) => other.viewer !== viewer);
      this.list = [{ viewer, salt, pass }, ...others].slice(0, this.MOST);
      write("identities", this.list); // the claim page and the page of the draw find them there
    },

    has(pseudonym) {
      return this.list.some(({ viewer }) => viewer === pseudonym);
    },
  };

  /** What this phone has won: as told in `won`, or as the results say of any viewer that it has been. */
  const wins = {
    epoch: null,
    list: [],

    /** Draws are numbered anew in a new database: a win of another epoch is of another draw. */
    enter(epoch) {
      if (epoch === this.epoch) return;
      this.epoch = epoch;
      this.list = readList("wins").filter((win) => win?.epoch === epoch);
    },

    take({ draw, prize, claim_url, claim_by, status = "won" }) {
      const others = this.list.filter((other) => other.draw !== draw);
      const win = { epoch: this.epoch, draw, prize, claim_url, claim_by, status };
      this.list = status === "lost" ? others : [win, ...others];
    },

    has(draw) {
      return this.list.some((win) => win.draw === draw);
    },

    /** `won` comes to the viewer that this phone is now; what one has won that it was before stands in the results. */
    compare(results) {
      for (const result of results) {
        const mine = result.winners.find((winner) => identities.has(winner.pseudonym));
        const complete = result.winners.length === result.winners_total;
        if (mine) this.take({ ...result, ...mine });
        // A prize that was lost is one that somebody else holds now, or nobody.
        else if (complete) this.list = this.list.filter((win) => win.draw !== result.draw);
      }
    },

    /** Those that can still be claimed, or are. */
    shown(now) {
      return this.list.filter(({ status, claim_by }) => status === "claimed" || claim_by > now);
    },

    keep() {
      write("wins", this.list);
    },
  };

  /**
   * The seals as this phone was first shown them, in the order of drawing, under epoch and segment: the page of the
   * draw compares. No later one takes their place, but a new epoch numbers its segments anew. With them the ledger that
   * has them, as it was signed before the draw: nobody can put another history in its place any more.
   */
  function keepSeals(epoch, { id, seal, seals, checkpoint }) {
    const key = `${epoch}-${id}`;
    keepFirst("seals", key, seal ? seals || [seal] : null);
    keepFirst("checkpoints", key, checkpoint);
  }

  function keepFirst(name, key, value) {
    const known = read(name) || {};
    if (value && !known[key]) write(name, { ...known, [key]: value });
  }

  return { forget, identities, keepSeals, read, wins, write };
})();
