// What this address lets a page do, found out by trying and not by guessing: camera, offline use, installation.

export const CACHE = "edgefer-page";

/** @returns {Promise<{kind: "trusted" | "camera" | "none", sentence: string}>} */
export async function examine() {
  if (!isSecureContext) {
    const sentence = "This address is plain http, where a browser gives no page a camera. Open it at https:// or on localhost.";
    return { kind: "none", sentence };
  }
  if (!navigator.serviceWorker) {
    return { kind: "camera", sentence: "Camera only: this browser, or this private window, keeps no page for offline use." };
  }
  try {
    await navigator.serviceWorker.register("sw.js");
    await isolate();
    return { kind: "trusted", sentence: "This address is trusted: the page works offline and can be installed." };
  } catch (error) {
    if (error.name !== "SecurityError") return { kind: "camera", sentence: `Camera only: no offline use here (${error.message}).` };
    const sentence =
      "Camera only: this address's certificate is not one the browser trusts, so the page cannot work offline or be installed. " +
      "localhost, a static export on an HTTPS host, or a local CA installed on the phone can.";
    return { kind: "camera", sentence };
  }
}

/** A host that does not send the headers that threads need: the service worker adds them, once the page comes through it. */
async function isolate() {
  const reloaded = performance.getEntriesByType("navigation")[0]?.type === "reload";
  if (crossOriginIsolated || reloaded) return; // once: some browsers cannot
  await navigator.serviceWorker.ready;
  location.reload();
  await new Promise(() => {});
}

/** Keep what this page needs for a visit without a network: all of it or nothing. Nothing of the camera is among it. */
export async function keep(names) {
  await navigator.serviceWorker.ready;
  const folder = new URL(".", document.baseURI).href;
  const used = performance.getEntriesByType("resource").map((entry) => entry.name);
  const all = [location.pathname, ...names, ...used].map((name) => new URL(name, document.baseURI).href);
  const urls = new Set(all.filter((url) => url.startsWith(folder) && !/\/(task\.json|record|crops\.bin)/.test(url)));
  const cache = await caches.open(CACHE);
  const sums = async () => (await cache.match("bundle/SHA256SUMS"))?.text();
  const before = await sums();
  await cache.addAll([...urls]);
  if (before === (await sums())) return;
  const others = (await cache.keys()).map((request) => request.url).filter((url) => url.startsWith(folder) && !urls.has(url));
  await Promise.all(others.map((url) => cache.delete(url))); // of another bundle
}
