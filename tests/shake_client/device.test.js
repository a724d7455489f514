// Vibration and the screen that stays on, where the device has them and where not.
import assert from "node:assert/strict";
import test from "node:test";
import { vibrate, WakeLock } from "../../engagement/static/engagement/shake-client.js";

/** With such a navigator and a page to look at, for as long as `work` runs. */
async function onDevice(navigator, work) {
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  const page = Object.assign(new EventTarget(), { hidden: false });
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  globalThis.document = page;
  try {
    await work(page);
  } finally {
    delete globalThis.document;
    delete globalThis.navigator;
    if (before) Object.defineProperty(globalThis, "navigator", before);
  }
}

test("a phone vibrates where it can, and says where it cannot", async () => {
  await onDevice({ vibrate: (pattern) => pattern === 200 }, () => assert.equal(vibrate(200), true));
  await onDevice({ vibrate: () => { throw new Error("not now"); } }, () => assert.equal(vibrate(200), false));
  await onDevice({}, () => assert.equal(vibrate([1, 2]), false));
});

test("nothing is tried before the first touch, of which browsers would complain", async () => {
  for (const hasBeenActive of [false, true]) {
    const device = { vibrate: () => true, userActivation: { hasBeenActive } };
    await onDevice(device, () => assert.equal(vibrate(200), hasBeenActive));
  }
});

test("the screen is kept on at once where the browser allows it", async () => {
  let locks = 0;
  const wakeLock = { request: async () => ((locks += 1), { released: false }) };
  await onDevice({ wakeLock }, async (page) => {
    await new WakeLock().start();
    page.dispatchEvent(new Event("pointerdown"));
  });
  assert.equal(locks, 1);
});

test("else from the first touch, and anew after the page was away", async () => {
  const held = [];
  let allowed = false;
  const wakeLock = { request: async () => {
    if (!allowed) throw new Error("not allowed");
    held.push({ released: false });
    return held.at(-1);
  } };
  const soon = () => new Promise((resolve) => setTimeout(resolve, 5));
  await onDevice({ wakeLock }, async (page) => {
    await new WakeLock().start();
    allowed = true;
    page.dispatchEvent(new Event("pointerdown"));
    await soon();
    held[0].released = page.hidden = true;
    page.dispatchEvent(new Event("visibilitychange"));
    await soon();
    assert.equal(held.length, 1);
    page.hidden = false;
    page.dispatchEvent(new Event("visibilitychange"));
    await soon();
  });
  assert.equal(held.length, 2);
});

test("a browser without wake locks is none the worse", () => onDevice({}, () => new WakeLock().start()));
