/** Trades a pairing code, or a kiosk's token, for the kiosk's cookie. */

/** What stands in `/kiosk/#<code>`, which is taken out of the address bar and the history. */
export function takeCodeFromAddress() {
  let code = location.hash.slice(1);
  if (!code) return null;
  history.replaceState(null, "", location.pathname + location.search);
  try {
    code = decodeURIComponent(code);
  } catch {
    // A stray percent sign: the server will say that it does not know this code.
  }
  return code.trim() || null;
}

/** `{kiosk}` when the server took the code, else `{refusal}`: "unreachable", "failed" or its own sentence. */
export async function pair({ url, code, csrf }) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "X-CSRFToken": csrf, Accept: "application/json" },
      body: new URLSearchParams({ code }),
      credentials: "same-origin",
    });
  } catch {
    return { refusal: { kind: "unreachable" } };
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return { kiosk: answer.kiosk ?? null };
  if (answer.message) return { refusal: { kind: "server", message: answer.message } };
  return { refusal: { kind: "failed" } };
}
