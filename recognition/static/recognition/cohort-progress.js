/** How far an import of photos is. Without this script the page tells it on reload. */

const ASK_EVERY_MS = 1000;

const shown = document.getElementById("progress");
const bar = shown.querySelector("progress");
const sentence = shown.querySelector("p");

async function ask() {
  try {
    const answer = await fetch(shown.dataset.address);
    if (answer.redirected || answer.status === 404) return location.reload(); // logged out, or gone
    if (answer.ok && tell(await answer.json())) return location.reload();
  } catch {
    // The import does not hang on this page: the next answer tells.
  }
  setTimeout(ask, ASK_EVERY_MS);
}

/** Whether it is finished. */
function tell(progress) {
  bar.max = Math.max(progress.total, 1);
  bar.value = progress.done;
  sentence.textContent = progress.sentence;
  return progress.finished;
}

setTimeout(ask, ASK_EVERY_MS);
