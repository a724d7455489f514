// The test card: what the crew checks before the night. It lies over the wall.
import { byId, setText } from "./dom.js";
import { numberText } from "./words.js";

const SECOND_MS = 1000;

/** @param {import("./shake-client.js").Clock} clock */
export function showCard(clock) {
  let [frames, since] = [0, performance.now()];
  const frame = (now) => {
    frames += 1;
    if (now - since >= SECOND_MS) {
      setText("card-rate", numberText(Math.round((frames * SECOND_MS) / (now - since))));
      [frames, since] = [0, now];
      tell(clock);
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  tell(clock);
}

function tell(clock) {
  setText("card-size", `${innerWidth} × ${innerHeight}, × ${devicePixelRatio}`);
  const trips = clock.samples.map(({ trip }) => trip);
  setText("card-clock", trips.length ? `${Math.round(Math.min(...trips))} ms` : "–");
}
