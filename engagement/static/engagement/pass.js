// How a phone gets its pass: the one it has, a renewed one, a free one, or one that it earns (docs/connect-a-phone.md).
// A classic script; it adds one name to the page: Pass.
"use strict";

const Pass = (() => {
  const { slug, solver } = document.body.dataset;
  const MOST_WORKS = 6; // neighbours make a pass dearer while this phone works
  const WORK_MS = 300000;
  const FORGOTTEN = ["bad_pass", "wrong_salt"]; // the server has other keys by now

  /** A valid pass. `told` has `working(seconds)`, and `askForCode(message)`, a promise of what the viewer types. */
  async function get(told) {
    const known = Keep.read("pass");
    if (known && known.expires_at > Date.now() + 60000) return known.pass;
    const fresh = (await renew()) || (await earn(told));
    Keep.write("pass", fresh);
    return fresh.pass;
  }

  /** For the viewer that this phone was last: prizes and shakes of tonight are theirs. */
  async function renew() {
    const [{ pass, salt } = {}] = Keep.identities.list;
    if (!pass) return null;
    const { fresh, refusal } = await ask({ pass, salt });
    if (fresh || FORGOTTEN.includes(refusal.code)) return fresh;
    throw asError(refusal);
  }

  async function earn(told) {
    let body = {};
    for (let works = 0; works <= MOST_WORKS; ) {
      const { fresh, refusal } = await ask(body);
      if (fresh) return fresh;
      if (refusal.work) works += 1;
      body = await earning(refusal, told);
    }
    throw new Shake.PassRefused("too_many", "", 60000);
  }

  /** What to ask with next, as the refusal says. */
  async function earning(refusal, told) {
    const { code, message, ways = [], work } = refusal;
    if (code === "bad_work") return {};
    if (code === "bad_code") return { code: await told.askForCode(message) };
    if (code !== "earn_it") throw asError(refusal);
    if (work && canWork()) return { work: { challenge: work, solution: await solve(work, told.working) } };
    if (ways.includes("code")) return { code: await told.askForCode("") };
    throw new Shake.PassRefused("no_way", message, null);
  }

  // --- work ---

  const canWork = () => typeof Worker === "function" && typeof WebAssembly === "object";

  /** By ALTCHA's own worker, which needs no https; on half of the cores, so that a phone stays cool. */
  async function solve(challenge, working) {
    const count = Math.min(4, Math.max(1, Math.floor((navigator.hardwareConcurrency || 2) / 2)));
    const began = Date.now();
    const workers = Array.from({ length: count }, () => new Worker(solver));
    const timer = setInterval(() => working(Math.ceil((Date.now() - began) / 1000)), 250);
    working(1);
    try {
      return await Promise.race(workers.map((worker, first) => search(worker, challenge, first, count)));
    } finally {
      clearInterval(timer);
      workers.forEach((worker) => worker.terminate());
    }
  }

  function search(worker, challenge, counterStart, counterStep) {
    return new Promise((resolve, reject) => {
      const failed = () => reject(new Shake.PassRefused("no_way", "", null));
      worker.onerror = failed;
      worker.onmessage = ({ data }) => (data?.derivedKey ? resolve(data) : failed());
      worker.postMessage({ type: "work", challenge, counterStart, counterStep, timeout: WORK_MS });
    });
  }

  // --- asking ---

  async function ask(body) {
    const headers = { "Content-Type": "application/json" };
    const request = { method: "POST", headers, body: JSON.stringify(body) };
    const answer = await fetch(`/api/shows/${encodeURIComponent(slug)}/passes`, request).catch(() => null);
    if (answer === null) throw new Shake.PassRefused("offline", "", 0);
    const content = await answer.json().catch(() => ({ code: "", message: answer.statusText }));
    if (answer.ok) return { fresh: content };
    const mayComeBack = answer.status === 429 || answer.status >= 500;
    const retryMs = mayComeBack ? Number(answer.headers.get("Retry-After") || 2) * 1000 : null;
    return { fresh: null, refusal: { ...content, retryMs } };
  }

  const asError = ({ code, message, retryMs }) => new Shake.PassRefused(code, message, retryMs);

  return { get };
})();
