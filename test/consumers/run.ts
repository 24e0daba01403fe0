import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { authorizerAppid, COMPONENT } from '../../bench/rig/component.ts';
import { launch, type Running } from '../../bench/rig/launch.ts';
import { installPeers, keeper, PEERS } from '../../bench/rig/servers.ts';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';
import { createSimulator } from '../../src/sandbox/wechat/simulator.ts';

/**
 * Packages from npm behind delivery routes, unmodified: each must take a ticket in `raw` and in `sealed`, four
 * must answer a user in both, and one with another Token must take nothing. Exit code 1 when one does not.
 * The packages are those of `bench/peers`, installed by their lockfile when they are not there.
 */

const APP = { token: 'appToken', key: 'ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210abcdefg' };
const REPLIERS = ['co-wechat', 'node-easywechat', 'tnwx', 'nest-wechat'] as const;
const MODES = ['raw', 'sealed'] as const;
const PATIENCE_MS = 20_000;

type Mode = (typeof MODES)[number];

const secretsOf = (mode: Mode) =>
  mode === 'raw'
    ? { TOKEN: COMPONENT.token, ENCODING_AES_KEY: COMPONENT.encodingAesKey }
    : { TOKEN: APP.token, ENCODING_AES_KEY: APP.key };

const failures: string[] = [];
function tell(what: string, isSo: boolean): void {
  process.stdout.write(`${isSo ? 'ok    ' : 'FAILED'} ${what}\n`);
  if (!isSo) failures.push(what);
}

const problem = await installPeers((line) => process.stdout.write(`${line}\n`));
if (problem !== undefined) throw new Error(`the packages cannot be had: ${problem}`);
const running: Running[] = [];
const folder = await mkdtemp(join(tmpdir(), 'wxkeeper-consumers-'));
// Some packages keep files where they are started.
process.chdir(folder);
const server = await startRedisServer({ listen: 'port' });
const redis = new Redis(server.url);
const simulator = createSimulator({ components: [COMPONENT], pushing: false });
try {
  await simulator.start();
  const routes = await startApplications();
  const service = await startService(routes);
  await tryTickets(service);
  await tryReplies();
} finally {
  for (const one of running) await one.stop();
  await simulator.stop();
  redis.disconnect();
  await server.stop();
  await rm(folder, { recursive: true });
}
process.exitCode = failures.length === 0 ? 0 : 1;

/** @returns the routes to them */
async function startApplications(): Promise<object[]> {
  const routes: object[] = [];
  const route = (name: string, mode: Mode, { port }: Running, more: object) => {
    const own = { token: APP.token, encoding_aes_key: APP.key };
    const target = `http://127.0.0.1:${port}/wechat`;
    routes.push({ name, target, mode, ...(mode === 'sealed' ? own : {}), ...more });
  };
  const tickets = { match: { info_type: ['component_verify_ticket'] } };
  for (const mode of MODES) {
    for (const name of PEERS) {
      const key = `${name}-${mode}`;
      const settings = { ...secretsOf(mode), TICKET_KEY: key };
      route(key, mode, await start(`bench/peers/${name}.js`, settings), tickets);
    }
    for (const [index, name] of REPLIERS.entries()) {
      const script = `test/consumers/apps/${name}-replies.cjs`;
      const match = { authorizer: [accountOf(mode, index)], msg_type: 'text' };
      const app = await start(script, secretsOf(mode));
      route(`${name}-${mode}-replies`, mode, app, { reply: true, match });
    }
  }
  const wrong = { ...secretsOf('raw'), TOKEN: 'anotherToken', TICKET_KEY: 'wrong' };
  route('wrong', 'raw', await start('bench/peers/node-easywechat.js', wrong), tickets);
  return routes;
}

function accountOf(mode: Mode, index: number): string {
  return authorizerAppid(10 * (MODES.indexOf(mode) + 1) + index);
}

async function start(script: string, settings: Record<string, string>): Promise<Running> {
  const path = fileURLToPath(new URL(`../../${script}`, import.meta.url));
  const home = fileURLToPath(new URL('../../bench/peers/node_modules', import.meta.url));
  const env = { REDIS_URL: server.url, APPID: COMPONENT.appid, NODE_PATH: home, ...settings };
  const one = await launch([path], env);
  running.push(one);
  return one;
}

async function startService(routes: object[]): Promise<Running> {
  const file = join(folder, 'config.json');
  await writeFile(file, JSON.stringify({ routes }));
  const env = { CONFIG_FILE: file, DELIVERY_NETWORKS: '127.0.0.0/8' };
  const [wechat = ''] = simulator.urls;
  const service = await keeper({ wechat, env }).start(server.url);
  running.push(service);
  simulator.setCallbackUrl(
    COMPONENT.appid,
    `http://127.0.0.1:${service.port}/callback/${COMPONENT.appid}`,
  );
  return service;
}

async function tryTickets(service: Running): Promise<void> {
  const { accepted } = await simulator.pushTicket(COMPONENT.appid);
  tell(`the push of the ticket is accepted at port ${service.port}`, accepted);
  const ticket = simulator.latestMint('component_verify_ticket')?.value;
  for (const mode of MODES) {
    for (const name of PEERS) {
      const key = `${name}-${mode}`;
      tell(`${name} takes the ticket in ${mode}`, await becomes(key, ticket));
    }
  }
  tell('one with another Token takes nothing', (await redis.get('wrong')) === null);
}

async function becomes(key: string, expected: string | undefined): Promise<boolean> {
  const until = performance.now() + PATIENCE_MS;
  while (performance.now() < until) {
    if ((await redis.get(key)) === expected) return true;
    await sleep(50);
  }
  return false;
}

async function tryReplies(): Promise<void> {
  for (const mode of MODES) {
    for (const [index, name] of REPLIERS.entries()) {
      const fields = { MsgType: 'text', Content: `hello ${name}` };
      const { user } = await simulator.pushMessage(undefined, accountOf(mode, index), fields);
      const isSo = user?.sees === 'text' && user.text === `${name} heard hello ${name}`;
      const what = `${name} answers a user in ${mode}`;
      tell(isSo ? what : `${what}: ${JSON.stringify(user)}`, isSo);
    }
  }
}
