/** Shows how much of a large ZIP has been sent. Without this script the browser sends it alone. */

const ID = "photo-import";

function start() {
  document.getElementById(ID)?.addEventListener("submit", (event) => {
    event.preventDefault();
    send(event.target);
  });
}

function send(form) {
  const button = form.querySelector("[type=submit]");
  const shown = form.querySelector(".cohort-progress");
  const [bar, sentence] = shown.children;
  const request = new XMLHttpRequest(); // fetch() does not tell how much it has sent
  const fail = () => {
    button.disabled = false;
    bar.hidden = true;
    sentence.className = "failed";
    sentence.textContent = form.dataset.failed;
  };
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    bar.value = (100 * loaded) / total;
  });
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value");
    sentence.textContent = form.dataset.reading;
  });
  request.addEventListener("load", () => (request.status === 200 ? arrived(form, request) : fail()));
  request.addEventListener("error", fail);
  request.addEventListener("abort", fail);
  request.open("POST", form.action);
  request.responseType = "document";
  request.send(new FormData(form));
  button.disabled = true;
  bar.hidden = shown.hidden = false;
  sentence.className = "";
  sentence.textContent = form.dataset.sending;
}

/** On to the import, or the form again with what is wrong. */
function arrived(form, request) {
  const corrected = request.responseURL === form.action && request.response.getElementById(ID);
  if (!corrected) {
    location.assign(request.responseURL);
    return;
  }
  form.replaceWith(document.adoptNode(corrected));
  start();
  document.querySelector(".errorlist")?.scrollIntoView({ block: "center" });
}

start();
