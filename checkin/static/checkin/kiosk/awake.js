/** Keeps the screen lit while the page is visible, where the browser can. */

export async function keepAwake() {
  if (!navigator.wakeLock || document.hidden) return;
  try {
    await navigator.wakeLock.request("screen"); // The browser lets go of it when the page is hidden.
  } catch {
    // Battery saver says no: the device's own settings decide.
  }
}
