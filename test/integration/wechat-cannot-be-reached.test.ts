import { readFileSync } from 'node:fs';
import dns from 'node:dns';
import { connect, type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { callsSince, logged, read, statusOf, stored } from '../kit/observe.ts';
import {
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
  type TestPlatformOptions,
} from '../kit/platform.ts';
import { tokenMints } from '../kit/redis-trouble.ts';
import { FAILED, MINT_API, NEEDS_PERSON, REFRESHED, secondsUntilRenewed } from '../kit/scenario.ts';
import { createTcpProxy, type TcpProxy } from '../kit/tcp-proxy.ts';
import { secondsUntil } from '../kit/waiting.ts';

const pem = (name: string) =>
  readFileSync(new URL(`../fixtures/tls/localhost-test-${name}.pem`, import.meta.url));
const portOf = (url: string) => Number(new URL(url).port);

/** A minute to go until the tick that finds the token due; `enter` is told where WeChat listens. */
async function stationBeforeTick(
  options: TestPlatformOptions,
  enter: (simulatorPort: number) => void = () => undefined,
): Promise<TestPlatform> {
  const platform = await createTestPlatform(options);
  enter(portOf(platform.simulator.url));
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
  for (const minutes of [95, 14]) {
    await platform.simulator.pushTicket();
    await platform.settle();
    await platform.skip(minutes * MINUTE);
  }
  return platform;
}

/** The tick has come, and WeChat was not told anything: the stored value is held without a doubt. */
async function expectHeld(
  platform: TestPlatform,
  before: Awaited<ReturnType<typeof stored>>,
  since: number,
): Promise<void> {
  expect(callsSince(platform, MINT_API, since)).toEqual([]);
  expect(await stored(platform, TOKEN)).toEqual({ ...before, failures: 1 });
  expect(before.suspect).toBe(false);
  expect(await read(platform, TOKEN)).toMatchObject({
    status: 200,
    value: before.kept.value,
    seq: 1,
    state: 'due',
    source: 'redis',
  });
  const calls = logged(platform, 'call to WeChat failed').filter(({ api }) => api === MINT_API);
  expect(calls).toMatchObject([{ level: 'warn', fault: 'unreachable' }]);
  expect(logged(platform, FAILED, TOKEN.kind)).toMatchObject([
    { level: 'warn', kind: TOKEN.kind, state: 'due', failures: 1, failure: { class: 'retry' } },
  ]);
  const { credential, problems } = await statusOf(platform, TOKEN);
  expect(credential).toMatchObject({ state: 'due', failures_in_a_row: 1 });
  expect(credential.last_error?.message).toContain('no connection to WeChat');
  expect(credential.last_error?.advice).toMatch(/DNS.*TLS/);
  // The token, and the code that is asked for with it.
  const { advice } = credential.last_error ?? {};
  // One cause, so one problem, whichever of the two was tried.
  expect(problems).toMatchObject([{ code: 'wechat_unreachable', advice }]);
}

describe('row 35: the only host cannot be reached', () => {
  let platform: TestPlatform;
  let proxy: TcpProxy | undefined;
  afterEach(async () => {
    vi.restoreAllMocks();
    await platform.close();
    await proxy?.close();
    proxy = undefined;
  });

  it('because it refuses connections: warns, holds, and heals within seconds', async () => {
    platform = await stationBeforeTick({});
    const before = await stored(platform, TOKEN);
    const since = platform.clock.now();
    await platform.simulator.killHost(0);
    await platform.pass(MINUTE);
    await expectHeld(platform, before, since);
    await platform.simulator.reviveHost(0);
    // Nothing was sent, so nothing need be waited for.
    expect(await secondsUntilRenewed(platform, '1', 10)).toBeLessThanOrEqual(5);
    expect(tokenMints(platform)).toBe(2);
    await expectHealed(platform);
  });

  it('because its name is not known: the same', async () => {
    proxy = await createTcpProxy({ port: 1 });
    const wechat = proxy;
    // A name that this machine asks its resolver for, and that a test may connect to.
    const env = { WECHAT_API_BASE_URLS: `http://localhost:${wechat.port}` };
    platform = await stationBeforeTick({ env }, (port) => wechat.retarget({ port }));
    const before = await stored(platform, TOKEN);
    const since = platform.clock.now();
    const lookup = forgetNames();
    await platform.pass(MINUTE);
    expect(lookup).toHaveBeenCalled();
    await expectHeld(platform, before, since);
    vi.restoreAllMocks();
    expect(await secondsUntilRenewed(platform, '1', 10)).toBeLessThanOrEqual(5);
    expect(tokenMints(platform)).toBe(2);
    await expectHealed(platform);
  });
});

describe('row 35: the first of two hosts cannot be reached', () => {
  let platform: TestPlatform;
  let proxy: TcpProxy;
  afterEach(async () => {
    vi.restoreAllMocks();
    await platform.close();
    await proxy.close();
  });

  it.each([
    { name: 'refuses connections', fail: () => proxy.refuse() },
    { name: 'has a name that is not known', fail: () => void forgetNames() },
  ])('because it $name: the second one is asked in the same moment', async ({ fail }) => {
    proxy = await createTcpProxy({ port: 1 });
    const other = await createTcpProxy({ port: 1 });
    const urls = [`http://localhost:${proxy.port}`, other.url('http')];
    const env = { WECHAT_API_BASE_URLS: urls.join(',') };
    platform = await stationBeforeTick({ env }, (port) => {
      proxy.retarget({ port });
      other.retarget({ port });
    });
    expect(other.counters().connections).toBe(0);
    fail();
    await platform.pass(MINUTE);
    expect(other.counters().connections).toBeGreaterThan(0);
    expect(tokenMints(platform)).toBe(2);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    const failed = logged(platform, 'call to WeChat failed');
    expect(failed.find(({ api }) => api === MINT_API)).toMatchObject({
      level: 'warn',
      fault: 'unreachable',
      host: `localhost:${proxy.port}`,
    });
    expect(logged(platform, REFRESHED, TOKEN.kind)).toHaveLength(2);
    expect([...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)]).toEqual([]);
    expect((await statusOf(platform, TOKEN)).credential).toMatchObject({
      state: 'fresh',
      failures_in_a_row: 0,
    });
    await expectHealed(platform);
    await other.close();
  });
});

describe('row 36: the certificate is not good', () => {
  let platform: TestPlatform;
  let server: tls.Server;
  afterEach(async () => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    await platform.close();
    server.close();
  });

  it.each([
    { name: 'has expired', spoil: () => show('expired-cert'), code: 'CERT_HAS_EXPIRED' },
    {
      name: "is somebody else's",
      spoil: () => show('other-name-cert'),
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    },
    { name: 'is one that nobody vouches for', spoil: () => vi.restoreAllMocks(), code: undefined },
  ])('because it $name: nothing is sent, the value is held', async ({ spoil, code }) => {
    trust('cert', 'expired-cert', 'other-name-cert');
    let simulatorPort = 0;
    let bytesSent = 0;
    const refusals: unknown[] = [];
    server = tls.createServer({ key: pem('key'), cert: pem('cert') }, (socket) => {
      socket.on('data', ({ length }: Buffer) => (bytesSent += length));
      socket.on('error', () => socket.destroy());
      const wechat = connect(simulatorPort, '127.0.0.1');
      wechat.on('error', () => socket.destroy());
      socket.pipe(wechat).pipe(socket);
    });
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const env = { WECHAT_API_BASE_URLS: `https://localhost:${port}` };
    platform = await stationBeforeTick({ env }, (one) => (simulatorPort = one));
    const before = await stored(platform, TOKEN);
    const since = platform.clock.now();
    expect(before.kept.seq).toBe('1');
    expect(bytesSent).toBeGreaterThan(0);

    // The switch that Node.js has is none for us.
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    bytesSent = 0;
    spoil();
    if (code !== undefined) refusals.push(await handshake(port));
    await platform.pass(MINUTE);
    expect(refusals).toEqual(code === undefined ? [] : [code]);
    expect(bytesSent).toBe(0);
    await expectHeld(platform, before, since);

    // It becomes a person's business while the value still lives.
    await secondsUntil(platform, 9 * 60, () => {
      expect(logged(platform, NEEDS_PERSON, TOKEN.kind)[0]).toMatchObject({
        level: 'error',
        state: 'urgent',
        failure: { class: 'retry' },
      });
      return Promise.resolve();
    });
    expect(bytesSent).toBe(0);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: before.kept.value });
    if (code === undefined) trust('cert');
    else show('cert');
    expect(await secondsUntilRenewed(platform, '1', 30)).toBeLessThanOrEqual(16);
    expect(tokenMints(platform)).toBe(2);
    await expectHealed(platform);
  });

  function show(cert: string): void {
    server.setSecureContext({ key: pem('key'), cert: pem(cert) });
  }
});

/** From now on no name has an address. */
function forgetNames() {
  return vi.spyOn(dns, 'lookup').mockImplementation((name: string, ...rest: unknown[]) => {
    const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
    process.nextTick(rest.at(-1) as (error: Error) => void, error);
  });
}

/** Whoever opens a TLS connection from now on takes these for authorities, as if the machine did. */
function trust(...names: string[]): void {
  const real = tls.createSecureContext;
  vi.spyOn(tls, 'createSecureContext').mockImplementation((options) =>
    real({ ...options, ca: names.map(pem) }),
  );
}

/** Why a client that trusts what the service trusts refuses the server on this port. */
function handshake(port: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: 'localhost', port, rejectUnauthorized: true });
    socket.once('secureConnect', () => {
      socket.destroy();
      reject(new Error('the certificate was taken'));
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
  });
}
