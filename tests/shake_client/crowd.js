// Phones of the library that take part in a real segment: `node crowd.js http://host:port <slug> <phones>`. Says
// "shaking" once all of them were told that something is counted, and in the end, viewer by viewer, what they shook and
// what they were told.
import { Phone } from "../../engagement/static/engagement/shake-client.js";
import { dice } from "./traces.js";

globalThis.WebSocket ??= (await import("ws")).WebSocket; // Node.js has its own from 22 on

const [base, slug, number] = process.argv.slice(2);
const random = dice(15);
const FINISHED = ["closing", "sealed", "published"];

function takePart() {
  const phone = new Phone({ slug, base, on: { error: ({ code }) => console.error(code) } });
  const hz = 2 + 5 * random();
  phone.start();
  const shaking = setInterval(() => phone.shake(), 1000 / hz);
  const done = new Promise((resolve) => {
    const looking = setInterval(() => {
      const { own, acknowledged } = phone.count;
      if (!FINISHED.includes(phone.moment()) || own !== acknowledged) return;
      [looking, shaking].forEach(clearInterval);
      phone.stop();
      resolve({ viewer: phone.viewer, own, acknowledged });
    }, 50);
  });
  return { phone, done };
}

const phones = Array.from({ length: Number(number) }, takePart);
const waiting = setInterval(() => {
  if (phones.some(({ phone }) => phone.count.acknowledged === 0)) return;
  clearInterval(waiting);
  console.log("shaking");
}, 50);
console.log(JSON.stringify(await Promise.all(phones.map(({ done }) => done))));
