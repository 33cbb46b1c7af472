/** The webcam: opens it, keeps it open, and turns what it sees into JPEG frames. */

import { recall, remember } from "./memory.js";

const RETRY_MS = 5000;
const RETRIED = new Set(["missing", "busy", "lost"]);
const LOWEST_QUALITY = 0.4;
const UNTOLD_MS = 250; // after that it is looked for pictures of which the browser tells nothing

const PROBLEM_BY_ERROR = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  AbortError: "busy",
};

export class Camera {
  #video;
  #onChange;
  #canvas = document.createElement("canvas");
  #stream = null;
  #retry = null;
  #attempt = 0;
  #pictures = 0;
  #toldAt = -Infinity;
  #lastVideoTime = -1;

  /** "off", "starting", "ready" or "problem"; then `problem` says which. */
  status = "off";
  problem = null;
  devices = [];
  /** Called with each picture that the camera has made, by browsers that tell. */
  onPicture = () => {};
  /** Lowered when the server finds frames too large. */
  qualityFactor = 1;

  constructor(video, onChange) {
    this.#video = video;
    this.#onChange = onChange;
    this.#listenForPictures();
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#devicesChanged());
    navigator.permissions?.query({ name: "camera" }).then(
      (permission) => {
        permission.onchange = () => this.problem === "denied" && this.start();
      },
      () => {}, // Not every browser knows this permission by name.
    );
  }

  get deviceId() {
    return this.#track?.getSettings().deviceId ?? null;
  }

  /** A camera that looks away from the screen is no mirror. */
  get mirrored() {
    return this.#track?.getSettings().facingMode !== "environment";
  }

  async start() {
    const attempt = ++this.#attempt;
    clearTimeout(this.#retry);
    if (!navigator.mediaDevices?.getUserMedia) {
      this.#fail(window.isSecureContext ? "unsupported" : "insecure");
      return;
    }
    this.#release();
    if (this.status !== "problem") this.#become("starting");
    try {
      const stream = await openCamera(recall("camera"));
      if (attempt !== this.#attempt) {
        stopTracks(stream);
        return;
      }
      await this.#show(stream);
    } catch (error) {
      if (attempt === this.#attempt) this.#fail(PROBLEM_BY_ERROR[error.name] ?? "busy");
    }
  }

  /** Close it: whoever is recorded needs not be looked at any longer. */
  stop() {
    this.#attempt += 1;
    clearTimeout(this.#retry);
    this.#release();
    this.#become("off");
  }

  choose(deviceId) {
    remember("camera", deviceId);
    return this.start();
  }

  /** The phone took the camera while the page was in the background: open it again. */
  wake() {
    if (this.status === "ready" && this.#track?.readyState !== "live") this.start();
    else if (this.status === "ready") this.#video.play().catch(() => {});
  }

  /** Open, but no pictures come. */
  giveUp() {
    this.#fail("lost");
  }

  /** How many the camera has made so far. */
  get pictures() {
    const untold = performance.now() - this.#toldAt > UNTOLD_MS;
    const there = this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    if (untold && there && this.#video.currentTime !== this.#lastVideoTime) this.#count();
    return this.#pictures;
  }

  #count() {
    this.#pictures += 1;
    this.#lastVideoTime = this.#video.currentTime;
  }

  #listenForPictures() {
    this.#video.requestVideoFrameCallback?.(() => {
      this.#toldAt = performance.now();
      this.#count();
      this.#listenForPictures();
      this.onPicture();
    });
  }

  /** The picture of this moment as a JPEG blob, unmirrored, within the server's limits; null if there is none. */
  async capture(limits) {
    const { videoWidth, videoHeight } = this.#video;
    if (!videoWidth || !videoHeight) return null;
    const size = frameSize(videoWidth, videoHeight, limits);
    const crop = coveringCrop(videoWidth, videoHeight, size.width / size.height);
    this.#canvas.width = size.width;
    this.#canvas.height = size.height;
    this.#canvas
      .getContext("2d", { alpha: false })
      .drawImage(this.#video, crop.x, crop.y, crop.width, crop.height, 0, 0, size.width, size.height);
    return this.#encode(limits);
  }

  async #encode(limits) {
    let quality = limits.quality * this.qualityFactor;
    let jpeg = await toJpeg(this.#canvas, quality);
    while (jpeg && jpeg.size > limits.max_bytes && quality > LOWEST_QUALITY) {
      quality -= 0.15;
      jpeg = await toJpeg(this.#canvas, quality);
    }
    return jpeg;
  }

  get #track() {
    return this.#stream?.getVideoTracks()[0];
  }

  async #show(stream) {
    this.#stream = stream;
    this.#track.addEventListener("ended", () => this.#fail("lost"));
    this.#video.srcObject = stream;
    // The promise waits for the first picture; a hidden page may never get one, so do not.
    this.#video.play().catch(() => {});
    await this.#listDevices();
    this.#become("ready");
  }

  async #devicesChanged() {
    if (RETRIED.has(this.problem)) this.start();
    else if (this.status === "ready") {
      await this.#listDevices();
      this.#onChange();
    }
  }

  async #listDevices() {
    // Names and ids are empty until the camera was allowed once.
    const all = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    this.devices = all.filter((device) => device.kind === "videoinput" && device.deviceId);
  }

  #fail(problem) {
    this.#release();
    this.#become("problem", problem);
    if (RETRIED.has(problem)) this.#retry = setTimeout(() => this.start(), RETRY_MS);
  }

  #release() {
    if (this.#stream) stopTracks(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
  }

  #become(status, problem = null) {
    this.status = status;
    this.problem = problem;
    this.#onChange();
  }
}

/** The remembered camera; when it is gone, the one that faces the user. */
async function openCamera(deviceId) {
  const picture = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  const open = (video) => navigator.mediaDevices.getUserMedia({ video, audio: false });
  if (deviceId) {
    try {
      return await open({ ...picture, deviceId: { exact: deviceId } });
    } catch (error) {
      if (error.name !== "OverconstrainedError" && error.name !== "NotFoundError") throw error;
    }
  }
  return open({ ...picture, facingMode: "user" });
}

function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}

function toJpeg(canvas, quality) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}

/** The server's frame size, turned upright for an upright camera, never larger than the camera's picture. */
export function frameSize(videoWidth, videoHeight, limits) {
  const upright = videoHeight > videoWidth;
  const width = upright ? limits.height : limits.width;
  const height = upright ? limits.width : limits.height;
  const crop = coveringCrop(videoWidth, videoHeight, width / height);
  const scale = Math.min(1, crop.width / width, Math.sqrt(limits.max_pixels / (width * height)));
  return { width: Math.floor(width * scale), height: Math.floor(height * scale) };
}

/** The largest part of the picture, from its centre, that has this aspect (width / height). */
export function coveringCrop(videoWidth, videoHeight, aspect) {
  const width = Math.min(videoWidth, videoHeight * aspect);
  const height = width / aspect;
  return { x: (videoWidth - width) / 2, y: (videoHeight - height) / 2, width, height };
}
