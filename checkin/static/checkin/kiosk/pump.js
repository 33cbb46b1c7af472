/**
 * Sends the camera's pictures: one in flight, and no faster than the server wants.
 *
 * A picture is sent as soon as the camera has made it, so that the server, which sees only when
 * frames come, knows how far apart they were taken. One that the page had shown for a while would
 * be older than it seems, by more or less each time, and a steady movement would look jerky.
 */

const NEW_PICTURE_MS = 15; // how soon to look again for a new picture of the camera
const EARLY_MS = 20; // rather so much too soon than a whole picture too late
const CAMERA_STALLED_MS = 6000; // some need seconds for their first picture

export class FramePump {
  #camera;
  #socket;
  #mayGo;
  #intervalMs;
  #timer = null;
  #capturing = false;
  #lastSent = -Infinity;
  #wanted = null; // since when a picture is, and how many there were then

  /** `mayGo` tells whether a frame is wanted now, `intervalMs` how long after the one before. */
  constructor(camera, socket, { mayGo, intervalMs }) {
    this.#camera = camera;
    this.#socket = socket;
    this.#mayGo = () => socket.free && camera.status === "ready" && !document.hidden && mayGo();
    this.#intervalMs = intervalMs;
    camera.onPicture = this.pump;
  }

  /** Send a frame, or look again when one may go. Call it whenever something has changed. */
  pump = () => {
    clearTimeout(this.#timer);
    const wanted = this.#wanted;
    this.#wanted = null;
    if (!this.#mayGo() || this.#capturing) return;
    const now = performance.now();
    const wait = this.#lastSent + this.#intervalMs() - EARLY_MS - now;
    if (wait > 0) {
      this.#timer = setTimeout(this.pump, wait);
    } else if (wanted && this.#camera.pictures > wanted.pictures) {
      this.#send();
    } else if (wanted && now - wanted.since > CAMERA_STALLED_MS) {
      this.#camera.giveUp();
    } else {
      this.#wanted = wanted ?? { since: now, pictures: this.#camera.pictures };
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
