/** Check-in from the own device: joins camera, line and screen. The server decides. */

import { Camera } from "../../rollcall/camera.js";
import { listening } from "../../rollcall/listening.js";
import { keepAwake } from "../kiosk/awake.js";
import { FramePump } from "../kiosk/pump.js";
import { KioskSocket } from "../kiosk/socket.js";
import { readTexts } from "../kiosk/texts.js";
import { View } from "./view.js";

const REFUSED_FRAME_MS = 1000; // after an error: no hammering

// Whatever the server says on closing stays until somebody does something.
const OBSTACLES = [
  "origin_refused", "not_yours", "not_offered", "pass_needed", "not_open_yet", "session_over",
  "network", "no_consent", "no_template", "paused",
];
const ENDINGS = {
  byError: {
    ...Object.fromEntries(OBSTACLES.map((code) => [code, "refused"])),
    logged_out: "logged_out",
    replaced: "replaced",
  },
  byClose: { 1000: "done", 4401: "logged_out", 4403: "refused", 4409: "replaced" },
};

const config = JSON.parse(document.getElementById("own-device-config").textContent);
const view = new View(readTexts(document.getElementById("own-device-texts")));
const camera = new Camera(document.querySelector('[data-slot="video"]'), changed);
const socket = new KioskSocket(
  config.socket_path,
  { link: linkChanged, message: heard, free: () => pump(), silent: changed },
  ENDINGS,
);
const { pump } = new FramePump(camera, socket, {
  mayGo: () => !state.verdict,
  intervalMs: () =>
    refusedFrames
      ? REFUSED_FRAME_MS
      : Math.max(1000 / socket.limits.max_fps, state.reply?.interval_ms ?? 0),
});

const state = { started: false, link: "off", code: null, why: null, reply: null, verdict: null, camera };

let refusedFrames = 0;

function changed() {
  view.render(state);
  pump();
}

// What the server says

function heard(message) {
  if (message.type === "state") {
    refusedFrames = 0;
    state.reply = message;
  } else if (message.type === "verdict") {
    refusedFrames = 0;
    state.reply = null;
    state.verdict = message;
  } else if (message.type === "error") {
    state.code = message.code;
    if (message.seq !== null && message.code !== "worker_lost") refusedFrames += 1;
    if (message.code === "frame_too_large") {
      camera.qualityFactor = Math.max(0.5, camera.qualityFactor * 0.8);
    }
  }
  changed();
}

function linkChanged(link, why) {
  state.link = link;
  state.why = why;
  if (link !== "open") state.reply = null;
  if (["done", "refused", "logged_out", "replaced"].includes(link)) camera.stop();
  changed();
}

// Hands on the screen

const on = (name, act) =>
  document.querySelector(`[data-action="${name}"]`).addEventListener("click", act);

function start() {
  Object.assign(state, { started: true, verdict: null, code: null });
  keepAwake();
  if (camera.status !== "ready") camera.start();
  if (!["open", "connecting", "stalled"].includes(socket.link)) socket.connect();
  changed();
  view.focusLive();
}

on("start", start);
on("again", () => (state.link === "refused" ? location.reload() : start()));
on("here", start);
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !state.started || state.link === "done") return;
  keepAwake();
  camera.wake();
  socket.wake();
  pump();
});

view.render(state);
listening();
