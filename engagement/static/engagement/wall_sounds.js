// What the wall sounds like: a bed or a beat of each scene, and what marks its beginning. Off until somebody clicks.
import { Player } from "./sounds.js";

const LOOPS = { idle: "join", beacon: "heartbeat" };
const BEGINS = { armed: "sting", closing: "end", sealed: "lock", drawn: "roll" };
const LAST_TICKS = ["1", "2", "3"];

export class WallSounds {
  constructor(player = new Player()) {
    this.player = player;
    this.scene = "";
    this.stop = () => {};
  }

  /** On or off, by a click; the scene of this moment is heard at once. */
  async toggle() {
    this.stop();
    this.stop = () => {};
    if (this.player.on) return this.player.switchOff();
    await this.player.switchOn();
    return this.loop();
  }

  enter(scene) {
    this.stop();
    this.scene = scene;
    this.loop();
    if (BEGINS[scene]) this.player.play(BEGINS[scene]);
  }

  loop() {
    this.stop = this.player.on && LOOPS[this.scene] ? this.player.loop(LOOPS[this.scene]) : () => {};
  }

  /** A second of the countdown. */
  tick(digit) {
    this.player.play(LAST_TICKS.includes(digit) ? "lastTick" : "tick");
  }

  /** A name is awaited, or is there. */
  name(isAwaited) {
    this.player.play(isAwaited ? "roll" : "hit");
  }
}
