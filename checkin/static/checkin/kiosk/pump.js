/** Sends the camera's pictures: one in flight, and no faster than the server wants. */

const NEW_PICTURE_MS = 15; // how soon to look again for a new picture of the camera
const CAMERA_STALLED_MS = 6000; // some need seconds for their first picture

export class FramePump {
  #camera;
  #socket;
  #mayGo;
  #intervalMs;
  #timer = null;
  #capturing = false;
  #lastSent = -Infinity;
  #starvedSince = null;

  /** `mayGo` tells whether a frame is wanted now, `intervalMs` how long after the one before. */
  constructor(camera, socket, { mayGo, intervalMs }) {
    this.#camera = camera;
    this.#socket = socket;
    this.#mayGo = () => socket.free && camera.status === "ready" && !document.hidden && mayGo();
    this.#intervalMs = intervalMs;
  }

  /** Send a frame, or look again when one may go. Call it whenever something has changed. */
  pump = () => {
    clearTimeout(this.#timer);
    const starved = this.#starvedSince;
    this.#starvedSince = null;
    if (!this.#mayGo() || this.#capturing) return;
    const now = performance.now();
    const wait = this.#lastSent + this.#intervalMs() - now;
    if (wait > 0) {
      this.#timer = setTimeout(this.pump, wait);
    } else if (this.#camera.hasNewFrame) {
      this.#send();
    } else if (starved !== null && now - starved > CAMERA_STALLED_MS) {
      this.#camera.giveUp();
    } else {
      this.#starvedSince = starved ?? now;
      this.#timer = setTimeout(this.pump, NEW_PICTURE_MS);
    }
  };

  async #send() {
    this.#capturing = true;
    this.#lastSent = performance.now();
    const jpeg = await this.#camera.capture(this.#socket.limits);
    this.#capturing = false;
    // The world may have changed while the picture was packed.
    if (jpeg && this.#mayGo()) this.#socket.send(jpeg);
    else this.pump();
  }
}
