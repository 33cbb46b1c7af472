/** At the desk: shots of the webcam join the files that the form will send. */

import { offerCamera } from "./camera-shots.js";

const files = document.querySelector("#enrol-form input[type=file]");
const shots = document.getElementById("shots");

offerCamera(async (file) => {
  const chosen = new DataTransfer();
  for (const one of [...files.files, file]) chosen.items.add(one);
  files.files = chosen.files;
  show();
});
files.addEventListener("change", show);
show(); // files chosen while this script was on its way

function show() {
  for (const image of shots.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  shots.replaceChildren(...[...files.files].map(asPicture));
}

function asPicture(file) {
  const item = document.createElement("li");
  const image = document.createElement("img");
  image.src = URL.createObjectURL(file);
  image.alt = file.name;
  item.append(image);
  return item;
}
