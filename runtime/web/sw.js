// Service worker: the network first, what the page kept where there is none. It stores nothing itself.
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
    const answer = await fetch(request, { cache: "no-cache" }); // asks again, so that no two versions mix
    return answer.ok ? isolated(answer) : answer;
  } catch (error) {
    const kept = await (await caches.open(CACHE)).match(request, { ignoreSearch: true });
    if (!kept) throw error;
    return isolated(kept);
  }
}

function isolated(answer) {
  if (answer.headers.has("Cross-Origin-Embedder-Policy")) return answer;
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}
