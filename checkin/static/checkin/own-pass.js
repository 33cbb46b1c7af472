/**
 * The code for the door, renewed before it is too old. Only the server's word counts for time:
 * it says how long a code is the newest, and the page counts down from there.
 */

import { keepAwake } from "./kiosk/awake.js";

const LONGEST_RETRY_MS = 5000;
const FIRST_RETRY_MS = 1000;
// A request that hangs must not keep the page from the next code.
const GIVE_UP_MS = 8000;

const opens = document.getElementById("pass-opens");
if (opens) setTimeout(() => location.reload(), Number(opens.dataset.opensInMs) + FIRST_RETRY_MS);

const card = document.getElementById("pass");
if (card) showCodes(card);

function showCodes(card) {
  const stepMs = Number(card.dataset.stepS) * 1000;
  const image = document.getElementById("pass-code");
  const ring = document.getElementById("pass-ring");
  const time = document.getElementById("pass-time");
  const lost = document.getElementById("pass-lost");
  const lostText = document.getElementById("pass-lost-text");
  const recorded = document.getElementById("pass-recorded");
  let renewAt = performance.now() + Number(card.dataset.renewMs);
  let retryMs = FIRST_RETRY_MS;
  let asking = false;
  let over = false;

  function tick() {
    const leftMs = Math.max(renewAt - performance.now(), 0);
    ring.setAttribute("stroke-dashoffset", String((stepMs - Math.min(leftMs, stepMs)) / 1000));
    time.textContent = time.dataset.text.replace("{seconds}", String(Math.ceil(leftMs / 1000)));
    // The server takes a code one step longer than it is the newest.
    card.classList.toggle("is-stale", over || performance.now() > renewAt + stepMs);
    if (leftMs === 0 && !asking && !over && !document.hidden) renew();
  }

  async function renew() {
    asking = true;
    try {
      const answer = await fetch(card.dataset.codeUrl, {
        cache: "no-store",
        redirect: "manual",
        headers: { accept: "application/json" },
        signal: AbortSignal.timeout(GIVE_UP_MS),
      });
      if (answer.type === "opaqueredirect") end(lostText.dataset.login);
      else if (answer.status === 404) end(lostText.dataset.ended);
      else if (answer.ok) show(await answer.json());
      else await wait();
    } catch {
      await wait();
    }
    asking = false;
  }

  function show(code) {
    image.src = code.image;
    renewAt = performance.now() + code.renew_ms;
    retryMs = FIRST_RETRY_MS;
    lost.hidden = true;
    recorded.hidden = !code.recorded;
    document.getElementById("pass-recorded-text").textContent = code.recorded;
    tick();
  }

  async function wait() {
    lostText.textContent = lostText.dataset.offline;
    lost.hidden = false;
    await new Promise((resolve) => setTimeout(resolve, retryMs));
    retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
  }

  function end(text) {
    over = true;
    lostText.textContent = text;
    lost.hidden = false;
    tick();
  }

  setInterval(tick, 250);
  document.addEventListener("visibilitychange", () => {
    keepAwake();
    tick();
  });
  window.addEventListener("online", tick);
  keepAwake();
  tick();
}
