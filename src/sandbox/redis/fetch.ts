import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

/**
 * A private copy of Debian's own Redis package: apt checks the signature, root is not needed,
 * nothing is installed and nothing is redistributed.
 */

export interface FetchTools {
  aptGet: string;
  dpkgDeb: string;
  /** Whether the copy in this folder runs here. */
  works(folder: string): Promise<boolean>;
}

/** What to fetch, and with which options of apt-get. */
export interface FetchedPackages {
  /** The server first; the others for machines whose apt cannot resolve dependencies. */
  names: readonly [string, ...string[]];
  aptOptions?: readonly string[];
}

/** Everything else Redis needs is standard. */
export const LIBRARIES = ['libjemalloc2', 'liblzf1', 'libatomic1'];
const REDIS: FetchedPackages = { names: ['redis-server', 'redis-tools', ...LIBRARIES] };
const STAGING_PREFIX = 'redis-fetch-';
const STEP_TIMEOUT_MS = 120_000;
/** A fetch that was killed leaves its folder; after this long nobody is still at work in it. */
const ABANDONED_AFTER_MS = 600_000;

const run = promisify(execFile);

/** Leaves the unpacked packages in `target`/root. Any number of processes may do so at once. */
export async function fetchPrivateCopy(
  target: string,
  tools: FetchTools,
  packages: FetchedPackages = REDIS,
): Promise<void> {
  const cache = dirname(target);
  await mkdir(cache, { recursive: true });
  await removeAbandoned(cache);
  const staging = await mkdtemp(join(cache, STAGING_PREFIX));
  try {
    await download(tools.aptGet, staging, packages);
    const unpacked = join(staging, 'copy');
    await unpack(tools.dpkgDeb, join(staging, 'archives'), join(unpacked, 'root'));
    if (!(await tools.works(unpacked)))
      throw new Error(`the fetched ${packages.names[0]} does not run`);
    await moveIntoPlace(unpacked, target, staging, tools);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/**
 * Downloads into `staging`/archives. apt is asked for whatever Redis needs and this machine lacks
 * (a slim container has no OpenSSL): first with the machine's package lists, then, as those may be
 * empty or stale, with private ones.
 */
async function download(
  aptGet: string,
  staging: string,
  { names, aptOptions = [] }: FetchedPackages,
): Promise<void> {
  const [server] = names;
  const archives = join(staging, 'archives');
  await mkdir(join(archives, 'partial'), { recursive: true });
  await mkdir(join(staging, 'lists', 'partial'), { recursive: true });
  const config = join(staging, 'apt.conf');
  await writeFile(config, aptConfig(staging));
  const apt = (...args: string[]) =>
    run(aptGet, ['-c', config, ...aptOptions, '-qq', '-y', ...args], {
      cwd: archives,
      timeout: STEP_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
  const resolved = ['install', '--download-only', '--no-install-recommends', server];
  const ownLists = ['-o', `Dir::State::lists=${join(staging, 'lists')}`];
  const steps = [
    resolved,
    [...ownLists, 'update'],
    [...ownLists, ...resolved],
    [...ownLists, 'download', ...names],
  ];
  const failures: (Error | undefined)[] = [];
  for (const step of steps) {
    const failure = await apt(...step).then(
      () => undefined,
      (error: unknown) => error as Error,
    );
    // A Redis that is installed but hidden leaves nothing to download, and apt is content.
    if ((await readdir(archives)).some((name) => name.startsWith(`${server}_`))) return;
    failures.push(failure);
  }
  // A failed update is why the steps after it know no packages.
  throw failures[1] ?? failures.at(-1) ?? new Error('apt-get found nothing to download');
}

/** Read by apt after the machine's own files, so proxies and mirrors stay as they are there. */
function aptConfig(staging: string): string {
  return [
    // The machine's hooks tidy the machine's caches, and need root to do so.
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    `Dir::Cache "${staging}";`,
    'Dir::Cache::archives "archives";',
    // "root" means: do not change user. Anybody else could not enter our folder.
    'APT::Sandbox::User "root";',
    // The locks are root's, and everything written here is ours alone.
    'Debug::NoLocking "true";',
    'APT::Get::AllowUnauthenticated "false";',
    'Acquire::AllowInsecureRepositories "false";',
    // Without this a machine that is offline learns only that it knows no such package.
    'APT::Update::Error-Mode "any";',
    'Acquire::Languages "none";',
    'Acquire::Retries "1";',
    'Acquire::http::Timeout "20";',
    '',
  ].join('\n');
}

async function unpack(dpkgDeb: string, archives: string, root: string): Promise<void> {
  await mkdir(root, { recursive: true });
  for (const name of await readdir(archives)) {
    if (!name.endsWith('.deb')) continue;
    await run(dpkgDeb, ['-x', join(archives, name), root], { timeout: STEP_TIMEOUT_MS });
  }
}

/** By rename, so that of two processes fetching at once each finds a whole copy. */
async function moveIntoPlace(
  unpacked: string,
  target: string,
  staging: string,
  tools: FetchTools,
): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await rename(unpacked, target);
      return;
    } catch (error) {
      if (await tools.works(target)) return;
      if (attempt === 3) throw error;
      // What is there does not run: put it aside, where it is removed with the staging folder.
      await rename(target, join(staging, `broken-${attempt}`)).catch(() => undefined);
    }
  }
}

async function removeAbandoned(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.startsWith(STAGING_PREFIX)) continue;
    const folder = join(cache, name);
    const changedAt = await stat(folder).then(
      (stats) => stats.mtimeMs,
      () => Date.now(),
    );
    if (Date.now() - changedAt < ABANDONED_AFTER_MS) continue;
    await rm(folder, { recursive: true, force: true });
  }
}
