import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { makeApiKey, parseApiKeyEntry } from '../config/api-keys.ts';
import { asTyped } from '../lib/command-line.ts';

/**
 * Makes a key for an internal caller (the key for the caller, its hash for the settings), or one that
 * seals refresh tokens in Redis.
 */

/** sysexits.h: the command was used wrongly. */
const EX_USAGE = 64;

const HELP = `Makes an API key for a service or a person that asks wxkeeper over HTTP, or a key that seals refresh
tokens in Redis.

  npm run keys -- --id shop --scopes credentials:read+status:read
  npm run keys -- --sealing

  --id NAME        whose key it is: up to 32 lower-case letters, digits and hyphens (service)
  --scopes LIST    what the key is for, joined by + (credentials:read)
  --sealing        make an entry of REFRESH_TOKEN_KEYS instead; --id names it (the day it was made)
  --help           print this

Scopes: credentials:read, credentials:refresh, status:read, admin (everything). A scope may be
narrowed to one appid: credentials:read@wx0123456789abcdef. In a URL the key is never accepted; it
is sent as "Authorization: Bearer <key>".

The key is printed once and stored nowhere. wxkeeper knows only its SHA-256, which is what the
settings hold.`;

/** A well-formed entry around the part that is looked at. */
const ANY_HASH = '0'.repeat(64);

type Request = { id: string; scopes: string } | { sealingId: string };

/** @throws Error with a message for the user */
function readRequest(args: readonly string[]): Request | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      id: { type: 'string' },
      scopes: { type: 'string' },
      sealing: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    strict: true,
    allowPositionals: false,
  });
  const { sealing, help } = values;
  if (help) return 'help';
  if (sealing && values.scopes !== undefined) {
    throw new Error('--scopes is for API keys: leave it out with --sealing');
  }
  const { id = sealing ? today() : 'service', scopes = 'credentials:read' } = values;
  if (parseApiKeyEntry(`${id}:${ANY_HASH}:admin`) === undefined) {
    throw new Error(
      `--id must be 1 to 32 lower-case letters, digits and hyphens, the first no hyphen; not "${id}"`,
    );
  }
  if (sealing) return { sealingId: id };
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

/** Names by date sort in the order in which the keys were made. */
function today(): string {
  return new Date().toISOString().slice(0, 10);
}

function sealingText(id: string): string {
  return `A key for refresh tokens in Redis. Whoever loses it loses the tokens it has sealed: keep a copy in a
safe place, not beside Redis. For the first key put this line into the settings of all replicas:

REFRESH_TOKEN_KEYS=${id}:${randomBytes(32).toString('base64')}

To replace a key: append to the line there is, with a comma in between, what follows the equals sign
here, and restart all replicas; then move it to the front and restart them again. A day later the old
key may go.`;
}

function keyText({ id, scopes }: { id: string; scopes: string }): string {
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
    if (request === 'help') console.log(asTyped(HELP));
    else console.log('sealingId' in request ? sealingText(request.sealingId) : keyText(request));
  } catch (error) {
    console.error(
      asTyped(`${(error as Error).message}\nnpm run keys -- --help explains the flags.`),
    );
    process.exitCode = EX_USAGE;
  }
}

main();
