/** The sentences of the page, translated by the server. */

export function readTexts(template) {
  const texts = new Map();
  for (const node of template.content.querySelectorAll("[data-text]")) {
    texts.set(node.dataset.text, node.textContent.trim());
  }
  return (key, values = {}) =>
    (texts.get(key) ?? "").replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
