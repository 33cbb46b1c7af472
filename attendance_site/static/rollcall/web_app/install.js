/** The button that installs the app, where the browser offers that to pages. */

const button = document.querySelector("[data-install]");
const installed = document.querySelector("[data-installed]");
let offer = null;

function offerInstallation(event) {
  event.preventDefault();
  offer = event;
  button.hidden = false;
}

async function install() {
  button.hidden = true; // an offer is good for one question only
  await offer.prompt();
}

function sayInstalled() {
  button.hidden = true;
  installed.hidden = false;
}

window.addEventListener("beforeinstallprompt", offerInstallation);
window.addEventListener("appinstalled", sayInstalled);
button.addEventListener("click", install);
if (matchMedia("(display-mode: standalone)").matches || navigator.standalone) sayInstalled();
