/** The offline page goes away by itself: nobody stands at an unattended screen to reload it. */

const RETRY_MS = 5000;
const alive = document.querySelector("link[rel=manifest]").href;

async function goOn() {
  try {
    const response = await fetch(alive, { method: "HEAD", cache: "no-store" });
    if (response.ok) location.reload();
  } catch {
    // Still away.
  }
}

window.addEventListener("online", goOn);
setInterval(goOn, RETRY_MS);
