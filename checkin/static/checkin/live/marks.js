/** Marks by hand without leaving the page: one click, or the dialog where a reason is needed. */

export class Marks {
  #page;
  #dialog;
  #answer;
  #link;
  #returnTo = null;

  constructor(page, link) {
    this.#page = page;
    this.#link = link;
    this.#dialog = page.querySelector("#dialog");
    this.#answer = page.querySelector("#answer");
    page.querySelector("#rows").addEventListener("submit", (event) => this.#submitted(event));
    page.querySelector("#rows").addEventListener("click", (event) => this.#clicked(event));
    this.#dialog.querySelector("form").addEventListener("submit", (event) => this.#saved(event));
    this.#dialog.querySelector("[value=cancel]").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#returnTo?.focus());
  }

  /** Present at once where nothing stands there yet; otherwise it needs a reason. */
  present(row) {
    const form = row.querySelector(".to-present");
    if (!form) return;
    if (form.hidden) this.ask(row, "present");
    else form.requestSubmit();
  }

  undo(row) {
    const form = row.querySelector(".to-undo");
    if (form && !form.hidden) form.requestSubmit();
  }

  ask(row, status) {
    if (!row.querySelector(".acts") || row.querySelector(".acts").hidden) return;
    const form = this.#dialog.querySelector("form");
    form.reset();
    form.action = row.querySelector(".to-present").action;
    // What was shown when it was asked: what changes meanwhile, the server says.
    form.elements.shown.value = row.querySelector("[name=shown]").value;
    form.elements.status.value = status || row.dataset.status;
    form.elements.reason.required = row.dataset.status !== "" || status === "excused";
    this.#dialog.querySelector("h2").textContent = row.querySelector(".name").textContent;
    this.#dialog.querySelector(".refusal").hidden = true;
    this.#returnTo = row;
    this.#dialog.showModal();
    form.elements.reason.focus();
  }

  #clicked(event) {
    const link = event.target.closest(".to-excused, .to-change");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.ask(link.closest(".live-row"), link.matches(".to-excused") ? "excused" : "");
  }

  async #submitted(event) {
    // Without the line, the page itself must come again to show what happened.
    if (!this.#link.open) return;
    event.preventDefault();
    const row = event.target.closest(".live-row");
    const refusal = await this.#post(event.target);
    this.#answer.hidden = !refusal;
    this.#answer.textContent = refusal;
    if (!refusal && !row.contains(document.activeElement)) return;
    row.focus();
  }

  async #saved(event) {
    if (!this.#link.open) return;
    event.preventDefault();
    const refusal = await this.#post(event.target);
    const shown = this.#dialog.querySelector(".refusal");
    shown.hidden = !refusal;
    shown.textContent = refusal;
    if (!refusal) this.#dialog.close();
  }

  /** The server's refusal as a sentence, or nothing. */
  async #post(form) {
    const texts = this.#page.dataset;
    try {
      const response = await fetch(form.action, {
        method: "POST",
        body: new FormData(form),
        headers: { Accept: "application/json" },
        redirect: "error",
      });
      if (response.ok) return "";
      return response.status === 409 ? (await response.json()).message : texts.textLoggedOut;
    } catch {
      return texts.textUnreachable;
    }
  }
}
