/** Keys: arrows or j and k go from student to student, p, e and u mark the one in focus. */

export function listenToKeys(page, rows, marks) {
  const search = page.querySelector("#search [type=search]");
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Escape") {
      event.preventDefault();
      focus(rows.shown, 0);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (act(event, page, rows, marks, search)) event.preventDefault();
  });
}

function act(event, page, rows, marks, search) {
  const row = document.activeElement?.closest(".live-row");
  const shown = rows.shown;
  const place = shown.indexOf(row);
  const across = page.dataset.view === "grid" ? columnsOf(shown) : 1;
  const steps = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
  if (event.key === "/") {
    search.select();
    return true;
  }
  if (event.key in steps && (row || event.key === "j" || event.key === "k")) {
    focus(shown, row ? place + steps[event.key] : 0);
    return true;
  }
  if (!row || !marks) return false;
  if (event.key === "p") marks.present(row);
  else if (event.key === "e") marks.ask(row, "excused");
  else if (event.key === "u") marks.undo(row);
  else return false;
  return true;
}

function isTyping(target) {
  return target.closest("input, textarea, select, dialog") !== null;
}

function focus(shown, place) {
  shown[Math.max(0, Math.min(place, shown.length - 1))]?.focus();
}

function columnsOf(shown) {
  const below = shown.findIndex((row) => row.offsetTop > shown[0].offsetTop);
  return below === -1 ? shown.length : below;
}
