/** Trades a kiosk token for the session cookie. */

/** The token of `/kiosk/#<token>`, which is taken out of the address bar and the history. */
export function takeTokenFromAddress() {
  let token = location.hash.slice(1);
  if (!token) return null;
  history.replaceState(null, "", location.pathname + location.search);
  try {
    token = decodeURIComponent(token);
  } catch {
    // A stray percent sign: the server will say that it does not know this code.
  }
  return token.trim() || null;
}

/** `{kiosk}` when the server took the token, else `{refusal}`: "unreachable", "failed" or its own sentence. */
export async function pair({ url, token, csrf }) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "X-CSRFToken": csrf, Accept: "application/json" },
      body: new URLSearchParams({ token }),
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
