import { execFile } from 'node:child_process';
import { access, constants, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, delimiter, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fetchPrivateCopy } from './fetch.ts';

/** Finds a real Redis on a machine where nobody prepared one, for the demo and the tests. */

type Environment = Readonly<Record<string, string | undefined>>;

export interface RedisBinary {
  command: string;
  /** LD_LIBRARY_PATH that the command needs; only a private copy does. */
  libraryPath?: string;
  source: 'REDIS_SERVER_BIN' | 'path' | 'cache' | 'fetched';
  version: string;
}

export interface FindRedisOptions {
  say?: ((line: string) => void) | undefined;
  /** Read for REDIS_SERVER_BIN, REDIS_FETCH and PATH. Default: the process's own. */
  env?: Environment;
  /** Folder that holds `.cache`. Default: the repository, or for a package the home of the user. */
  root?: string;
}

/** The project keeps to the command set of Redis 7.0. */
const OLDEST_MAJOR = 7;
const SERVERS = ['redis-server', 'valkey-server'];

/** Same depth below the root for src/commands and dist/commands. */
const PACKAGE_ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * Where a fetched Redis is kept: in the repository, or, where the package is installed, in the user's own
 * cache. What npm has installed may belong to root, and npx throws it away.
 */
function cacheFolder(env: Environment): string {
  if (!/[\\/]node_modules[\\/]/.test(PACKAGE_ROOT)) return join(PACKAGE_ROOT, '.cache');
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'wxkeeper');
}

const run = promisify(execFile);

/** @throws Error whose message tells how to get a Redis, when there is none */
export async function findRedis(options: FindRedisOptions = {}): Promise<RedisBinary> {
  const env = options.env ?? process.env;
  const say = options.say ?? (() => undefined);

  if (env['REDIS_SERVER_BIN']) return await namedBinary(env['REDIS_SERVER_BIN'], env);
  for (const name of SERVERS) {
    const command = await findOnPath(name, env);
    if (command === undefined) continue;
    try {
      return { command, source: 'path', version: await checkVersion(command) };
    } catch (error) {
      say(`passing over ${command}: ${reasonOf(error)}`);
    }
  }
  const cache = options.root === undefined ? cacheFolder(env) : join(options.root, '.cache');
  const folder = join(cache, 'redis');
  const cached = await privateCopy(folder);
  if (cached) return { ...cached, source: 'cache' };
  return await fetchedBinary(folder, env, say);
}

/** Full path of an executable, or undefined when PATH has none of that name. */
export async function findOnPath(
  name: string,
  env: Environment = process.env,
): Promise<string | undefined> {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    if (folder !== '' && (await isExecutable(join(folder, name)))) return join(folder, name);
  }
  return undefined;
}

export async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Start of a redis-cli command line: from PATH, or else the one that came with the server. */
export async function cliCommand(binary: RedisBinary, address: string | number): Promise<string> {
  const name = basename(binary.command) === 'valkey-server' ? 'valkey-cli' : 'redis-cli';
  const where = typeof address === 'number' ? `-p ${address}` : `-s ${quoted(address)}`;
  const beside = join(dirname(binary.command), name);
  if ((await findOnPath(name)) !== undefined || !(await isExecutable(beside))) {
    return `${name} ${where}`;
  }
  const libraries = binary.libraryPath?.split(':').map(shortened).join(':');
  const assignment = libraries === undefined ? '' : `LD_LIBRARY_PATH=${quoted(libraries)} `;
  return `${assignment}${quoted(shortened(beside))} ${where}`;
}

/** Relative to where the user stands, when it lies below. */
export function shortened(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith('..') ? path : fromHere;
}

/** As one word of a shell's command line. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

async function namedBinary(name: string, env: Environment): Promise<RedisBinary> {
  const command = name.includes('/') ? resolve(name) : await findOnPath(name, env);
  // Whoever names a server wants that one: falling back to another would hide a typing mistake.
  if (command === undefined || !(await isExecutable(command))) {
    throw new Error(`REDIS_SERVER_BIN names ${name}, which is not an executable file`);
  }
  try {
    return { command, source: 'REDIS_SERVER_BIN', version: await checkVersion(command) };
  } catch (error) {
    throw new Error(`REDIS_SERVER_BIN names ${name}, which cannot serve: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** Runs the binary: that it exists says nothing about its libraries, architecture or age. */
async function checkVersion(command: string, libraryPath?: string): Promise<string> {
  const { stdout } = await run(command, ['--version'], {
    env: { ...process.env, ...(libraryPath && { LD_LIBRARY_PATH: libraryPath }) },
    timeout: 10_000,
  });
  const [, version, major] = /\bv=((\d+)\.\d+\.\d+)/.exec(stdout) ?? [];
  if (version === undefined) throw new Error('it does not tell a Redis version');
  if (Number(major) < OLDEST_MAJOR) {
    throw new Error(`it is version ${version}, and ${OLDEST_MAJOR}.0 or newer is needed`);
  }
  return version;
}

/** The unpacked packages in `folder`, or undefined when they are absent or do not run. */
export async function privateCopy(
  folder: string,
  server = 'redis-server',
): Promise<Omit<RedisBinary, 'source'> | undefined> {
  const command = join(folder, 'root', 'usr', 'bin', server);
  if (!(await isExecutable(command))) return undefined;
  try {
    const libraryPath = await libraryFolders(join(folder, 'root'));
    return { command, libraryPath, version: await checkVersion(command, libraryPath) };
  } catch {
    return undefined;
  }
}

/** usr/lib/x86_64-linux-gnu and the like; older packages still use lib/. */
async function libraryFolders(root: string): Promise<string> {
  const folders: string[] = [];
  for (const parent of [join(root, 'usr', 'lib'), join(root, 'lib')]) {
    const names = await readdir(parent).catch(() => []);
    for (const name of names) if (name.includes('-linux-')) folders.push(join(parent, name));
  }
  return folders.join(':');
}

async function fetchedBinary(
  folder: string,
  env: Environment,
  say: (line: string) => void,
): Promise<RedisBinary> {
  if (env['REDIS_FETCH'] === '0') throw notFound('REDIS_FETCH=0 forbids fetching one');
  const aptGet = await findOnPath('apt-get', env);
  const dpkgDeb = await findOnPath('dpkg-deb', env);
  if (process.platform !== 'linux' || aptGet === undefined || dpkgDeb === undefined) {
    throw notFound('and fetching one takes Linux with apt-get and dpkg-deb');
  }
  const shown = shortened(folder);
  say(`no Redis here: fetching a private copy of the Debian package into ${shown}`);
  try {
    const works = async (where: string) => (await privateCopy(where)) !== undefined;
    await fetchPrivateCopy(folder, { aptGet, dpkgDeb, works });
    const copy = await privateCopy(folder);
    if (copy) return { ...copy, source: 'fetched' };
  } catch (error) {
    throw notFound(`fetching one failed: ${reasonOf(error)}`, error);
  }
  throw notFound(`${shown} was changed while it was being filled`);
}

function notFound(why: string, cause?: unknown): Error {
  const lines = [
    `No Redis server found (${why}). Any one of these will do:`,
    '  Debian, Ubuntu   sudo apt-get install redis-server',
    '  macOS            brew install redis',
    '  Windows          run this inside WSL',
    '  Docker           docker compose up, for the whole service; or a Redis alone:',
    '                   docker run --rm -p 127.0.0.1:6379:6379 redis:7.2-bookworm',
    '  a running one    REDIS_URL=redis://127.0.0.1:6379 (tests: TEST_REDIS_URL)',
    '  a binary         REDIS_SERVER_BIN=/path/to/redis-server',
  ];
  return new Error(lines.join('\n'), cause === undefined ? undefined : { cause });
}

/** What a failed command complained of, rather than "Command failed" and all its arguments. */
function reasonOf(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message?: string };
  const lines = (stderr ?? '').trim().split('\n');
  const said = lines.find((line) => line.startsWith('E: ')) ?? lines.at(-1) ?? '';
  return said === '' ? (message ?? String(error)) : said;
}
