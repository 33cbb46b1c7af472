/** Puts the state on the screen. It asks nobody and decides nothing but what to show. */

import { iconOfHint, showAsked } from "./asked.js";
import { isLost } from "./socket.js";

const OUTCOMES_WITH_ICON = new Set(["late", "checked_out", "second_factor"]);
const TONES = new Set(["good", "notice", "bad"]);
const SESSIONS_SHOWN = 2;

const LINK_ICON = {
  open: "online",
  connecting: "connecting",
  stalled: "connecting",
  offline: "connecting",
};
const LINK_TEXT = {
  open: "connected",
  connecting: "connecting",
  stalled: "reconnecting",
  offline: "reconnecting",
  unpaired: "not_paired",
  off: "not_paired",
};
const SOUND_TEXT = { on: "switch_sound_off", off: "switch_sound_on", waiting: "sound_waiting" };
const LONG_NAME = 20; // characters from which on a name gets smaller type

/** Which screen this state asks for. */
export function screenOf({ link, sessions, camera }) {
  if (link === "unpaired" || link === "off") return "pairing";
  if (link === "replaced" || link === "refused") return link;
  if (camera.status === "problem") return "camera";
  if (link === "open" && sessions?.length === 0) return "idle";
  return "live";
}

/** What the live screen says: only the server's words while the server is there. */
export function sentenceOf({ link, lostForLong, sessions, camera, reply, silent, refusedFrames }) {
  if (isLost(link)) {
    const text = lostForLong ? "offline_fallback" : "offline";
    return { text, hint: "offline", detail: "offline_detail" };
  }
  if (link !== "open" || !sessions) return { text: "connecting", hint: "wait" };
  if (camera.status !== "ready") {
    return { text: "camera_starting", hint: "wait", detail: "camera_starting_detail" };
  }
  if (silent || refusedFrames > 2) return { text: "wait", hint: "wait" };
  const detail = detailOf(reply?.phase ?? "searching", sessions);
  if (reply?.message) {
    const { message, hint, progress, asked } = reply;
    return { words: message, hint, progress, asked, detail };
  }
  return { text: "look", hint: "look", detail };
}

/** What a pass has to do with it, by the policy of the open sessions. */
function detailOf(phase, sessions) {
  if (phase === "pass") return "pass_detail";
  if (phase !== "searching") return null;
  const policies = new Set(sessions.map(({ entry }) => entry));
  if (policies.has("face_or_pass")) return "or_pass_detail";
  return policies.has("face_and_pass") ? "and_pass_detail" : null;
}

export class View {
  #texts;
  #icons = document.body.dataset.icons;

  constructor(texts) {
    this.#texts = texts;
  }

  render(state) {
    const screen = screenOf(state);
    this.#showScreen(screen);
    this.#renderPlace(state);
    this.#renderSessions(state.link === "open" ? (state.sessions ?? []) : []);
    if (screen === "live") this.#renderLive(state);
    if (screen === "camera") this.#renderProblem(state.camera.problem);
    if (screen === "refused" && state.why) setText(slot("refusal"), state.why);
    if (screen === "pairing") this.#renderPairing(state);
    this.#renderControls(state, screen);
    this.#renderVerdict(state.verdict, state.notMe);
    this.#renderNotMe(state);
  }

  /** From now on in other words. */
  speak(texts) {
    this.#texts = texts;
  }

  /** A sentence of the page by its name. */
  text(key) {
    return this.#texts(key);
  }

  #showScreen(name) {
    if (document.body.dataset.showing === name) return;
    document.body.dataset.showing = name;
    for (const section of document.querySelectorAll("[data-screen]")) {
      section.hidden = section.dataset.screen !== name;
    }
    if (name === "pairing") document.getElementById("pairing-code").focus();
  }

  #renderPlace({ kiosk, link }) {
    for (const node of document.querySelectorAll('[data-slot="kiosk"]')) {
      if (kiosk) setText(node, kiosk);
    }
    const sign = slot("link");
    sign.dataset.link = isLost(link) ? "offline" : link;
    setText(sign.querySelector(".link-word"), this.#texts(LINK_TEXT[link] ?? "stopped"));
    this.#setIcon(sign, LINK_ICON[link] ?? "offline");
  }

  #renderSessions(sessions) {
    const list = slot("sessions");
    list.hidden = sessions.length === 0;
    const items = sessions.slice(0, SESSIONS_SHOWN).map((session) => this.#sessionItem(session));
    const left = sessions.length - items.length;
    if (left > 0) items.push(element("li", "session-more", this.#texts("more_sessions", { count: left })));
    if (sameText(list, items)) return;
    list.replaceChildren(...items);
  }

  #sessionItem({ course, code, room, starts, ends, expected, present }) {
    const item = element("li", "session");
    const when = element("p", "session-when");
    // What matters most comes first: a narrow screen cuts the end off.
    when.append(element("span", "session-count", this.#texts("attendance", { present, expected })));
    when.append(element("span", "", `${starts}–${ends}`));
    if (room) when.append(element("span", "session-room", this.#roomName(room)));
    item.append(element("p", "session-course", course || code), when);
    return item;
  }

  /** "101" alone says nothing; "Lecture Hall A" does. */
  #roomName(room) {
    return /^\d/.test(room) ? this.#texts("room", { room }) : room;
  }

  #renderLive(state) {
    const { text, words, hint, progress, asked, detail } = sentenceOf(state);
    const live = document.querySelector(".live");
    live.dataset.link = isLost(state.link) ? "offline" : state.link;
    live.dataset.phase = state.link === "open" ? (state.reply?.phase ?? "") : "";
    live.classList.toggle("unmirrored", !state.camera.mirrored);
    slot("ring").setAttribute("stroke-dasharray", `${ringLength(progress)} 200`);
    showAsked(live, asked);
    // Behind a verdict the sentence rests, or a screen reader would read it over the name.
    if (state.verdict) return;
    setText(slot("message"), words ?? this.#texts(text));
    this.#setIcon(live.querySelector(".message"), iconOfHint(hint, asked));
    live.querySelector(".message").dataset.hint = hint;
    setText(slot("detail"), detail ? this.#texts(detail) : "");
    slot("detail").hidden = !detail;
  }

  #renderProblem(problem) {
    setText(slot("problem-title"), this.#texts(`${problem}_title`));
    setText(slot("problem-body"), this.#texts(`${problem}_body`));
    const more = this.#texts(`${problem}_more`);
    setText(slot("problem-more"), more);
    slot("problem-more").hidden = !more;
    slot("problem-address").hidden = problem !== "insecure";
    const address = slot("problem-address").querySelector("a");
    address.href = `https://${location.hostname}${location.pathname}`;
    setText(address, address.href);
    document.querySelector('[data-action="retry-camera"]').hidden =
      problem === "insecure" || problem === "unsupported";
  }

  #renderPairing({ pairing }) {
    const error = document.getElementById("pairing-error");
    const words = pairing.words ?? (pairing.text ? this.#texts(pairing.text) : "");
    setText(error.querySelector("span"), words);
    error.hidden = !words;
    document.getElementById("pairing-code").toggleAttribute("aria-invalid", Boolean(words));
    document.querySelector(".pairing button").disabled = pairing.busy;
  }

  #renderControls({ sound, camera }, screen) {
    const cameraButton = control("camera");
    cameraButton.hidden = screen === "pairing" || camera.devices.length === 0;
    this.#nameControl("sound", SOUND_TEXT[sound], sound === "on" ? "sound" : "sound-off");
    const full = Boolean(document.fullscreenElement);
    control("full-screen").hidden = !document.fullscreenEnabled;
    this.#nameControl("full-screen", full ? "leave_full_screen" : "full_screen", full ? "shrink" : "expand");
    this.#renderCameraChoice(camera);
  }

  #renderCameraChoice({ devices, deviceId }) {
    const choice = document.getElementById("camera-choice");
    const options = devices.map((device, index) => {
      const label = device.label || this.#texts("camera_unnamed", { number: index + 1 });
      const option = element("option", "", label);
      option.value = device.deviceId;
      return option;
    });
    // Replacing the options of an open list would close it under the person's finger.
    if (!sameText(choice, options)) choice.replaceChildren(...options);
    if (deviceId) choice.value = deviceId;
  }

  /** Large below the verdict, then small in the corner: the next person needs the middle. */
  #renderNotMe({ notMe, verdict }) {
    const offer = slot("not-me");
    offer.hidden = !notMe;
    offer.dataset.place = verdict ? "verdict" : "corner";
  }

  #renderVerdict(verdict, notMe) {
    const sheet = slot("verdict").querySelector(".verdict-sheet");
    if (!verdict) {
      sheet.hidden = true;
      return;
    }
    const tone = TONES.has(verdict.tone) ? verdict.tone : "notice";
    sheet.dataset.tone = tone;
    sheet.dataset.named = Boolean(verdict.name);
    sheet.dataset.notMe = Boolean(notMe);
    setText(sheet.querySelector(".verdict-title"), verdict.title ?? "");
    this.#renderName(sheet, verdict.name ?? "");
    setText(sheet.querySelector(".verdict-message"), verdict.message ?? "");
    setText(sheet.querySelector(".verdict-time"), verdict.time ?? "");
    setText(sheet.querySelector(".verdict-not-me"), notMe ? this.#texts("not_me_spoken") : "");
    this.#setIcon(sheet, OUTCOMES_WITH_ICON.has(verdict.outcome) ? verdict.outcome : tone);
    sheet.hidden = false;
  }

  /** The longest word decides how large the name can be without being broken. */
  #renderName(sheet, name) {
    const longest = Math.max(8, ...name.split(/\s+|(?<=-)/).map((word) => word.length));
    sheet.style.setProperty("--longest-word", longest);
    sheet.dataset.long = name.length > LONG_NAME;
    setText(sheet.querySelector(".verdict-name"), name);
  }

  #nameControl(name, text, icon) {
    const button = control(name);
    const label = this.#texts(text);
    setText(button.querySelector("span"), label);
    button.title = label;
    this.#setIcon(button, icon);
  }

  #setIcon(parent, name) {
    const use = parent.querySelector("use");
    const href = `${this.#icons}#${name}`;
    if (use.getAttribute("href") !== href) use.setAttribute("href", href);
  }
}

function slot(name) {
  return document.querySelector(`[data-slot="${name}"]`);
}

function control(name) {
  return document.querySelector(`[data-control="${name}"]`);
}

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Unchanged text stays untouched: a screen reader would read it again. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function sameText(parent, nodes) {
  return (
    parent.children.length === nodes.length &&
    nodes.every((node, index) => parent.children[index].textContent === node.textContent)
  );
}

function ringLength(progress) {
  return Math.round(100 * Math.min(1, Math.max(0, progress ?? 0)));
}
