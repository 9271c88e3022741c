/**
 * Builds the page into built/: one script and one style sheet under names that change with what is in them, the
 * licences of what is bundled, and last of all a manifest, from which the service knows what it may serve.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const BUILT = join(HERE, "built");
const TYPES = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  txt: "text/plain; charset=utf-8",
};

/** @type {Record<string, string>} content types by name */
const assets = {};

/** @param {string} stem @param {keyof typeof TYPES} kind @param {string | Uint8Array} content @returns {string} */
function keep(stem, kind, content) {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 12);
  const name = `${stem}-${hash}.${kind}`;
  writeFileSync(join(BUILT, name), content);
  assets[name] = TYPES[kind];
  return name;
}

/** @param {import("esbuild").Metafile} metafile @returns {string} of every package of which something is bundled */
function licences(metafile) {
  const packages = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) packages.add(found[1]);
  }
  const texts = [...packages].sort().map((name) => {
    const folder = join(HERE, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? readFileSync(join(folder, file), "utf8").trim() : `${license}; no text comes with it`;
    return `${name} ${version}\n\n${text}\n`;
  });
  return ["What this page's script contains besides its own code.\n", ...texts].join(`\n${"-".repeat(78)}\n\n`);
}

/** @param {import("esbuild").BuildOptions} options */
async function bundled(options) {
  const result = await build({
    absWorkingDir: HERE,
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    outdir: BUILT,
    target: ["chrome109", "edge109", "firefox115", "safari16.4"],
    logLevel: "warning",
    ...options,
  });
  return { content: result.outputFiles[0].contents, metafile: result.metafile };
}

const script = await bundled({
  entryPoints: ["src/main.js"],
  format: "esm",
  platform: "browser",
  define: { global: "globalThis" },
  legalComments: "none",
});
const style = await bundled({ entryPoints: ["page.css"] });

rmSync(BUILT, { recursive: true, force: true });
mkdirSync(BUILT);
const notices = keep("licences", "txt", licences(script.metafile));
const banner = `/*! Licences of third parties: ${notices} */\n`;
const names = {
  "page.js": keep("page", "js", banner + Buffer.from(script.content).toString("utf8")),
  "page.css": keep("page", "css", style.content),
  "icon.svg": keep("icon", "svg", readFileSync(join(HERE, "icon.svg"))),
};

let html = readFileSync(join(HERE, "index.html"), "utf8");
for (const [source, name] of Object.entries(names)) html = html.replace(`"${source}"`, `"/assets/${name}"`);
writeFileSync(join(BUILT, "index.html"), html);

writeFileSync(join(BUILT, "manifest.tmp"), `${JSON.stringify({ page: "index.html", assets }, null, 2)}\n`);
renameSync(join(BUILT, "manifest.tmp"), join(BUILT, "manifest.json"));
