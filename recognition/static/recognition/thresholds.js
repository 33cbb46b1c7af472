/** How far a measurement is. Without this script the page tells it on reload. */

const ASK_EVERY_MS = 1500;

const shown = document.getElementById("progress");
const sentence = shown.querySelector("p");

async function ask() {
  try {
    const answer = await fetch(shown.dataset.address);
    if (answer.redirected || answer.status === 404) return location.reload(); // logged out, or gone
    if (answer.ok) {
      const progress = await answer.json();
      if (progress.finished) return location.reload();
      sentence.textContent = progress.sentence;
    }
  } catch {
    // The measurement does not hang on this page: the next answer tells.
  }
  setTimeout(ask, ASK_EVERY_MS);
}

setTimeout(ask, ASK_EVERY_MS);
