import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { COMPONENT } from './component.ts';
import { launch, type Running } from './launch.ts';

/** Which programs are measured, and how each is started. */
export interface Server {
  name: string;
  /** The key under which it stores a ticket, or undefined if it stores none. */
  ticketKey?: string;
  /** What it stores of a push: bare Express cannot know the ticket. */
  stores?: 'ticket' | 'body';
  start(redisUrl: string): Promise<Running>;
}

export const PEERS = [
  'co-wechat',
  'wxcrypt',
  'tnwx',
  'nest-wechat',
  'weixin-service',
  'node-easywechat',
] as const;

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PEERS_HOME = join(ROOT, 'bench/peers');
const COMPILED = join(ROOT, '.cache/bench');
const run = promisify(execFile);

export interface KeeperOptions {
  /** Base URL of the pretended WeChat. */
  wechat: string;
  prefix?: string;
  /** Variables besides. */
  env?: Readonly<Record<string, string>>;
}

/** The service as it runs in production: built, with the log level that it has by itself. */
export function keeper({ wechat, prefix = 'wxkeeper:', env = {} }: KeeperOptions): Server {
  const settings = {
    REDIS_KEY_PREFIX: prefix,
    PUBLIC_HOST: '127.0.0.1',
    WECHAT_API_BASE_URLS: wechat,
    COMPONENT_APPID: COMPONENT.appid,
    COMPONENT_APPSECRET: COMPONENT.secret,
    COMPONENT_TOKEN: COMPONENT.token,
    COMPONENT_ENCODING_AES_KEY: COMPONENT.encodingAesKey,
    ...env,
  };
  return {
    name: 'wxkeeper',
    ticketKey: `${prefix}component_verify_ticket:{${COMPONENT.appid}}`,
    stores: 'ticket',
    start: (redisUrl) =>
      launch([join(ROOT, 'dist/main.js')], { ...settings, REDIS_URL: redisUrl }, [
        'PUBLIC_PORT',
        'INTERNAL_PORT',
      ]),
  };
}

/** One of `bench/servers/`, to compare with. */
export async function reference(
  file: string,
  name: string,
  options: { stores?: 'ticket' | 'body'; env?: Readonly<Record<string, string>> } = {},
): Promise<Server> {
  const script = await compiled(file);
  const { stores, env = {} } = options;
  return small(name, script, { ...(stores && { stores }), env });
}

/** The application behind delivery routes, beside the load. */
export async function startTarget(): Promise<Running> {
  return await launch([await compiled('target')], {}, ['PORT'], 'load');
}

/** One of `bench/peers/`. */
export function peer(name: (typeof PEERS)[number]): Server {
  return small(name, join(PEERS_HOME, `${name}.js`), { stores: 'ticket', env: {} });
}

function small(
  name: string,
  script: string,
  { stores, env }: { stores?: 'ticket' | 'body'; env: Readonly<Record<string, string>> },
): Server {
  const ticketKey = `${name}:ticket`;
  const settings = {
    NODE_ENV: 'production',
    TICKET_KEY: ticketKey,
    APPID: COMPONENT.appid,
    TOKEN: COMPONENT.token,
    ENCODING_AES_KEY: COMPONENT.encodingAesKey,
    ...env,
  };
  return {
    name,
    ...(stores && { ticketKey, stores }),
    start: (redisUrl) => launch([script], { ...settings, REDIS_URL: redisUrl }),
  };
}

/** Plain JavaScript, so that starting it does not take the time of a compiler. */
async function compiled(file: string): Promise<string> {
  const source = await readFile(join(ROOT, 'bench/servers', `${file}.ts`), 'utf8');
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  });
  await mkdir(COMPILED, { recursive: true });
  const script = join(COMPILED, `${file}.js`);
  await writeFile(script, outputText);
  return script;
}

/**
 * Installs the peers by their own lockfile, unless that is done already.
 * @returns why they cannot be had, or undefined
 */
export async function installPeers(say: (line: string) => void): Promise<string | undefined> {
  const lock = join(PEERS_HOME, 'package-lock.json');
  const mark = join(PEERS_HOME, 'node_modules/.package-lock.json');
  const isInstalled = await Promise.all([stat(lock), stat(mark)]).then(
    ([locked, marked]) => marked.mtimeMs >= locked.mtimeMs,
    () => false,
  );
  if (isInstalled) return undefined;
  say('installing the peers: npm ci --prefix bench/peers');
  try {
    // Scripts of other people's packages are not needed here.
    await run('npm', ['ci', '--prefix', PEERS_HOME, '--ignore-scripts', '--no-audit', '--no-fund']);
    return (await readdir(join(PEERS_HOME, 'node_modules'))).length > 0
      ? undefined
      : 'nothing came';
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const line = text.split('\n').find((one) => /npm (error|ERR!)/.test(one));
    return (line ?? text).replace(/^npm (error|ERR!)\s*/, '').slice(0, 200);
  }
}
