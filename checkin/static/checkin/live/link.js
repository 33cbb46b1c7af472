/**
 * The line to the server. It heals itself; after each gap the server sends the whole again.
 *
 * `on` holds `link(link, why)` with "connecting", "open", "offline" or "ended" (for good: logged
 * out, or not allowed any more), and `message(message)`.
 */

const HELLO_MS = 10000;
const QUIET_MS = 2000; // nothing heard for so long: ping
const REPLY_MS = 5000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 10000;
const ENDED = [4401, 4403];

export class LiveLink {
  #url;
  #on;
  #socket = null;
  #timer = null;
  #version = 0;
  #failures = 0;
  #why = null;
  #link = "off";

  constructor(path, on) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.#url = `${scheme}//${location.host}${path}`;
    this.#on = on;
    window.addEventListener("online", () => this.#link === "offline" && this.connect());
    window.addEventListener("offline", () => this.#link === "open" && this.#lost(1006));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.#link === "offline") this.connect();
    });
  }

  get open() {
    return this.#link === "open";
  }

  connect() {
    this.#drop();
    if (this.#link !== "offline") this.#become("connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#version = 0;
    this.#why = null;
    // A socket that was given up may still speak: only the current one is heard.
    socket.addEventListener("message", (event) => socket === this.#socket && this.#heard(event));
    socket.addEventListener("close", (event) => socket === this.#socket && this.#lost(event.code));
    this.#timer = setTimeout(() => this.#lost(1006), HELLO_MS);
  }

  #heard(event) {
    const message = JSON.parse(event.data);
    this.#listen();
    if (message.type === "error") this.#why = message.message;
    if (message.type !== "snapshot" && message.type !== "update") return;
    if (message.version !== this.#version + 1) {
      this.#lost(1006);
      return;
    }
    this.#version = message.version;
    this.#on.message(message);
    if (message.type === "snapshot") {
      this.#failures = 0;
      this.#become("open");
    }
  }

  /** A dead line can look open for minutes; a ping finds out. */
  #listen() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send('{"type": "ping"}');
      this.#timer = setTimeout(() => this.#lost(1006), REPLY_MS);
    }, QUIET_MS);
  }

  #lost(code) {
    const why = this.#why;
    this.#drop();
    if (ENDED.includes(code)) {
      this.#become("ended", why);
      return;
    }
    this.#become("offline");
    const longest = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.connect(), longest / 2 + Math.random() * (longest / 2));
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #become(link, why = null) {
    if (link === this.#link) return;
    this.#link = link;
    this.#on.link(link, why);
  }
}
