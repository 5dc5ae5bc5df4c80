// Service worker: the network first, what was kept where there is none. It stores the page's own files and nothing else.
// It also adds the two headers that threads need, for hosts that cannot send them.

const CACHE = "edgefer-page";
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const { origin, pathname } = new URL(url);
  const changing = /\/(task\.json|record|crops\.bin)$/.test(pathname);
  if (method === "GET" && origin === self.location.origin && !changing) event.respondWith(answered(event.request));
});

async function answered(request) {
  try {
    const answer = await fetch(request);
    if (!answer.ok) return answer;
    const cache = await caches.open(CACHE);
    if (await cache.match(request, { ignoreSearch: true })) await cache.put(plain(request), answer.clone());
    return isolated(answer);
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (!kept) throw error;
    return isolated(kept);
  }
}

/** The request's address without what follows the question mark. */
function plain(request) {
  const url = new URL(request.url);
  return url.origin + url.pathname;
}

function isolated(answer) {
  if (answer.headers.has("Cross-Origin-Embedder-Policy")) return answer;
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}
