/**
 * Shows an honest page when the server cannot be reached; nothing else. `self.config` comes from
 * the script that imports this one. What it keeps is fetched once, at installation, without
 * cookies: no answer to a signed-in person ever enters a cache.
 */

const CACHE = `rollcall-${self.config.version}`;
const GATEWAY_WITHOUT_SERVER = [502, 504];

self.addEventListener("install", (event) => {
  event.waitUntil(keepShell());
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOlderShells());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin) return;
  if (self.config.untouched.some((prefix) => pathname.startsWith(prefix))) return;
  if (request.mode === "navigate") event.respondWith(pageOrOffline(request, pathname));
  else if (self.config.shell.includes(pathname)) event.respondWith(networkOrKept(request));
});

async function keepShell() {
  const kept = [...self.config.shell, ...self.config.offlinePages.map(({ page }) => page)];
  const cache = await caches.open(CACHE);
  await cache.addAll(kept.map((url) => new Request(url, { credentials: "omit", cache: "reload" })));
  await self.skipWaiting();
}

async function dropOlderShells() {
  const names = await caches.keys();
  const older = names.filter((name) => name.startsWith("rollcall-") && name !== CACHE);
  await Promise.all(older.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function pageOrOffline(request, pathname) {
  try {
    const response = await fetch(request);
    if (!GATEWAY_WITHOUT_SERVER.includes(response.status)) return response;
  } catch {
    // No network, or no server: the kept page says so.
  }
  const { page } = self.config.offlinePages.find(({ under }) => pathname.startsWith(under));
  return kept(page);
}

async function networkOrKept(request) {
  try {
    return await fetch(request);
  } catch {
    return kept(request);
  }
}

async function kept(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(request, { ignoreVary: true })) ?? Response.error();
}
