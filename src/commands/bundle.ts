import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import ts from 'typescript';

/**
 * The last step of a build: joins the service and the packages it needs into a few files. Node spends
 * most of a start on finding and reading files, of which there would be six hundred. The commands stay
 * as they are: nobody waits for them, and they find their packages in node_modules.
 */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

// The names of these come from what is in them: those of an earlier build would stay for ever.
for (const name of readdirSync(`${ROOT}dist`)) {
  if (/^main-.*\.js$/.test(name)) rmSync(`${ROOT}dist/${name}`);
}
cpSync(`${ROOT}src/store`, `${ROOT}dist/store`, {
  recursive: true,
  filter: (path) => !path.endsWith('.ts'),
});
// For browsers: it is served as it is.
cpSync(`${ROOT}node_modules/idiomorph/dist/idiomorph.min.js`, `${ROOT}dist/idiomorph.min.js`);
await build({
  absWorkingDir: ROOT,
  entryPoints: ['dist/main.js'],
  outdir: 'dist',
  allowOverwrite: true,
  bundle: true,
  // What is imported later stays a file of its own. All of them lie beside `main.js`: see `CODE`.
  splitting: true,
  chunkNames: 'main-[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // Packages in the older form ask for Node's own modules by this.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});

// The types of `wxkeeper/client`, each file by itself: tsc would work out those of everything, for as long as
// the rest of a build takes.
for (const name of readdirSync(`${ROOT}src/client`)) {
  const compilerOptions = { declaration: true, isolatedDeclarations: true };
  const { outputText, diagnostics = [] } = ts.transpileDeclaration(
    readFileSync(`${ROOT}src/client/${name}`, 'utf8'),
    { compilerOptions, fileName: name, reportDiagnostics: true },
  );
  const [wrong] = diagnostics;
  if (wrong) throw new Error(`${name}: ${ts.flattenDiagnosticMessageText(wrong.messageText, ' ')}`);
  // The compiler renames what is imported in code, and not in types.
  const text = outputText.replaceAll(/( from '\.[^']*)\.ts'/g, "$1.js'");
  writeFileSync(`${ROOT}dist/client/${name.replace(/\.ts$/, '.d.ts')}`, text);
}
