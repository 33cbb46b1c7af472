/**
 * A student's own record at the kiosk: number, then pass, then the record for a moment.
 * Nothing outlives the page: the number and the record are in memory only and are forgotten.
 */

import { Camera } from "../../rollcall/camera.js";
import { listening } from "../../rollcall/listening.js";
import { readTexts } from "../kiosk/texts.js";

const BETWEEN_FRAMES_MS = 250;
const OFFLINE_WAIT_MS = 2000;
const KEYS = ["1234567890", "QWERTYUIOP", "ASDFGHJKL-", "ZXCVBNM./_"];

const config = JSON.parse(document.getElementById("look-up-config").textContent);
const texts = readTexts(document.getElementById("look-up-texts"));
const field = document.getElementById("look-number");
const slot = (name) => document.querySelector(`[data-slot="${name}"]`);
const camera = new Camera(slot("video"), cameraChanged);

let screen = "number";
let number = "";
let round = 0; // Answers to an earlier number are not heard.
let idleTimer = null;
let secondsTimer = null;

function show(name) {
  screen = name;
  for (const section of document.querySelectorAll("[data-screen]")) {
    section.hidden = section.dataset.screen !== name;
  }
  stayAwhile();
}

/** Who has left leaves nothing on the screen, and the kiosk goes back to work. */
function stayAwhile() {
  clearTimeout(idleTimer);
  if (screen !== "record") idleTimer = setTimeout(leave, config.idle_ms);
}

function leave() {
  forget();
  location.replace(config.kiosk_url);
}

function forget() {
  round += 1;
  number = field.value = "";
  clearInterval(secondsTimer);
  for (const name of ["name", "courses", "sessions"]) slot(name).replaceChildren();
  camera.stop();
}

function startAgain() {
  forget();
  show("number");
  field.focus({ preventScroll: true });
}

// The number

function buildKeys() {
  const keys = KEYS.flatMap((row) => [...row]).map((character) => key(character, character));
  const erase = key("⌫", null);
  erase.setAttribute("aria-label", slot("keys").dataset.delete);
  erase.classList.add("look-erase");
  slot("keys").append(...keys, erase);
}

function key(label, character) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.addEventListener("click", () => {
    field.value = character === null ? field.value.slice(0, -1) : (field.value + character).slice(0, 64);
    stayAwhile();
  });
  return button;
}

document.querySelector(".look-form").addEventListener("submit", (event) => {
  event.preventDefault();
  number = field.value.trim();
  if (!number) {
    field.focus();
    return;
  }
  show("pass");
  setText(slot("message"), texts("starting"));
  camera.start();
});

// The pass

function cameraChanged() {
  if (screen !== "pass") return;
  if (camera.status === "problem") setText(slot("message"), texts("no_camera"));
  if (camera.status === "ready") {
    setText(slot("message"), texts("hold"));
    slot("video").classList.toggle("mirrored", camera.mirrored);
    read(round);
  }
}

async function read(mine) {
  while (mine === round && screen === "pass" && camera.status === "ready") {
    const answer = await send(mine);
    if (mine !== round || screen !== "pass") return;
    if (answer) heard(answer);
    await new Promise((resolve) => setTimeout(resolve, answer ? BETWEEN_FRAMES_MS : OFFLINE_WAIT_MS));
  }
}

/** One picture and its answer; null when nobody answered. */
async function send() {
  const jpeg = await camera.capture(config.frame);
  if (!jpeg) return { state: "looking", message: texts("hold") };
  const form = new FormData();
  form.append("number", number);
  form.append("frame", jpeg, "frame.jpg");
  const headers = { "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value };
  try {
    const response = await fetch(config.read_url, { method: "POST", headers, body: form, cache: "no-store" });
    return await response.json();
  } catch {
    setText(slot("message"), texts("offline"));
    return null;
  }
}

function heard({ state, message, record }) {
  if (state === "shown") {
    showRecord(record);
  } else if (state === "looking") {
    setText(slot("message"), message);
  } else {
    setText(slot("refusal"), message);
    camera.stop();
    show("refused");
    document.querySelector('[data-screen="refused"] button').focus();
  }
}

// The record

function showRecord({ name, courses, sessions }) {
  camera.stop();
  setText(slot("name"), name);
  slot("courses").replaceChildren(...(courses.length ? courses.map(courseItem) : [element("li", "", texts("nothing"))]));
  slot("sessions").replaceChildren(...sessions.map(sessionItem));
  slot("last").hidden = sessions.length === 0;
  show("record");
  document.querySelector('[data-action="done"]').focus();
  countDown(config.show_ms / 1000);
}

function courseItem({ code, title, percentage, required, below, attended }) {
  const item = element("li", below ? "below" : "");
  const figure = element("p", "look-figure", percentage ?? texts("no_session"));
  if (!percentage) figure.className = "look-quiet";
  const words = [percentage ? attended : "", below ? `${texts("below")}: ${required}` : required];
  const foot = element("p", "look-quiet", words.filter(Boolean).join(" · "));
  item.append(element("h3", "", `${code} ${title}`), figure, foot);
  return item;
}

function sessionItem({ session, status, time }) {
  const item = element("li");
  item.append(element("span", "", session), element("span", "look-status", [status, time].filter(Boolean).join(" · ")));
  return item;
}

function countDown(seconds) {
  clearInterval(secondsTimer);
  let left = seconds;
  const tell = () => setText(slot("seconds"), texts("seconds", { count: left }));
  tell();
  secondsTimer = setInterval(() => {
    left -= 1;
    if (left <= 0) leave();
    else tell();
  }, 1000);
}

function element(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.textContent = text;
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Hands on the screen

for (const button of document.querySelectorAll('[data-action="start-again"]')) {
  button.addEventListener("click", startAgain);
}
document.querySelector('[data-action="done"]').addEventListener("click", leave);
field.addEventListener("input", stayAwhile);
window.addEventListener("pagehide", forget);

buildKeys();
listening();
field.focus({ preventScroll: true });
stayAwhile();
