/** Puts the state on the page. It decides nothing but what to show. */

import { iconOfHint, showAsked } from "../kiosk/asked.js";
import { isLost } from "../kiosk/socket.js";

const OUTCOMES_WITH_ICON = new Set(["late", "checked_out", "second_factor"]);
const ICON_OF_CODE = { network: "offline", paused: "late", session_over: "idle", logged_out: "lock" };
const TONES = new Set(["good", "notice", "bad"]);

/** Which notice this state asks for, if any; it stands in place of the camera. */
function noticeOf({ link, code, why, verdict, camera }, texts) {
  if (verdict) return ofVerdict(verdict);
  if (link === "replaced") {
    return notice("screens", texts("replaced_title"), texts("replaced_body"), ["here"]);
  }
  if (link === "logged_out") return notice("lock", texts("logged_out_title"), why, ["login"]);
  if (link === "refused") {
    const title = texts(`${code}_title`) || texts("refused_title");
    return notice(ICON_OF_CODE[code] ?? "notice", title, why, ["again"]);
  }
  if (camera.status === "problem") {
    const { problem } = camera;
    const again = ["insecure", "unsupported"].includes(problem) ? [] : ["again"];
    return notice("camera-off", texts(`${problem}_title`), texts(`${problem}_body`), again);
  }
  return null;
}

function notice(icon, title, body, actions) {
  return { icon, title, body, actions, tone: "notice", time: "" };
}

function ofVerdict({ outcome, title, message, time, tone }) {
  const known = TONES.has(tone) ? tone : "notice";
  const recorded = ["present", "late", "already", "checked_out"].includes(outcome);
  return {
    icon: OUTCOMES_WITH_ICON.has(outcome) ? outcome : known,
    title,
    body: message,
    time: time ?? "",
    tone: known,
    actions: [recorded ? "history" : "again"],
  };
}

export class View {
  #texts;
  #icons = document.querySelector(".own-device").dataset.icons;

  constructor(texts) {
    this.#texts = texts;
  }

  render(state) {
    const shown = state.started ? noticeOf(state, this.#texts) : null;
    const screen = !state.started ? "start" : shown ? "notice" : "live";
    const moved = this.#showScreen(screen);
    if (shown) this.#renderNotice(shown, moved);
    if (screen === "live") this.#renderLive(state);
  }

  /** The button that was pressed is gone: the next stop of the keyboard is where the eyes are. */
  focusLive() {
    const live = screenNamed("live");
    if (live.hidden) return;
    live.tabIndex = -1;
    live.focus({ preventScroll: true });
    live.scrollIntoView({ block: "nearest" });
  }

  #showScreen(name) {
    if (!screenNamed(name).hidden) return false;
    for (const section of document.querySelectorAll("[data-screen]")) {
      section.hidden = section.dataset.screen !== name;
    }
    return true;
  }

  #renderNotice({ icon, title, body, time, tone, actions }, moved) {
    const section = screenNamed("notice");
    section.dataset.tone = tone;
    setIcon(section, `${this.#icons}#${icon}`);
    setText(slot("title"), title ?? "");
    setText(slot("body"), body ?? "");
    setText(slot("time"), time);
    for (const node of section.querySelectorAll("[data-action]")) {
      node.hidden = !actions.includes(node.dataset.action);
    }
    if (moved) section.querySelector("[data-action]:not([hidden])")?.focus();
  }

  #renderLive({ link, reply, camera }) {
    const live = screenNamed("live");
    live.dataset.link = isLost(link) ? "offline" : link;
    live.classList.toggle("unmirrored", !camera.mirrored);
    const { words, hint, asked, detail } = this.#sentence(link, reply, camera);
    setText(slot("message"), words);
    setText(slot("detail"), detail ?? "");
    setIcon(live.querySelector(".own-say"), `${this.#icons}#${iconOfHint(hint, asked)}`);
    showAsked(live, asked);
    const filled = Math.round(100 * Math.min(1, Math.max(0, reply?.progress ?? 0)));
    slot("ring").setAttribute("stroke-dasharray", `${filled} 200`);
  }

  #sentence(link, reply, camera) {
    if (isLost(link)) {
      return { words: this.#texts("offline"), detail: this.#texts("offline_detail"), hint: "offline" };
    }
    if (camera.status !== "ready") {
      return {
        words: this.#texts("camera_starting"),
        detail: this.#texts("camera_allow"),
        hint: "camera",
      };
    }
    if (link !== "open") return { words: this.#texts("connecting"), hint: "wait" };
    if (!reply?.message) return { words: this.#texts("look"), hint: "look" };
    return { words: reply.message, hint: reply.hint, asked: reply.asked };
  }
}

function screenNamed(name) {
  return document.querySelector(`[data-screen="${name}"]`);
}

function slot(name) {
  return document.querySelector(`[data-slot="${name}"]`);
}

/** Unchanged text stays untouched: a screen reader would read it again. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setIcon(parent, href) {
  const use = parent.querySelector("use");
  if (use.getAttribute("href") !== href) use.setAttribute("href", href);
}
