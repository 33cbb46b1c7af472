/**
 * Another language without a reload, which would end full screen and start the camera anew.
 *
 * The server answers the choice with this very page in the other language, and the words are taken
 * from it: those for the scripts as a whole, all others (`data-said`) one by one in their order.
 */

const ATTRIBUTES = ["title", "aria-label", "placeholder"];

/** True once the page speaks it; on a dead line everything stays as it is. */
export async function speak(form, language) {
  const words = new URLSearchParams(new FormData(form));
  words.set("language", language);
  const page = await fetch(form.action, { method: "POST", body: words }).then(
    (response) => (response.ok ? response.text() : null),
    () => null,
  );
  if (page === null) return false;
  takeWords(new DOMParser().parseFromString(page, "text/html"));
  return true;
}

function takeWords(other) {
  document.documentElement.lang = other.documentElement.lang;
  document.title = other.title;
  const said = other.querySelectorAll("[data-said]");
  document.querySelectorAll("[data-said]").forEach((node, index) => takeOver(node, said[index]));
  for (const part of ["#kiosk-texts", ".languages"]) {
    const node = document.querySelector(part);
    const children = other.querySelector(part).content ?? other.querySelector(part);
    (node.content ?? node).replaceChildren(...children.childNodes);
  }
}

function takeOver(node, other) {
  for (const name of ATTRIBUTES) {
    if (other.hasAttribute(name)) node.setAttribute(name, other.getAttribute(name));
  }
  if (node.children.length === 0) node.textContent = other.textContent;
}
