/** The camera of a page that takes single pictures: opens it on request and hands over each shot. */

import { Camera } from "../rollcall/camera.js";

const PICTURE = { width: 1280, height: 960, max_pixels: 1_300_000, max_bytes: 2_000_000, quality: 0.92 };

/** Show the camera's part of the page; `onShot` gets each picture as a JPEG file and is awaited. */
export function offerCamera(onShot) {
  const part = (name) => document.getElementById(`camera${name}`);
  const [open, view, video, shoot, problem] = ["-open", "-view", "-video", "-shoot", "-problem"].map(part);
  const camera = new Camera(video, show);

  function show() {
    open.hidden = camera.status === "ready";
    open.disabled = camera.status === "starting";
    view.hidden = camera.status !== "ready";
    video.classList.toggle("mirrored", camera.mirrored);
    problem.hidden = camera.status !== "problem";
    problem.textContent = problem.dataset[camera.problem] ?? "";
  }

  open.addEventListener("click", () => camera.start());
  shoot.addEventListener("click", async () => {
    const jpeg = await camera.capture(PICTURE);
    if (!jpeg) return;
    shoot.disabled = true;
    try {
      await onShot(new File([jpeg], `camera-${Date.now()}.jpg`, { type: "image/jpeg" }));
    } finally {
      shoot.disabled = false;
      shoot.focus();
    }
  });
  part("").hidden = false;
}
