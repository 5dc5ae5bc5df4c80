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
    return { kind: "trusted", sentence: "This address is trusted: the page works offline and can be installed." };
  } catch (error) {
    if (error.name !== "SecurityError") return { kind: "camera", sentence: `Camera only: no offline use here (${error.message}).` };
    const sentence =
      "Camera only: this address's certificate is not one the browser trusts, so the page cannot work offline or be installed. " +
      "localhost, a static export on an HTTPS host, or a local CA installed on the phone can.";
    return { kind: "camera", sentence };
  }
}

/** Keep what this page needs for a visit without a network. Nothing of the camera is among it. */
export async function keep(names) {
  await navigator.serviceWorker.ready;
  const here = new URL(document.baseURI).origin;
  const used = performance.getEntriesByType("resource").map((entry) => entry.name);
  const urls = new Set([location.pathname, ...names, ...used].map((name) => new URL(name, document.baseURI).href));
  const cache = await caches.open(CACHE);
  await cache.addAll([...urls].filter((url) => url.startsWith(here) && !/\/(task\.json|record|crops\.bin)/.test(url)));
}
