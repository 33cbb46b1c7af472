// Says on the page when a passkey did not work; allauth's script only writes to the console.

import { listening } from "../rollcall/listening.js";

const trouble = document.getElementById("passkey-trouble");

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  trouble.hidden = false;
});

// allauth's own listener of this event, which attaches its handlers, was there before this one.
document.addEventListener("DOMContentLoaded", () => {
  if (window.allauth?.webauthn) listening();
});

if (!window.PublicKeyCredential) {
  document.querySelectorAll("[data-needs-passkeys]").forEach((part) => (part.hidden = true));
}
