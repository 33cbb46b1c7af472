/** Icons of the hints, and what is asked just now: where to, and which of how many. */

const HINTS = new Set([
  "look", "closer", "back", "centre", "light", "shade", "still", "straight",
  "one_person", "open_eyes", "glasses", "blink", "blink_twice", "turn_left", "turn_right", "look_up",
  "open_mouth", "close_mouth", "wait", "next",
]);
const ICON_OF_HINT = {
  blink_again: "hint-blink",
  blink_longer: "hint-blink",
  up_further: "hint-look_up",
  open_wider: "hint-open_mouth",
  other_action: "hint-still",
  something_else: "hint-next",
  slow: "hint-wait",
  show_pass: "second_factor",
  wrong_pass: "bad",
  offline: "offline",
  camera: "camera",
};
// These have the icon of what is asked.
const OF_ACTION = new Set(["turn_further", "hold", "hold_longer"]);
// Of the person, who sees a mirror image or faces the screen: both ways their left is on its left.
const DIRECTIONS = { turn_left: "left", turn_right: "right", look_up: "up" };

export function iconOfHint(hint, asked) {
  if (OF_ACTION.has(hint) && asked?.action) return `hint-${asked.action}`;
  if (hint in ICON_OF_HINT) return ICON_OF_HINT[hint];
  return `hint-${HINTS.has(hint) ? hint : "look"}`;
}

/** The arrow beside the mirror, and a bar for each action, which fills as it is done. */
export function showAsked(screen, asked) {
  screen.dataset.direction = DIRECTIONS[asked?.action] ?? "";
  const bars = screen.querySelector('[data-slot="steps"]');
  const count = asked && asked.of > 1 ? asked.of : 0;
  while (bars.children.length > count) bars.lastElementChild.remove();
  while (bars.children.length < count) bars.append(document.createElement("li"));
  [...bars.children].forEach((bar, index) => {
    const done = index + 1 < asked.number ? 1 : index + 1 > asked.number ? 0 : asked.share;
    bar.style.setProperty("--done", Math.min(1, Math.max(0, done)));
  });
}
