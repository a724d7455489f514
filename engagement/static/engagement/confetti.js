// Confetti, once: thin strips in the colours of the stage, thrown from both lower corners, which turn as they fall.

const LASTS_MS = 7000;
const PIECES = 260;
const COLOURS = ["--accent", "--good", "--ink", "--soft", "--light"];
const GRAVITY = 0.55; // heights of the canvas per s²
const DRAG = 0.9; // of its speed a piece keeps e^-DRAG in a second

/**
 * @param {HTMLCanvasElement} canvas it is as large as the screen
 * @param {() => boolean} goesOn asked before each frame; where it says no, all of it is gone
 */
export function throwConfetti(canvas, goesOn) {
  const scale = Math.min(devicePixelRatio, 2);
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const style = getComputedStyle(document.documentElement);
  const colours = COLOURS.map((name) => style.getPropertyValue(name));
  const pieces = Array.from({ length: PIECES }, (_, number) => piece(number, colours));
  const began = performance.now();
  const frame = (now) => {
    const seconds = (now - began) / 1000;
    const isOver = now - began > LASTS_MS || !goesOn();
    paint(canvas, isOver ? [] : pieces, seconds);
    if (!isOver) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

/** Lengths in heights of the canvas, times in seconds. */
function piece(number, colours) {
  const side = number % 2 ? 1 : -1;
  const angle = (0.62 + 0.3 * Math.random()) * (Math.PI / 2);
  const speed = 0.9 + 1.1 * Math.random();
  return {
    side,
    colour: colours[number % colours.length],
    across: speed * Math.cos(angle),
    up: speed * Math.sin(angle),
    delay: 0.5 * Math.random(),
    size: 0.008 + 0.008 * Math.random(),
    turn: 4 + 8 * Math.random(),
    phase: 6 * Math.random(),
  };
}

function paint(canvas, pieces, seconds) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, width, height);
  for (const { side, colour, across, up, delay, size, turn, phase } of pieces) {
    const t = seconds - delay;
    if (t < 0) continue;
    const gone = (1 - Math.exp(-DRAG * t)) / DRAG; // of the way, in seconds at full speed
    const x = (side < 0 ? 0 : width) - side * across * gone * height + 0.02 * height * Math.sin(turn * t * 0.4 + phase);
    const y = height * (1.02 - up * gone + (GRAVITY / DRAG) * (t - gone));
    if (y > height * 1.1) continue;
    pen.setTransform(1, 0, 0, 1, x, y);
    pen.rotate(turn * t * 0.5 + phase);
    pen.scale(1, Math.cos(turn * t + phase)); // it shows its face, its edge, its back
    pen.fillStyle = colour;
    pen.fillRect((-size * height) / 2, -size * height, size * height, 2 * size * height);
  }
}
