import { readFileSync } from 'node:fs';

/** src/ or dist/. The build joins this file with others in dist/ itself. */
export const CODE = new URL(
  import.meta.url.includes('/lib/version.') ? '../' : './',
  import.meta.url,
);

/** The package's version: package.json lies one folder up from src/ and from dist/ alike. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', CODE), 'utf8')) as {
    version: string;
  }
).version;
