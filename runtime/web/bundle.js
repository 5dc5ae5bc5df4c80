// A bundle in the browser: every file that is used is hashed and compared with SHA256SUMS before it is used.

const SCHEMA = 1, REMEDY = "reload the page; if that does not help, copy or export the bundle again";

/** A sentence for the person: what is wrong and what to do. */
export class Refused extends Error {}

/** Read a bundle that lies at a URL which ends with a slash. */
export async function load(base) {
  if (!globalThis.crypto?.subtle) {
    throw new Refused("Open this page at https:// or at http://localhost: elsewhere a browser gives it neither camera nor checks.");
  }
  const sums = parsed(new TextDecoder().decode(await fetched(base, "SHA256SUMS")));
  const read = async (name) => checked(name, await fetched(base, name), sums);
  const json = async (name) => JSON.parse(new TextDecoder().decode(await read(name)));
  const manifest = await json("bundle.json");
  if (manifest.schema !== SCHEMA) {
    throw new Refused(`The bundle has schema ${manifest.schema}, this page reads ${SCHEMA}: use the edgefer version that wrote it.`);
  }
  const spec = await json("model.json");
  const finder = manifest.finder ? { ...manifest.finder, spec: await json("finder/finder.json") } : null;
  return { name: manifest.name, manifest, spec, finder, sums, read, json };
}

/** The LiteRT artifact in a precision, else in one that there is. */
export function artifact(part, precision) {
  const own = part.artifacts.filter((each) => each.engine === "litert");
  if (!own.length) throw new Refused(`The bundle has no LiteRT model, which a browser needs; ${REMEDY} for a target that has one.`);
  return own.find((each) => each.precision === precision) ?? own[0];
}

export function precisions(bundle) {
  return bundle.manifest.artifacts.filter((each) => each.engine === "litert").map((each) => each.precision);
}

async function fetched(base, name) {
  let answer;
  try {
    answer = await fetch(base + name);
  } catch {
    throw new Refused(`${name} of the bundle cannot be fetched: the server does not answer; start it again and reload.`);
  }
  if (!answer.ok) throw new Refused(`${name} of the bundle is missing; ${REMEDY}.`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function checked(name, bytes, sums) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (sums[name] !== hex) throw new Refused(`${name} does not match its SHA-256 in SHA256SUMS and is not used; ${REMEDY}.`);
  return bytes;
}

function parsed(text) {
  const lines = text.split("\n").map((line) => /^([0-9a-f]{64}) [ *](.+)$/.exec(line)).filter(Boolean);
  return Object.fromEntries(lines.map(([, digest, name]) => [name, digest]));
}
