import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  findOnPath,
  findRedis,
  privateCopy,
  type RedisBinary,
} from '../../../src/sandbox/redis/binary.ts';
import { fetchPrivateCopy, LIBRARIES } from '../../../src/sandbox/redis/fetch.ts';

/** Finds Valkey as `findRedis` finds Redis: by name, on PATH, or as a private copy of Debian's package. */

const CACHE = fileURLToPath(new URL('../../../.cache', import.meta.url));
const SERVER = 'valkey-server';
/** For machines whose apt has no sources yet. */
const USUAL_MIRROR = 'http://deb.debian.org/debian';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const run = promisify(execFile);

/** @throws Error that says what to do, when there is none */
export async function findValkey(): Promise<RedisBinary> {
  const named = process.env['VALKEY_SERVER_BIN'] ?? (await findOnPath(SERVER));
  if (named) return await findRedis({ env: { ...process.env, REDIS_SERVER_BIN: named } });
  const folder = join(CACHE, 'valkey');
  const cached = await privateCopy(folder, SERVER);
  if (cached) return { ...cached, source: 'cache' };
  try {
    await fetchValkey(folder);
  } catch (cause) {
    throw notFound(cause);
  }
  const copy = await privateCopy(folder, SERVER);
  if (copy) return { ...copy, source: 'fetched' };
  throw notFound();
}

async function fetchValkey(folder: string): Promise<void> {
  if (process.env['REDIS_FETCH'] === '0') throw new Error('REDIS_FETCH=0 forbids fetching one');
  const aptGet = await findOnPath('apt-get');
  const dpkgDeb = await findOnPath('dpkg-deb');
  if (aptGet === undefined || dpkgDeb === undefined) throw new Error('there is no apt-get here');
  await mkdir(CACHE, { recursive: true });
  const sources = await mkdtemp(join(CACHE, 'valkey-sources-'));
  try {
    await writeFile(join(sources, 'valkey.sources'), await sourcesWithBackports(aptGet));
    await fetchPrivateCopy(
      folder,
      { aptGet, dpkgDeb, works: async (where) => (await privateCopy(where, SERVER)) !== undefined },
      {
        names: [SERVER, 'valkey-tools', ...LIBRARIES],
        aptOptions: [
          '-o',
          `Dir::Etc::sourceparts=${sources}`,
          '-o',
          'Dir::Etc::sourcelist=/dev/null',
        ],
      },
    );
  } finally {
    await rm(sources, { recursive: true, force: true });
  }
}

/** From the machine's own mirror. Valkey is in the backports of bookworm, and in Debian itself since trixie. */
async function sourcesWithBackports(aptGet: string): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const [, codename] = /^VERSION_CODENAME=(\w+)$/m.exec(release) ?? [];
  if (!/^ID=debian$/m.test(release) || codename === undefined) throw new Error('this is no Debian');
  const wanted = ['Created-By: Packages', `Release: ${codename}`];
  const { stdout } = await run(aptGet, ['indextargets', '--format', '$(REPO_URI)', ...wanted]);
  return [
    'Types: deb',
    `URIs: ${stdout.split('\n').find(Boolean) ?? USUAL_MIRROR}`,
    `Suites: ${codename} ${codename}-backports`,
    'Components: main',
    `Signed-By: ${KEYRING}`,
    '',
  ].join('\n');
}

function notFound(cause?: unknown): Error {
  const { stderr, message } = (cause ?? {}) as { stderr?: string; message?: string };
  const why =
    stderr?.split('\n').find((line) => line.startsWith('E: ')) ?? message ?? 'it does not run';
  return new Error(
    `no Valkey server found (${why}): install the package valkey-server, or name it in VALKEY_SERVER_BIN`,
    { cause },
  );
}
