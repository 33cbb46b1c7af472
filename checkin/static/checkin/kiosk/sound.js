/** Three short tones, made here: a file would be one more thing to load. */

import { recall, remember } from "../../rollcall/memory.js";

// [frequency in hertz, start in seconds, length in seconds]; rising is good, falling is bad.
const TONES = {
  good: [[660, 0, 0.11], [990, 0.1, 0.2]],
  notice: [[660, 0, 0.12], [660, 0.2, 0.14]],
  bad: [[330, 0, 0.18], [220, 0.17, 0.3]],
};
const LOUDNESS = 0.16;

export class Sound {
  #context = null;
  #on = recall("sound") !== "off";
  #waitedForThisTouch = false;
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    for (const gesture of ["pointerdown", "keydown"]) {
      document.addEventListener(gesture, () => this.#touched(), { capture: true });
    }
  }

  /** "on", "off", or "waiting" while the browser wants a touch before it plays anything. */
  get state() {
    if (!this.#on) return "off";
    return this.#context?.state === "running" ? "on" : "waiting";
  }

  /** Kiosk set-ups may allow sound without a touch; trying is the only way to know. */
  start() {
    if (this.#on) this.#unlock();
  }

  /** The touch that wakes a waiting sound does not switch it off as well. */
  async toggle() {
    if (!this.#waitedForThisTouch) this.#on = !this.#on;
    this.#waitedForThisTouch = false;
    remember("sound", this.#on ? "on" : "off");
    await this.#unlock();
    this.#onChange();
    this.play("good");
  }

  play(tone) {
    if (this.state !== "on") return;
    const now = this.#context.currentTime;
    for (const [hertz, start, length] of TONES[tone] ?? TONES.notice) {
      this.#beep(hertz, now + start, length);
    }
  }

  #touched() {
    this.#waitedForThisTouch = this.state === "waiting";
    this.#unlock();
  }

  async #unlock() {
    const AudioContext = window.AudioContext ?? window.webkitAudioContext;
    if (!this.#on || !AudioContext) return;
    if (!this.#context) {
      this.#context = new AudioContext();
      this.#context.addEventListener("statechange", () => this.#onChange());
    }
    if (this.#context.state !== "running") await this.#context.resume().catch(() => {});
  }

  #beep(hertz, at, length) {
    const oscillator = this.#context.createOscillator();
    const volume = this.#context.createGain();
    oscillator.frequency.value = hertz;
    // Ramps instead of steps: a step is heard as a click.
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(LOUDNESS, at + 0.015);
    volume.gain.exponentialRampToValueAtTime(0.001, at + length);
    oscillator.connect(volume).connect(this.#context.destination);
    oscillator.start(at);
    oscillator.stop(at + length + 0.02);
  }
}
