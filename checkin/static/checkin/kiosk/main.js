/** The kiosk page: joins camera, line and screen. The server decides; this only shows and sends. */

import { keepAwake } from "./awake.js";
import { Camera } from "../../rollcall/camera.js";
import { speak } from "./language.js";
import { pair, takeCodeFromAddress } from "./pairing.js";
import { FramePump } from "./pump.js";
import { isLost, KioskSocket } from "./socket.js";
import { Sound } from "./sound.js";
import { readTexts } from "./texts.js";
import { View } from "./view.js";

const SLOW_FRAME_MS = 2000; // while the server says "idle" although a session is listed
const REFUSED_FRAME_MS = 1000; // after an error: no hammering
const DEFAULT_SHOW_MS = 2500;
const LONGEST_SHOW_MS = 10000;
const LONGEST_NOT_ME_MS = 10000;
const FALLBACK_AFTER_MS = 6000; // without the server: the way in that needs none
const SERVING = new Set(["challenge", "matching", "pass"]); // the next person is being served

const config = JSON.parse(document.getElementById("kiosk-config").textContent);
const view = new View(readTexts(document.getElementById("kiosk-texts")));
const camera = new Camera(document.querySelector('[data-slot="video"]'), cameraChanged);
const sound = new Sound(render);
const socket = new KioskSocket(config.socket_path, {
  link: linkChanged,
  message: heard,
  free: () => pump(),
  silent: forgetReply,
});
const { pump } = new FramePump(camera, socket, {
  mayGo: () => state.sessions?.length > 0 && !state.verdict,
  intervalMs: frameIntervalMs,
});

const state = {
  link: "off",
  why: null,
  lostForLong: false,
  kiosk: null,
  sessions: null,
  reply: null,
  silent: false,
  refusedFrames: 0,
  verdict: null,
  notMe: false,
  camera,
  sound: sound.state,
  pairing: { busy: false, text: null, words: null },
};

function render() {
  state.sound = sound.state;
  view.render(state);
}

// Frames, only while a session is open and nobody reads a verdict

function frameIntervalMs() {
  if (state.refusedFrames > 0) return REFUSED_FRAME_MS;
  if (state.reply?.phase === "idle") return SLOW_FRAME_MS;
  return Math.max(1000 / socket.limits.max_fps, state.reply?.interval_ms ?? 0);
}

// What the server says

const answers = {
  welcome({ kiosk }) {
    state.kiosk = kiosk;
    tellDevice();
  },
  sessions({ sessions }) {
    state.sessions = sessions;
    if (sessions.length === 0) state.reply = null;
  },
  state(message) {
    state.refusedFrames = 0;
    state.reply = message;
    if (SERVING.has(message.phase)) withdrawNotMe();
  },
  verdict(message) {
    state.refusedFrames = 0;
    showVerdict(message);
    offerNotMe(message.not_me_ms);
  },
  undone(message) {
    showVerdict(message);
  },
  error({ seq, code, message }) {
    if (code === "not_undone") showVerdict({ title: view.text("not_undone"), message, tone: "bad" });
    if (code === "frame_too_large") camera.qualityFactor = Math.max(0.5, camera.qualityFactor * 0.8);
    // A lost worker was replaced already: the next frame will do.
    if (seq !== null && code !== "worker_lost") state.refusedFrames += 1;
  },
};

function heard(message) {
  state.silent = false;
  answers[message.type]?.(message);
  render();
  pump();
}

let verdictTimer = null;

function showVerdict(verdict) {
  state.verdict = verdict;
  state.reply = null;
  sound.play(verdict.tone);
  clearTimeout(verdictTimer);
  const shown = Math.min(verdict.show_ms ?? DEFAULT_SHOW_MS, LONGEST_SHOW_MS);
  verdictTimer = setTimeout(() => {
    state.verdict = null;
    render();
    pump();
  }, shown);
}

// "Not me": the server knows to whom it belongs, and for how long; this only offers it.

let notMeTimer = null;

function offerNotMe(forMs) {
  withdrawNotMe();
  if (!forMs) return;
  state.notMe = true;
  notMeTimer = setTimeout(() => {
    withdrawNotMe();
    render();
  }, Math.min(forMs, LONGEST_NOT_ME_MS));
}

function withdrawNotMe() {
  clearTimeout(notMeTimer);
  state.notMe = false;
}

function sayNotMe() {
  if (!state.notMe) return;
  withdrawNotMe();
  socket.say({ type: "not_me" });
  render();
}

function linkChanged(link, why) {
  state.link = link;
  state.why = why;
  if (link === "stalled") state.reply = null;
  else if (link !== "open") forgetUnconfirmed();
  watchForFallback();
  if (link === "unpaired") state.pairing = { busy: false, text: null, words: why };
  render();
  pump();
}

let fallbackTimer = null;

/** Nobody waits at a dead screen: after a while it says what helps without it. */
function watchForFallback() {
  if (!isLost(state.link)) {
    clearTimeout(fallbackTimer);
    fallbackTimer = null;
    state.lostForLong = false;
  } else if (fallbackTimer === null) {
    fallbackTimer = setTimeout(() => {
      state.lostForLong = true;
      render();
    }, FALLBACK_AFTER_MS);
  }
}

/** A question that the server no longer follows must not stay on the screen. */
function forgetReply() {
  state.reply = null;
  state.silent = true;
  render();
}

/** Without the server nothing that it said a moment ago may still look true. A shown verdict is written: it stays. */
function forgetUnconfirmed() {
  state.reply = null;
  state.sessions = null;
  withdrawNotMe();
  state.silent = false;
  state.refusedFrames = 0;
}

function cameraChanged() {
  tellDevice();
  render();
  pump();
}

/** So that the desk sees what is wrong here. */
function tellDevice() {
  const cameraState = camera.status === "problem" ? camera.problem : camera.status;
  socket.say({ type: "device", camera: cameraState, version: config.version });
}

// Pairing

async function pairWith(code) {
  const csrf = document.querySelector(".pairing [name=csrfmiddlewaretoken]").value;
  state.pairing = { busy: true, text: null, words: null };
  render();
  const { kiosk, refusal } = await pair({ url: config.pair_url, code, csrf });
  if (refusal) {
    state.pairing = { busy: false, text: `pairing_${refusal.kind}`, words: refusal.message ?? null };
    render();
    return;
  }
  state.pairing = { busy: false, text: null, words: null };
  state.kiosk = kiosk;
  document.getElementById("pairing-code").value = "";
  begin();
}

function begin() {
  keepAwake();
  sound.start();
  if (camera.status === "off") camera.start();
  socket.connect();
}

async function open() {
  const code = takeCodeFromAddress();
  if (code) await pairWith(code);
  else if (config.paired) begin();
  else render();
}

// Another language: the words on the page at once, the server's with a new connection

async function chooseLanguage(language) {
  if (!(await speak(document.querySelector(".languages"), language))) return;
  view.speak(readTexts(document.getElementById("kiosk-texts")));
  state.reply = null;
  render();
  if (["open", "stalled", "connecting"].includes(socket.link)) socket.connect();
}

// Hands on the screen

const on = (target, event, act) => target.addEventListener(event, act);
const byControl = (name) => document.querySelector(`[data-control="${name}"]`);
const byAction = (name) => document.querySelector(`[data-action="${name}"]`);
const cameraPanel = document.getElementById("camera-panel");

function showCameraPanel(shown) {
  cameraPanel.hidden = !shown;
  byControl("camera").setAttribute("aria-expanded", String(shown));
  if (shown) document.getElementById("camera-choice").focus();
}

on(document.querySelector(".pairing"), "submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("pairing-code");
  if (field.value.trim()) pairWith(field.value.trim());
  else field.focus();
});
on(document.querySelector(".languages"), "submit", (event) => {
  event.preventDefault();
  if (event.submitter) chooseLanguage(event.submitter.value);
});
on(byAction("retry-camera"), "click", () => camera.start());
on(byAction("use-this-screen"), "click", () => socket.connect());
on(byAction("not-me"), "click", sayNotMe);
on(document, "keydown", (event) => {
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
  const typing = event.target.closest("input, select");
  if (plain && !typing && event.key.toLowerCase() === "n") sayNotMe();
});
on(byControl("sound"), "click", () => sound.toggle());
on(byControl("full-screen"), "click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen().catch(() => {});
});
on(byControl("camera"), "click", () => showCameraPanel(cameraPanel.hidden));
on(document.getElementById("camera-choice"), "change", (event) => {
  camera.choose(event.target.value);
  showCameraPanel(false);
});
on(document, "pointerdown", (event) => {
  if (!event.target.closest("#camera-panel, [data-control=camera]")) showCameraPanel(false);
});
on(document, "keydown", (event) => {
  if (event.key !== "Escape" || cameraPanel.hidden) return;
  showCameraPanel(false);
  byControl("camera").focus();
});
on(document, "fullscreenchange", render);
on(window, "hashchange", () => {
  const code = takeCodeFromAddress();
  if (code) pairWith(code);
});
on(document, "visibilitychange", () => {
  if (document.hidden) return;
  keepAwake();
  camera.wake();
  socket.wake();
  pump();
});

open();
