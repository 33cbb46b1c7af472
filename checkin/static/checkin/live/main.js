/** The live page of a session: the server says what changed, this shows it. */

import { listenToKeys } from "./keys.js";
import { LiveLink } from "./link.js";
import { Marks } from "./marks.js";
import { Rows } from "./rows.js";

const page = document.querySelector("#live");
const texts = page.dataset;
const rows = new Rows(page);
const lines = new Map();
const search = page.querySelector("#search");
const TAGS = { present: "tag good", late: "tag notice" };
let wasOffline = false;

const link = new LiveLink(texts.socket, {
  link(state, why) {
    const shown = page.querySelector("#link");
    shown.dataset.link = state;
    shown.textContent = wordsOf(state, why);
    if (state === "offline") wasOffline = true;
  },
  message: told,
});

function wordsOf(state, why) {
  if (state === "open") return wasOffline ? texts.textAgain : texts.textOpen;
  if (state === "ended") return why ?? texts.textLoggedOut;
  return state === "offline" ? texts.textOffline : texts.textConnecting;
}

function told(message) {
  if (message.type === "snapshot") {
    lines.clear();
    rows.replaceAll(message.lines);
  } else {
    rows.update(message.lines ?? []);
    rows.remove(message.gone ?? []);
  }
  for (const line of message.lines ?? []) lines.set(line.student, line);
  for (const student of message.gone ?? []) lines.delete(student);
  if (message.counts) showCounts(message.counts);
  if (message.state) showState(message.state);
  if (message.latest) showLatest(message.latest.map((student) => lines.get(student)));
  if (message.refusals) showRefusals(message.refusals);
  if (message.alerts !== undefined) showAlerts(message.alerts);
  narrow();
}

function showCounts(counts) {
  for (const [name, count] of Object.entries(counts)) {
    page.querySelector(`#count-${name}`).textContent = count;
  }
}

function showState({ code, word }) {
  const shown = page.querySelector("#state");
  shown.textContent = word;
  shown.classList.toggle("good", code === "open");
}

function showLatest(arrived) {
  const items = arrived.map((line) => {
    return item([line.name], [line.word, TAGS[line.status] ?? "tag"], [line.time, "end"]);
  });
  page.querySelector("#latest").replaceChildren(...items);
  page.querySelector("#no-latest").hidden = items.length > 0;
}

function showRefusals(refusals) {
  const list = page.querySelector("#refusals");
  if (!list) return;
  const items = refusals.map(({ why, word, kiosk, time }) =>
    item([why, "why"], [`${word} · ${kiosk}`, "quiet"], [time, "end"]),
  );
  list.replaceChildren(...items);
  page.querySelector("#no-refusals").hidden = items.length > 0;
}

function showAlerts(word) {
  const shown = page.querySelector("#alerts");
  if (!shown) return;
  shown.querySelector("a").textContent = word;
  shown.hidden = !word;
}

function item(...parts) {
  const li = document.createElement("li");
  for (const [text, kind] of parts) {
    const span = document.createElement("span");
    span.textContent = text;
    if (kind) span.className = kind;
    li.append(span, " ");
  }
  return li;
}

// Search and narrowing: also in the address, so that a reload shows the same

function narrow() {
  rows.narrow();
  page.querySelector("#nobody").hidden = rows.size > 0;
  page.querySelector("#none-found").hidden = rows.size === 0 || rows.shown.length > 0;
  const first = rows.shown.find((row) => row === document.activeElement) ?? rows.shown[0];
  for (const row of rows.shown) row.tabIndex = row === first ? 0 : -1;
}

function remember() {
  const asked = new URLSearchParams({ only: rows.only, view: texts.view, q: rows.sought });
  history.replaceState(null, "", `?${asked}`);
  const back = `${location.pathname}?${asked}`;
  for (const field of page.querySelectorAll("[name=back]")) field.value = back;
}

search.addEventListener("submit", (event) => event.preventDefault());
search.addEventListener("input", () => {
  rows.sought = search.elements.q.value.trim();
  narrow();
  remember();
});

function choose(links, current) {
  for (const one of links) {
    if (one === current) one.setAttribute("aria-current", "true");
    else one.removeAttribute("aria-current");
  }
}

const counts = page.querySelectorAll(".live-counts a");
for (const count of counts) {
  count.addEventListener("click", (event) => {
    event.preventDefault();
    rows.only = count.dataset.only;
    choose(counts, count);
    narrow();
    remember();
  });
}

const views = page.querySelectorAll(".live-views a");
for (const view of views) {
  view.addEventListener("click", (event) => {
    event.preventDefault();
    texts.view = view.dataset.view;
    choose(views, view);
    remember();
  });
}

rows.sought = search.elements.q.value.trim();
search.querySelector("button").hidden = true;
narrow();
listenToKeys(page, rows, page.querySelector("#dialog") ? new Marks(page, link) : null);
link.connect();
