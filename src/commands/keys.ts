import { parseArgs } from 'node:util';
import { makeApiKey, parseApiKeyEntry } from '../api-keys.ts';

/** Makes a key for an internal caller: the key for the caller, its hash for the settings. */

/** sysexits.h: the command was used wrongly. */
const EX_USAGE = 64;

const HELP = `Makes an API key for a service or a person that asks wxkeeper over HTTP.

  npm run keys -- --id shop --scopes credentials:read+status:read

  --id NAME        whose key it is: up to 32 lower-case letters, digits and hyphens (service)
  --scopes LIST    what the key is for, joined by + (credentials:read)
  --help           print this

Scopes: credentials:read, credentials:refresh, status:read, admin (everything). A scope may be
narrowed to one appid: credentials:read@wx0123456789abcdef. In a URL the key is never accepted; it
is sent as "Authorization: Bearer <key>".

The key is printed once and stored nowhere. wxkeeper knows only its SHA-256, which is what the
settings hold.`;

/** A well-formed entry around the part that is looked at. */
const ANY_HASH = '0'.repeat(64);

interface Request {
  id: string;
  scopes: string;
}

/** @throws Error with a message for the user */
function readRequest(args: readonly string[]): Request | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      id: { type: 'string', default: 'service' },
      scopes: { type: 'string', default: 'credentials:read' },
      help: { type: 'boolean', default: false },
    },
    strict: true,
    allowPositionals: false,
  });
  const { id, scopes, help } = values;
  if (help) return 'help';
  if (parseApiKeyEntry(`${id}:${ANY_HASH}:admin`) === undefined) {
    throw new Error(
      `--id must be 1 to 32 lower-case letters, digits and hyphens, the first no hyphen; not "${id}"`,
    );
  }
  const wrong = scopes
    .split('+')
    .find((scope) => parseApiKeyEntry(`id:${ANY_HASH}:${scope}`) === undefined);
  if (wrong !== undefined) {
    throw new Error(
      `--scopes: "${wrong}" is none of credentials:read, credentials:refresh, status:read, admin, each alone or with @appid`,
    );
  }
  return { id, scopes };
}

function keyText({ id, scopes }: Request): string {
  const { key, entry } = makeApiKey(id, scopes);
  return `Give this key to ${id}. It is shown only now:

${key}

Put this line into the settings of wxkeeper, and restart it. If there is an API_KEYS line already,
append to it, with a comma in between, what follows the equals sign here:

API_KEYS=${entry}`;
}

function main(): void {
  try {
    const request = readRequest(process.argv.slice(2));
    console.log(request === 'help' ? HELP : keyText(request));
  } catch (error) {
    console.error(`${(error as Error).message}\nnpm run keys -- --help explains the flags.`);
    process.exitCode = EX_USAGE;
  }
}

main();
