/**
 * A control that does nothing without its script stands on the page as `disabled data-waits`, so
 * that nobody on a slow line presses it in vain. Its script says here that it listens.
 */
export function listening(part = document) {
  for (const control of part.querySelectorAll("[data-waits]")) control.disabled = false;
}
