// While a file is sent, read and written, the page that waits asks how far it is. The form itself
// is sent as without this script: whoever leaves the page does not stop the import.

const ASK_EVERY_MS = 500;

for (const form of document.querySelectorAll("form[data-progress]")) {
  form.addEventListener("submit", () => {
    // After the event, since a disabled button would not be sent.
    setTimeout(() => wait(form));
  });
}

// A page that comes back from the browser's memory waits for nothing.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

function wait(form) {
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  const shown = form.querySelector(".import-progress");
  shown.hidden = false;
  shown.scrollIntoView({ block: "nearest" });
  const address = `${form.dataset.progress}${form.elements.progress_id.value}/`;
  setInterval(() => ask(address, shown), ASK_EVERY_MS);
}

async function ask(address, shown) {
  let answer;
  try {
    answer = await (await fetch(address)).json();
  } catch {
    return; // The next answer tells; the import does not hang on it.
  }
  if (!answer.total) return;
  const bar = shown.querySelector("progress");
  bar.max = answer.total;
  bar.value = answer.done;
  shown.querySelector("p").textContent = answer.sentence;
}
