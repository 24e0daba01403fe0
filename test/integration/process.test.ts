import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { createKeys } from '../../src/store/redis/keys.ts';
import { expectSettled } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { stored } from '../kit/observe.ts';
import { COMPONENT, platformEnv } from '../kit/platform.ts';
import { killServices, type Service, startService } from '../kit/service.ts';
import { POLLING } from '../kit/waiting.ts';

/** How long WeChat takes over the call that is in flight; the test ends it when it has seen enough. */
const HELD_MS = 4_321;

afterEach(killServices);

describe('row 69: the process is told to stop while a mint is in flight', () => {
  let simulator: Simulator;
  let redis: Redis;
  let service: Service;
  let release: () => void;
  const prefix = `test${randomBytes(6).toString('hex')}:`;
  const keys = createKeys(prefix);
  beforeEach(async () => {
    const clock: typeof systemClock = {
      ...systemClock,
      setTimer(delayMs, fn) {
        if (delayMs !== HELD_MS) return systemClock.setTimer(delayMs, fn);
        release = fn;
        return () => undefined;
      },
    };
    simulator = createSimulator({ components: [COMPONENT], pushing: false, clock });
    await simulator.start();
    redis = new Redis(inject('redisUrl'));
    service = startService(platformEnv(simulator, inject('redisUrl'), prefix));
    const { public_port: port } = await service.line('wxkeeper started');
    // The first runs must be over, or they would wait for the mint and keep the process alive too.
    await vi.waitFor(() => {
      expect(service.output()).toContain('"message":"job done","job":"pre_auth_code"');
    }, POLLING);
    const url = `http://127.0.0.1:${String(port)}/callback/${COMPONENT.appid}`;
    simulator.setCallbackUrl(COMPONENT.appid, url);
  });
  afterEach(async () => {
    const left = await redis.keys(`${prefix}*`);
    if (left.length > 0) await redis.del(left);
    redis.disconnect();
    await simulator.stop();
  });

  /** Resolves when the process knows and the call is still in flight. */
  async function stopDuringMint(signals: readonly NodeJS.Signals[]) {
    const fault = { type: 'delay', ms: HELD_MS } as const;
    simulator.addFault({ api: 'api_component_token', fault });
    expect(await simulator.pushTicket()).toMatchObject({ accepted: true });
    await vi.waitFor(() => {
      expect(simulator.ledger.calls.map(({ api }) => api)).toContain('api_component_token');
    }, POLLING);
    expect((await stored({ redis, keys }, TOKEN)).locked).toBe(true);
    for (const signal of signals) {
      expect(service.child.kill(signal)).toBe(true);
      // One by one: two of a kind that wait together count as one.
      await service.line('stopping');
    }
    // WeChat has not answered yet, so nobody may have given up.
    expect(await redis.hexists(keys.record(TOKEN), 'value')).toBe(0);
    expect(service.child.exitCode).toBeNull();
  }

  it.each([
    { told: 'once', signals: ['SIGTERM'] },
    { told: 'twice', signals: ['SIGTERM', 'SIGTERM'] },
    { told: 'from the keyboard and then by the system', signals: ['SIGINT', 'SIGTERM'] },
  ] as const)('told $told, it stores the value, frees the lock, ends well', async ({ signals }) => {
    await stopDuringMint(signals);
    release();
    expect(await service.exit).toEqual({ code: 0, signal: null });
    const minted = simulator.latestMint('component_access_token')?.value;
    expect(minted).toMatch(/./);
    expect(await redis.get(keys.mirror(TOKEN))).toBe(minted);
    const record = await redis.hgetall(keys.record(TOKEN));
    expect(record).toMatchObject({ value: minted, seq: '1' });
    await expectSettled({ redis, keys }, TOKEN);
    for (const message of ['stopping', 'wxkeeper stopped']) {
      expect(service.output().split(`"message":"${message}"`)).toHaveLength(2);
    }
    expect(service.stderr()).toBe('');
  });

  it('takes no further push once it is told to stop', async () => {
    await stopDuringMint(['SIGTERM']);
    const push = await simulator.pushTicket();
    expect(push).toMatchObject({ accepted: false, status: null });
    release();
    expect((await service.exit).code).toBe(0);
  });
});

describe('row 76: the process is started with wrong settings', () => {
  it('names every setting at once, shows no value, and exits 78', async () => {
    const values = {
      REDIS_URL: 'http://canary-redis:6379',
      PUBLIC_PORT: 'canary-port',
      COMPONENT_APPID: 'wxcanaryappid',
      COMPONENT_APPSECRET: 'canary-short',
      COMPONENT_TOKEN: 'canary token!',
      COMPONENT_ENCODING_AES_KEY: 'canary-key',
      API_KEYS: 'canary-id:canary-hash:admin',
      WECHAT_API_BASE_URLS: 'http://canary.example.com',
      PRE_AUTH_CODE_CRON: 'canary cron',
      REFRESH_WINDOW_SECONDS: 'canary-window',
      LOG_LEVEL: 'canary-level',
    };
    const service = startService(values);
    expect(await service.exit).toEqual({ code: 78, signal: null });
    for (const name of Object.keys(values)) expect(service.stderr()).toContain(`- ${name} `);
    expect(service.stderr()).toMatch(/^wxkeeper: 11 setting\(s\) are wrong:\n(?: {2}- .+\n){11}$/);
    for (const value of Object.values(values)) expect(service.output()).not.toContain(value);
    expect(service.output()).not.toContain('canary');
  });

  it.each([
    {
      wrong: 'nothing set at all',
      change: () => ({}),
      named: ['REDIS_URL is required'],
    },
    {
      wrong: 'half a component',
      change: () => ({
        REDIS_URL: 'redis://:canary@127.0.0.1:1',
        COMPONENT_APPID: COMPONENT.appid,
        COMPONENT_APPSECRET: COMPONENT.secret,
      }),
      named: ['COMPONENT_TOKEN is required', 'COMPONENT_ENCODING_AES_KEY is required'],
    },
    {
      wrong: 'settings that contradict each other',
      change: () => ({
        ...platformEnv({ urls: [] }, 'redis://:canary@127.0.0.1:1', 'test:'),
        WECHAT_API_BASE_URLS: '',
        COMPONENT_PREVIOUS_TOKEN: COMPONENT.token,
        PUBLIC_PORT: '4000',
        INTERNAL_PORT: '4000',
      }),
      named: ['the previous token', 'PUBLIC_PORT and INTERNAL_PORT'],
    },
  ])('$wrong: says so and exits 78', async ({ change, named }) => {
    const service = startService(change());
    expect(await service.exit).toEqual({ code: 78, signal: null });
    for (const text of named) expect(service.stderr()).toContain(text);
    for (const secret of ['canary', COMPONENT.secret, COMPONENT.token]) {
      expect(service.output()).not.toContain(secret);
    }
    expect(service.output()).not.toMatch(/^\s+at /m);
  });

  it.each([
    ['a port that is no number', 'redis://:canary@127.0.0.1:notaport'],
    ['a bare slash in the password', 'redis://:can/canary@127.0.0.1:1'],
    ['a bare percent sign in the password', 'redis://:100%canary@127.0.0.1:1'],
  ])('a REDIS_URL with %s is a wrong setting like any other', async (_what, url) => {
    const env = platformEnv({ urls: ['http://127.0.0.1:1'] }, url, 'test:');
    const service = startService(env);
    expect(await service.exit).toEqual({ code: 78, signal: null });
    expect(service.stderr()).toContain('- REDIS_URL ');
    expect(service.output()).not.toContain('canary');
  });

  it.each(['PUBLIC_PORT', 'INTERNAL_PORT'])('exits 69 when %s is in use', async (name) => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    const prefix = `test${randomBytes(6).toString('hex')}:`;
    const env = platformEnv({ urls: ['http://127.0.0.1:1'] }, inject('redisUrl'), prefix);
    const service = startService({ ...env, [name]: String(port) });
    expect(await service.exit).toEqual({ code: 69, signal: null });
    const line = await service.line('cannot start');
    expect(line).toMatchObject({ level: 'error', error: { code: 'EADDRINUSE' } });
    expect(JSON.stringify(line)).toContain(String(port));
    holder.close();
  });
});

describe('row 135: an address that the machine does not give', () => {
  it.each([
    ['PUBLIC_HOST', '192.0.2.1', 'is no address of this machine'],
    ['INTERNAL_HOST', 'name.invalid', 'is a name that has no address'],
  ])(
    '%s=%s is a wrong setting: exit 78, named, before Redis is waited for',
    async (name, value, words) => {
      const env = platformEnv({ urls: ['http://127.0.0.1:1'] }, 'redis://127.0.0.1:1', 'test:');
      const service = startService({ ...env, [name]: value });
      expect(await service.exit).toEqual({ code: 78, signal: null });
      expect(service.stderr()).toBe(`wxkeeper: 1 setting(s) are wrong:\n  - ${name} ${words}\n`);
      expect(service.output()).not.toContain('Redis is not there');
    },
  );
});

describe('row 111: the process is told to stop and has a delay', () => {
  const DELAY = { STOP_DELAY_SECONDS: '600' };
  const prefix = `test${randomBytes(6).toString('hex')}:`;

  it('serves everything, says 503 at /readyz, and a second signal ends the delay', async () => {
    const simulator = createSimulator({ components: [COMPONENT], pushing: false });
    await simulator.start();
    const reader = makeApiKey('reader', 'credentials:read');
    const service = startService({
      ...platformEnv(simulator, inject('redisUrl'), prefix),
      ...DELAY,
      API_KEYS: reader.entry,
    });
    const { public_port, internal_port } = await service.line('wxkeeper started');
    const at = (port: unknown, path: string) => fetch(`http://127.0.0.1:${String(port)}${path}`);
    expect((await at(internal_port, '/readyz')).status).toBe(200);
    service.child.kill('SIGTERM');
    expect(await service.line('stopping')).toMatchObject({ delay_seconds: 600 });
    const unready = await at(internal_port, '/readyz');
    expect(unready.status).toBe(503);
    expect(await unready.json()).toMatchObject({ reason: 'stopping' });
    expect((await at(internal_port, '/livez')).status).toBe(200);
    simulator.setCallbackUrl(
      COMPONENT.appid,
      `http://127.0.0.1:${String(public_port)}/callback/${COMPONENT.appid}`,
    );
    expect(await simulator.pushTicket()).toMatchObject({ accepted: true });
    // The token comes, too: nothing has been stopped.
    await service.line('credential refreshed');
    const read = await fetch(
      `http://127.0.0.1:${String(internal_port)}/v1/credentials/component_access_token/${COMPONENT.appid}`,
      { headers: { authorization: `Bearer ${reader.key}` } },
    );
    expect(await read.json()).toMatchObject({
      value: simulator.latestMint('component_access_token')?.value,
    });
    const page = await at(public_port, '/livez');
    expect(page.headers.get('connection')).toBe('close');
    service.child.kill('SIGINT');
    expect(await service.exit).toEqual({ code: 0, signal: null });
    expect(service.output().split('"message":"wxkeeper stopped"')).toHaveLength(2);
    await simulator.stop();
    const redis = new Redis(inject('redisUrl'));
    const left = await redis.keys(`${prefix}*`);
    if (left.length > 0) await redis.del(left);
    redis.disconnect();
  });

  it('ends by itself when the delay is over, and no sooner', async () => {
    const env = platformEnv({ urls: ['http://127.0.0.1:1'] }, inject('redisUrl'), prefix);
    const service = startService({ ...env, STOP_DELAY_SECONDS: '1' });
    await service.line('wxkeeper started');
    const begun = performance.now();
    service.child.kill('SIGTERM');
    expect(await service.exit).toEqual({ code: 0, signal: null });
    expect(performance.now() - begun).toBeGreaterThan(999);
  });
});

describe('row 152: the signal that opens the debugger of Node', () => {
  /** Says what was there when the signal was taken over. zod leaves its registry behind. */
  const WATCH = `const on=process.on;process.on=function(name,...rest){if(name==='SIGUSR1')process.stdout.write(JSON.stringify({level:'info',message:'taken over',loaded:'__zod_globalRegistry' in globalThis})+'\\n');return on.call(this,name,...rest)};process.once('exit',()=>process.stdout.write(JSON.stringify({level:'info',message:'at the end',loaded:'__zod_globalRegistry' in globalThis})+'\\n'))`;

  it('is ignored before anything is loaded, and nothing is loaded with the first file', async () => {
    const service = startService({}, WATCH);
    expect(await service.exit).toEqual({ code: 78, signal: null });
    expect(await service.line('taken over')).toMatchObject({ loaded: false });
    expect(await service.line('at the end')).toMatchObject({ loaded: true });
    const source = readFileSync(new URL('../../src/main.ts', import.meta.url), 'utf8');
    expect(source.match(/^import (?!type )/gm)).toBeNull();
  });

  it('opens nothing, however often it comes', async () => {
    const prefix = `test${randomBytes(6).toString('hex')}:`;
    const env = platformEnv({ urls: ['http://127.0.0.1:1'] }, inject('redisUrl'), prefix);
    const service = startService(env);
    await service.line('wxkeeper started');
    for (let count = 0; count < 20; count += 1) service.child.kill('SIGUSR1');
    service.child.kill('SIGTERM');
    expect(await service.exit).toEqual({ code: 0, signal: null });
    expect(service.output()).not.toContain('Debugger');
  });
});
