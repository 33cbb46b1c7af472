/** The student's pictures: each is sent at once and gets its verdict in words. */

import { offerCamera } from "./camera-shots.js";

const form = document.getElementById("photos-form");
const files = form.querySelector("input[type=file]");
const pictures = document.getElementById("pictures");
const verdicts = document.getElementById("verdicts");
const submitForm = document.getElementById("submit-form");

async function send(chosen) {
  const body = new FormData(form);
  body.delete(files.name);
  for (const file of chosen) body.append(files.name, file);
  form.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body,
    });
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    show(await answer.json());
  } catch {
    showVerdicts([{ accepted: false, message: form.dataset.failed }]);
  } finally {
    form.removeAttribute("aria-busy");
  }
}

function show(answer) {
  pictures.innerHTML = answer.pictures;
  submitForm.hidden = !pictures.querySelector("img");
  showVerdicts(answer.verdicts);
}

function showVerdicts(all) {
  verdicts.replaceChildren(...all.map(asNote));
  verdicts.scrollIntoView({ block: "nearest" });
}

function asNote({ accepted, message }) {
  const note = document.getElementById(accepted ? "note-good" : "note-bad").content.cloneNode(true);
  note.querySelector("span").textContent = message;
  return note;
}

async function sendChosen() {
  if (!files.files.length) return;
  await send(files.files);
  files.value = "";
}

files.addEventListener("change", sendChosen);
sendChosen(); // files chosen while this script was on its way
form.querySelector("button").hidden = true; // files are sent as soon as they are chosen
offerCamera((file) => send([file]));
