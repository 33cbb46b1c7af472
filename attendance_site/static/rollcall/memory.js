/** What this device remembers. Private windows may refuse storage: the kiosk then forgets. */

const PREFIX = "rollcall.kiosk.";

export function recall(key) {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // The choice holds until the page is closed.
  }
}
