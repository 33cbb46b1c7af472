/**
 * The line to the server: one frame in flight, and a connection that heals itself.
 *
 * `link` is "off", "connecting", "open", "stalled", "offline", "unpaired", "replaced" or "refused".
 * The last three stay until somebody does something. "stalled" means that nothing was heard for
 * longer than a living line is quiet: to people it is as dead as "offline", but the socket is kept
 * a little, because a busy server or a roaming phone comes back to it.
 */

const REPLY_MS = 5000; // no answer to a frame: give it up; twice in a row: reconnect
const WELCOME_MS = 10000;
const QUIET_MS = 1500; // nothing heard for so long: ping
const PONG_MS = 2000; // no word after the ping: stalled, and the screen says so
const GIVE_UP_MS = 5000; // still none: another connection
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 20000;
const TOO_FAST_WAIT_MS = 15000;

const HEADER_BYTES = 12;
const LINK_BY_ERROR = {
  kiosk_unknown: "unpaired",
  kiosk_revoked: "unpaired",
  origin_refused: "refused",
  replaced: "replaced",
};
// For a close whose error message was lost on the way.
const LINK_BY_CLOSE = { 4401: "unpaired", 4403: "unpaired", 4409: "replaced" };
const KIOSK_ENDINGS = { byError: LINK_BY_ERROR, byClose: LINK_BY_CLOSE };
const HOPED = new Set(["connecting", "open", "stalled"]);
const CLOSE_TOO_LARGE = 1009;
const CLOSE_TOO_FAST = 4408;

/** Without the server, whether the socket is still there or not. */
export function isLost(link) {
  return link === "offline" || link === "stalled";
}

export class KioskSocket {
  link = "off";
  limits = null;

  #url;
  #on;
  #endings;
  #socket = null;
  #seq = 0;
  #awaited = null;
  #unanswered = 0;
  #failures = 0;
  #lastError = null;
  #replyTimer = null;
  #welcomeTimer = null;
  #quietTimer = null;
  #retryTimer = null;

  /**
   * `on` holds `link(link, why)`, `message(message)`, `free()` (the next frame may go) and
   * `silent()` (a frame got no answer). `endings` says which link an error's or a close's code
   * leads to; with any other the connection heals itself.
   */
  constructor(path, on, endings = KIOSK_ENDINGS) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.#url = `${scheme}//${location.host}${path}`;
    this.#on = on;
    this.#endings = endings;
    window.addEventListener("online", () => isLost(this.link) && this.connect());
    window.addEventListener("offline", () => HOPED.has(this.link) && this.#drop({ code: 1006 }));
  }

  get free() {
    return this.link === "open" && this.#awaited === null;
  }

  connect() {
    this.#discard();
    // While it was offline it stays offline, in words too, until the server has said welcome.
    if (this.link === "stalled") this.#become("offline");
    else if (this.link !== "offline") this.#become("connecting");
    this.#lastError = null;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    // A socket that was given up may still speak: only the current one is heard.
    socket.addEventListener("message", (event) => socket === this.#socket && this.#heard(event));
    socket.addEventListener("close", (event) => socket === this.#socket && this.#drop(event));
    this.#welcomeTimer = setTimeout(() => this.#drop({ code: 1006 }), WELCOME_MS);
  }

  async send(jpeg) {
    const seq = (this.#seq = (this.#seq + 1) % 2 ** 32);
    this.#awaited = seq;
    this.#replyTimer = setTimeout(() => this.#noReply(), REPLY_MS);
    const socket = this.#socket;
    const frame = await packFrame(seq, Date.now(), jpeg);
    if (socket === this.#socket && socket?.readyState === WebSocket.OPEN) socket.send(frame);
  }

  /** A word that is no frame; nothing is said where nobody hears it. */
  say(message) {
    if (this.link === "open") this.#socket.send(JSON.stringify(message));
  }

  /** Hidden pages have slow timers: what was awaited before means nothing now. */
  wake() {
    if (isLost(this.link)) {
      this.connect();
    } else if (this.link === "open") {
      this.#release();
      this.#ping();
    }
  }

  #heard(event) {
    let message;
    try {
      message = JSON.parse(event.data);
    } catch {
      return;
    }
    this.#listen();
    if (this.link === "stalled") this.#become("open");
    if (message.type === "welcome") this.#welcomed(message);
    if (message.type === "error") this.#lastError = message;
    if (message.type !== "pong") this.#on.message(message);
    if (message.seq != null && message.seq === this.#awaited) {
      this.#unanswered = 0;
      this.#release();
    }
  }

  #welcomed(message) {
    clearTimeout(this.#welcomeTimer);
    this.limits = message.frame;
    this.#failures = 0;
    this.#become("open");
  }

  #release() {
    clearTimeout(this.#replyTimer);
    this.#awaited = null;
    this.#on.free();
  }

  #noReply() {
    this.#unanswered += 1;
    if (this.#unanswered > 1) {
      this.#drop({ code: 1006 });
      return;
    }
    this.#on.silent();
    this.#release();
  }

  /** A dead line can look open for minutes; a ping finds out. */
  #listen() {
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(() => this.#ping(), QUIET_MS);
  }

  #ping() {
    clearTimeout(this.#quietTimer);
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send('{"type": "ping"}');
    this.#quietTimer = setTimeout(() => this.#stall(), PONG_MS);
  }

  #stall() {
    if (this.link !== "open") return;
    this.#quietTimer = setTimeout(() => this.#drop({ code: 1006 }), GIVE_UP_MS);
    this.#become("stalled");
  }

  #drop({ code }) {
    this.#discard();
    const ending = this.#endings.byError[this.#lastError?.code] ?? this.#endings.byClose[code];
    if (ending) {
      this.#become(ending, this.#lastError?.message);
      return;
    }
    if (code === CLOSE_TOO_LARGE) this.#on.message({ type: "error", seq: null, code: "frame_too_large" });
    this.#become("offline");
    const wait = code === CLOSE_TOO_FAST ? TOO_FAST_WAIT_MS : backoffMs(this.#failures);
    this.#failures += 1;
    this.#retryTimer = setTimeout(() => this.connect(), wait);
  }

  #discard() {
    for (const timer of [this.#replyTimer, this.#welcomeTimer, this.#quietTimer, this.#retryTimer]) {
      clearTimeout(timer);
    }
    this.#awaited = null;
    this.#unanswered = 0;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #become(link, why = null) {
    this.link = link;
    this.#on.link(link, why);
  }
}

/** Doubles with every failure, up to a limit; half of it is chance, so that a hall of kiosks does not return at once. */
function backoffMs(failures) {
  const longest = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** failures);
  return longest / 2 + Math.random() * (longest / 2);
}

async function packFrame(seq, capturedMs, jpeg) {
  const picture = new Uint8Array(await jpeg.arrayBuffer());
  const frame = new Uint8Array(HEADER_BYTES + picture.byteLength);
  const header = new DataView(frame.buffer);
  header.setUint32(0, seq);
  header.setBigUint64(4, BigInt(capturedMs));
  frame.set(picture, HEADER_BYTES);
  return frame;
}
