import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadConfig, secretsOf } from '../../src/config/load.ts';
import { parseNoProxy } from '../../src/lib/no-proxy.ts';
import { parseProxy, type Proxies } from '../../src/lib/proxy.ts';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { CALL_DEADLINE_MS, createWechatApi, WechatError } from '../../src/wechat/client.ts';
import { explainCall } from '../../src/wechat/failure.ts';
import { createManualClock, type ManualClock } from '../kit/clock.ts';
import {
  createConnectProxy,
  type ConnectProxy,
  type ProxyBehaviour,
} from '../kit/connect-proxy.ts';
import { jsonRoute, sendMessage } from '../kit/delivering.ts';
import { lines, examinePlatform, troubles } from '../kit/doctor.ts';
import { expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { collectUnmasked, type UnmaskedLines } from '../kit/logs.ts';
import { callsSince, logged, read, statusOf, stored } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { MINT_API, secondsUntilRenewed } from '../kit/scenario.ts';
import { tokenMints } from '../kit/redis-trouble.ts';
import { startTarget } from '../kit/targets.ts';
import { POLLING } from '../kit/waiting.ts';

/** WeChat is only reached through a proxy: what goes through it, and what it can do wrong. */

const LOGIN = ['wx keeper', 'p@ss:w0rd/canary'] as const;
const pem = (name: string) =>
  readFileSync(new URL(`../fixtures/tls/localhost-test-${name}.pem`, import.meta.url));

async function startProxy(
  ...options: Parameters<typeof createConnectProxy>
): Promise<ConnectProxy> {
  const proxy = await createConnectProxy(...options);
  onTestFinished(() => proxy.stop());
  return proxy;
}

/** As the settings would have them; one for both schemes. */
function proxiesOf(url: string, noProxy = ''): Proxies {
  const read = parseProxy(url);
  if ('fault' in read) throw new Error(read.fault);
  const { proxy } = read;
  return { httpsProxy: proxy, httpProxy: proxy, noProxy: parseNoProxy(noProxy) ?? [] };
}

describe('a service behind a proxy', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  const start = async (proxy: ConnectProxy, env: Record<string, string> = {}) => {
    platform = await createTestPlatform({
      simulator: { hosts: 2 },
      env: { HTTP_PROXY: proxy.urlWithLogin, ...env },
    });
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    await platform.simulator.pushTicket();
    await platform.settle();
  };
  const hostOf = (index: number) => new URL(platform.simulator.urls[index] ?? '').host;

  it('calls WeChat through it, each time with its login, and no other way', async () => {
    const proxy = await startProxy({ login: LOGIN });
    await start(proxy);
    expect((await read(platform, TOKEN)).status).toBe(200);
    expect(platform.simulator.ledger.calls.length).toBeGreaterThan(1);
    expect(proxy.asked).toHaveLength(platform.simulator.ledger.calls.length);
    const authorization = `Basic ${Buffer.from(LOGIN.join(':')).toString('base64')}`;
    for (const one of proxy.asked) {
      expect(one).toEqual({ host: hostOf(0), authorization, connection: undefined });
    }
    expect(proxy.open()).toBe(0);
    expect(logged(platform, 'wxkeeper started')[0]).toMatchObject({
      proxy: new URL(proxy.url).host,
    });
  });

  it('calls the hosts in NO_PROXY directly', async () => {
    const proxy = await startProxy();
    await start(proxy, { NO_PROXY: 'example.com,127.0.0.0/8' });
    expect((await read(platform, TOKEN)).status).toBe(200);
    expect(proxy.asked).toEqual([]);
    expect(logged(platform, 'wxkeeper started')[0]).not.toHaveProperty('proxy');
  });

  it('does not send deliveries through it', async () => {
    const [proxy, target] = await Promise.all([startProxy(), startTarget()]);
    onTestFinished(() => target.close());
    platform = await createTestPlatform({
      routes: [jsonRoute(target)],
      env: { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url },
    });
    await sendMessage(platform);
    await platform.settle();
    await vi.waitFor(() => expect(target.requests).toHaveLength(1), POLLING);
    expect(proxy.asked.map(({ host }) => host)).not.toContain(new URL(target.url).host);
  });

  const incidents: [string, ProxyBehaviour | 'is gone', RegExp][] = [
    ['is gone', 'is gone', /no connection to the proxy of HTTPS_PROXY/],
    ['wants another login', 407, /refuses the user and password \(407\)/],
    ['lets nothing through', 403, /does not let through to WeChat/],
    ['cannot reach WeChat', 502, /the proxy of HTTPS_PROXY cannot connect to WeChat/],
    ['is no proxy', 'speaks another language', /does not answer as an HTTP proxy does/],
    ['hangs up', 'hangs up', /hung up/],
  ];
  it.each(incidents)(
    'row 176: the proxy %s: nothing is sent, the value is held, the proxy is named, and it heals',
    async (_, how, says) => {
      const proxy = await startProxy({ login: LOGIN });
      await start(proxy);
      await platform.skip(95 * MINUTE);
      await platform.simulator.pushTicket();
      await platform.settle();
      await platform.skip(14 * MINUTE);
      const before = await stored(platform, TOKEN);
      const since = platform.clock.now();
      if (how === 'is gone') await proxy.stop();
      else proxy.behave(how);
      await platform.pass(MINUTE);
      expect(callsSince(platform, MINT_API, since)).toEqual([]);
      // A mint that nobody doubts: WeChat was told nothing.
      expect(await stored(platform, TOKEN)).toMatchObject({ kept: before.kept, suspect: false });
      const { credential, problems } = await statusOf(platform, TOKEN);
      expect(credential.last_error?.message).toMatch(says);
      expect(problems).toMatchObject([
        { code: 'wechat_unreachable', advice: credential.last_error?.advice },
      ]);
      expect(problems[0]?.message).toMatch(says);
      const zh = await platform.internal('/status?lang=zh');
      expect(await zh.text()).toMatch(/HTTPS_PROXY 指定的/);
      const text = JSON.stringify([platform.logs, problems, credential]);
      for (const secret of secretsOf(platform.config)) expect(text).not.toContain(secret);

      if (how === 'is gone') await proxy.start();
      else proxy.behave('works');
      expect(await secondsUntilRenewed(platform, '1', 20)).toBeLessThanOrEqual(16);
      expect(tokenMints(platform)).toBe(2);
      await expectHealed(platform);
    },
  );

  it('row 176: the tunnel ends behind the request: a doubtful mint, as without a proxy', async () => {
    const proxy = await startProxy();
    await start(proxy);
    await platform.skip(95 * MINUTE);
    await platform.simulator.pushTicket();
    await platform.settle();
    await platform.skip(14 * MINUTE);
    proxy.behave('cuts late');
    await platform.pass(MINUTE);
    expect((await stored(platform, TOKEN)).suspect).toBe(true);
    proxy.behave('works');
    await secondsUntilRenewed(platform, '1', 120);
    await platform.pass(2 * MINUTE);
    await expectHealed(platform);
  });
});

describe('one call through a proxy', () => {
  let clock: ManualClock;
  let simulator: Simulator;
  let given: UnmaskedLines;
  beforeEach(async () => {
    clock = createManualClock();
    simulator = createSimulator({ components: [COMPONENT], clock, pushing: false, hosts: 2 });
    await simulator.start();
  });
  afterEach(() => simulator.stop());

  const call = (proxies: Proxies, baseUrls = simulator.urls) => {
    const collected = collectUnmasked();
    ({ given } = collected);
    return createWechatApi({ baseUrls, proxies, clock, log: collected.log })({
      name: MINT_API,
      path: `/cgi-bin/component/${MINT_API}`,
      body: {
        component_appid: COMPONENT.appid,
        component_appsecret: COMPONENT.secret,
        component_verify_ticket: simulator.issueTicket(),
      },
      expects: TOKEN.kind,
      issuesToken: true,
    });
  };
  const failure = async (calling: Promise<unknown>): Promise<WechatError['facts']> => {
    const error: unknown = await calling.catch((thrown: unknown) => thrown);
    if (error instanceof WechatError) return error.facts;
    throw new Error('it did not fail', { cause: error });
  };
  const faultsLogged = () =>
    given.filter(([level]) => level === 'warn').map(([, , fields]) => fields?.fault);

  it.each([
    [407, 'proxy_login', 1],
    [400, 'proxy_refused', 2],
    [403, 'proxy_refused', 2],
    [500, 'proxy_failed', 2],
    [503, 'proxy_failed', 2],
    [302, 'proxy_garbled', 1],
    ['hangs up', 'proxy_garbled', 1],
    ['speaks another language', 'proxy_garbled', 1],
    ['never ends its headers', 'proxy_garbled', 1],
    ['says too much', 'proxy_garbled', 1],
  ] as const)('row 176: a proxy with %s: %s, after %i hosts', async (how, fault, hosts) => {
    const proxy = await startProxy();
    proxy.behave(how);
    const facts = await failure(call(proxiesOf(proxy.url)));
    expect(facts).toMatchObject({ fault, class: 'retry', mayHaveRun: false });
    expect(faultsLogged()).toEqual(Array<string>(hosts).fill(fault));
    expect(proxy.asked).toHaveLength(hosts);
    expect(simulator.ledger.calls).toEqual([]);
    expect(explainCall(facts).advice.zh).toMatch(/代理/);
    expect(clock.pendingTimers()).toBe(0);
    await vi.waitFor(() => expect(proxy.open()).toBe(0), POLLING);
  });

  it('row 176: a proxy that is not there: told at once, and asked once', async () => {
    const proxy = await startProxy();
    await proxy.stop();
    const facts = await failure(call(proxiesOf(proxy.url)));
    expect(facts).toMatchObject({ fault: 'proxy_unreachable', mayHaveRun: false });
    expect(faultsLogged()).toEqual(['proxy_unreachable']);
    expect(given.at(-1)?.[2]).toMatchObject({ proxy: new URL(proxy.url).host });
  });

  it('a proxy that is not there: hosts past it are asked all the same', async () => {
    const proxy = await startProxy();
    await proxy.stop();
    const [, second = ''] = simulator.urls;
    const { fields } = await call(proxiesOf(proxy.url, new URL(second).host));
    expect(fields).toHaveProperty(TOKEN.kind);
    expect(simulator.ledger.calls.map(({ host }) => host)).toEqual([1]);
  });

  it('a proxy that lets through to the second host only: that one is asked', async () => {
    const second = () => [new URL(simulator.urls[1] ?? '').host];
    const proxy = await startProxy({ allowed: second });
    const { fields, mayHaveRunTwice } = await call(proxiesOf(proxy.url));
    expect(fields).toHaveProperty(TOKEN.kind);
    expect(mayHaveRunTwice).toBe(false);
    expect(faultsLogged()).toEqual(['proxy_refused']);
  });

  it('through a tunnel that leads nowhere: the proxy says so', async () => {
    const proxy = await startProxy();
    await simulator.killHost(0);
    expect(await call(proxiesOf(proxy.url))).toMatchObject({ mayHaveRunTwice: false });
    expect(faultsLogged()).toEqual(['proxy_failed']);
  });

  it.each(['hangs', 'drips'] as const)(
    'row 176: a proxy that %s: given up after 5 s, and all hosts after 8 s',
    async (how) => {
      const proxy = await startProxy({ clock });
      proxy.behave(how);
      const failing = failure(call(proxiesOf(proxy.url)));
      await vi.waitFor(() => expect(proxy.asked).toHaveLength(1), POLLING);
      await clock.advance(4_999);
      expect(faultsLogged()).toEqual([]);
      await clock.advance(1);
      await vi.waitFor(() => expect(proxy.asked).toHaveLength(2), POLLING);
      expect(faultsLogged()).toEqual(['proxy_timeout']);
      await clock.advance(CALL_DEADLINE_MS - 5_000);
      expect(await failing).toMatchObject({ fault: 'proxy_timeout', mayHaveRun: false });
      expect(simulator.ledger.calls).toEqual([]);
      await vi.waitFor(() => expect(proxy.open()).toBe(0), POLLING);
    },
  );

  it('row 176: a tunnel that ends before or behind the request: it may have run', async () => {
    const proxy = await startProxy();
    for (const how of ['cuts', 'cuts late'] as const) {
      proxy.behave(how);
      const facts = await failure(call(proxiesOf(proxy.url)));
      // Nobody knows what a proxy has passed on, and no other host is asked.
      expect(facts).toMatchObject({ mayHaveRun: true });
      expect(faultsLogged()).toHaveLength(1);
    }
  });

  it('row 176: WeChat hangs behind a tunnel: a timeout, as without a proxy', async () => {
    const proxy = await startProxy();
    simulator.addFault({ api: MINT_API, afterMint: true, fault: { type: 'hang' } });
    const failing = failure(call(proxiesOf(proxy.url)));
    const mints = () => simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind);
    await vi.waitFor(() => expect(mints()).toHaveLength(1), POLLING);
    await clock.advance(CALL_DEADLINE_MS);
    expect(await failing).toMatchObject({ fault: 'timeout', mayHaveRun: true });
    expect(clock.pendingTimers()).toBe(0);
    await vi.waitFor(() => expect(proxy.open()).toBe(0), POLLING);
  });
});

describe('one call over TLS through a proxy', () => {
  let server: Server;
  let base = '';
  let requests = 0;
  let resumed: boolean[] = [];
  let clock: ManualClock;
  beforeEach(async () => {
    [requests, resumed, clock] = [0, [], createManualClock()];
    server = createServer({ key: pem('key'), cert: pem('cert') }, (_request, response) => {
      requests += 1;
      response.end('{"errcode":0}');
    });
    server.on('secureConnection', (socket) => resumed.push(socket.isSessionReused()));
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    base = `https://localhost:${(server.address() as AddressInfo).port}`;
    trust('cert');
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    server.closeAllConnections();
    server.close();
  });

  const call = (proxies: Proxies) => {
    const { log } = collectUnmasked();
    const api = createWechatApi({ baseUrls: [base], proxies, clock, log });
    return api({ name: 'any', path: '/', body: { secret: 1 }, issuesToken: true });
  };
  const failure = (proxies: Proxies) =>
    call(proxies).then(
      () => 'none',
      (error: unknown) => (error as WechatError).facts,
    );

  it.each(['http', 'https'])('%s proxy: verified, resumed, closed', async (scheme) => {
    const tlsOptions = { key: pem('key'), cert: pem('cert') };
    const proxy = await startProxy({
      login: LOGIN,
      ...(scheme === 'https' && { tls: tlsOptions }),
    });
    expect(new URL(proxy.url).protocol).toBe(`${scheme}:`);
    for (let n = 0; n < 3; n += 1) {
      expect(await call(proxiesOf(proxy.urlWithLogin))).toMatchObject({ fields: { errcode: 0 } });
    }
    expect(requests).toBe(3);
    expect(resumed).toEqual([false, true, true]);
    expect(proxy.asked.map(({ host }) => host)).toEqual(Array(3).fill(new URL(base).host));
    expect(proxy.bytesSent()).toBeGreaterThan(0);
    await vi.waitFor(() => expect(proxy.open()).toBe(0), POLLING);
    expect(clock.pendingTimers()).toBe(0);
  });

  it('hosts in NO_PROXY: as ever, with the sessions of before', async () => {
    const proxy = await startProxy();
    await call(proxiesOf(proxy.url));
    await call(proxiesOf(proxy.url, '.localhost'));
    await call(proxiesOf(proxy.url, new URL(base).host));
    expect(proxy.asked).toHaveLength(1);
    expect(resumed).toEqual([false, true, true]);
    trust('expired-cert');
    server.setSecureContext({ key: pem('key'), cert: pem('other-name-cert') });
    const facts = { fault: 'unreachable', mayHaveRun: false };
    expect(await failure(proxiesOf(proxy.url, '*'))).toMatchObject(facts);
    expect(requests).toBe(3);
  });

  it.each(['other-name-cert', 'expired-cert', 'stranger'])(
    'row 176: a proxy that shows another certificate (%s): nothing is said to it',
    async (name) => {
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
      const proxy = await startProxy();
      if (name === 'stranger') vi.restoreAllMocks();
      else {
        trust('cert', name);
        server.setSecureContext({ key: pem('key'), cert: pem(name) });
      }
      expect(await failure(proxiesOf(proxy.url))).toMatchObject({
        fault: 'proxy_tls',
        mayHaveRun: false,
      });
      expect(requests).toBe(0);
      await vi.waitFor(() => expect(proxy.open()).toBe(0), POLLING);
    },
  );

  it('row 176: a tunnel that ends during the handshake: nothing was sent', async () => {
    const proxy = await startProxy();
    proxy.behave('cuts');
    const facts = { fault: 'proxy_tls', mayHaveRun: false };
    expect(await failure(proxiesOf(proxy.url))).toMatchObject(facts);
    expect(requests).toBe(0);
    expect(clock.pendingTimers()).toBe(0);
  });

  it('row 176: an https proxy with a bad certificate is told nothing', async () => {
    const bad = { key: pem('key'), cert: pem('other-name-cert') };
    const proxy = await startProxy({ login: LOGIN, tls: bad });
    const facts = { fault: 'proxy_unreachable', mayHaveRun: false };
    expect(await failure(proxiesOf(proxy.urlWithLogin))).toMatchObject(facts);
    expect(proxy.asked).toEqual([]);
  });

  it('row 176: http:// where the proxy speaks https, and the other way round', async () => {
    const secure = await startProxy({ tls: { key: pem('key'), cert: pem('cert') } });
    const plain = await startProxy();
    const facts = { mayHaveRun: false };
    const asHttp = proxiesOf(secure.url.replace('https:', 'http:'));
    expect(await failure(asHttp)).toMatchObject({ fault: 'proxy_garbled', ...facts });
    const asHttps = proxiesOf(plain.url.replace('http:', 'https:'));
    expect(await failure(asHttps)).toMatchObject({ fault: 'proxy_unreachable', ...facts });
  });

  it('alerts to https webhooks go through it, too', async () => {
    const proxy = await startProxy({ login: LOGIN });
    const platform = await createTestPlatform({
      env: {
        HTTPS_PROXY: proxy.urlWithLogin,
        ALERT_WEBHOOK_URL: `${base}/hook`,
        ALERT_WEBHOOK_KIND: 'json',
      },
    });
    onTestFinished(() => platform.close());
    await platform.settle();
    await platform.pass(3 * MINUTE);
    expect(requests).toBeGreaterThan(0);
    expect(proxy.asked).toHaveLength(requests);
    expect(proxy.asked[0]?.host).toBe(new URL(base).host);
    // WeChat is on http here, and there is no HTTP_PROXY.
    expect(platform.simulator.ledger.calls.length).toBeGreaterThan(0);
  });
});

describe('the doctor', () => {
  let platform: TestPlatform;
  let proxy: ConnectProxy;
  beforeEach(async () => {
    proxy = await createConnectProxy({ login: LOGIN });
    platform = await createTestPlatform({
      ticket: true,
      simulator: { hosts: 2 },
      env: { HTTP_PROXY: proxy.urlWithLogin },
    });
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await platform.close();
    await proxy.stop();
  });

  it('says which way calls go, and that the proxy lets them through', async () => {
    const before = proxy.asked.length;
    const checks = await examinePlatform(platform);
    const [way, tried] = lines(checks, 'outgoing');
    const { origin, host } = new URL(proxy.url);
    expect(way?.seen.en).toBe(
      `through ${origin} (HTTP_PROXY, with a user): ${platform.simulator.urls.map((url) => new URL(url).host).join(', ')}`,
    );
    expect(tried).toMatchObject({ state: 'ok', name: { en: `proxy ${host}` } });
    expect(lines(checks, 'wechat')[0]?.seen.en).toMatch(/^CONNECT \d+ ms, HTTP \d+ ms$/);
    expect(troubles(checks).filter((one) => /outgoing|wechat/.test(one))).toEqual([]);
    expect(proxy.asked.length).toBeGreaterThan(before + 4);
    const text = JSON.stringify(checks);
    for (const secret of secretsOf(platform.config)) expect(text).not.toContain(secret);
  });

  it('says which hosts go past it', async () => {
    const [, second = ''] = platform.simulator.urls;
    const noProxy = parseNoProxy(new URL(second).host) ?? [];
    const checks = await examinePlatform(platform, { noProxy });
    expect(lines(checks, 'outgoing')[0]?.seen.zh).toMatch(
      /^经 http:.*（HTTP_PROXY，带用户名）：.*；直接连接：/,
    );
    expect(lines(checks, 'wechat')[1]?.seen.en).toMatch(/^DNS/);
    const without = await examinePlatform(platform, { httpProxy: undefined });
    expect(lines(without, 'outgoing').map(({ seen }) => seen.en)).toEqual([
      expect.stringMatching(/^directly: /),
    ]);
  });

  it.each([
    ['is gone', /no connection to the proxy.*ECONNREFUSED/, 'skipped'],
    [407, /407.*proxy_login.*status 407/, 'skipped'],
    ['speaks another language', /does not answer as an HTTP proxy does/, 'skipped'],
    [403, /does not let through.*status 403/, 'failed'],
    [502, /cannot connect to WeChat.*status 502/, 'failed'],
    ['hangs', /does not answer in time/, 'failed'],
  ] as const)('row 176: the proxy %s, and it says so', async (how, says, host) => {
    if (how === 'is gone') await proxy.stop();
    else proxy.behave(how);
    const checks = await examinePlatform(platform, {}, { stepMs: 500 });
    const tried = lines(checks, 'outgoing')[1];
    expect(tried).toMatchObject({ state: 'failed', code: 'wechat_unreachable' });
    expect(tried?.seen.en).toMatch(says);
    expect(tried?.advice?.zh).toMatch(/代理/);
    expect(lines(checks, 'wechat')[0]).toMatchObject({ state: host });
    expect(lines(checks, 'whitelist')[0]).toMatchObject({ state: 'skipped' });
    const text = JSON.stringify(checks);
    for (const secret of secretsOf(platform.config)) expect(text).not.toContain(secret);
  });

  it('tries TLS through it, and names a certificate that is not good', async () => {
    const server = createServer({ key: pem('key'), cert: pem('cert') }, (_, response) => {
      response.end('{"errcode":41001}');
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => server.close().closeAllConnections());
    const url = `https://localhost:${(server.address() as AddressInfo).port}`;
    const settings = { wechatApiBaseUrls: [url], httpsProxy: platform.config.httpProxy };
    const ca = pem('cert').toString();
    const good = lines(await examinePlatform(platform, settings, { ca }), 'wechat')[0];
    expect(good?.seen.en).toMatch(/^CONNECT \d+ ms, TLS \d+ ms, HTTP \d+ ms$/);
    const bad = lines(await examinePlatform(platform, settings), 'wechat')[0];
    expect(bad?.seen.en).toMatch(/the certificate is not valid/);
    proxy.behave('cuts');
    const cut = lines(await examinePlatform(platform, settings, { ca }), 'wechat')[0];
    expect(cut?.seen.en).toMatch(/no TLS connection to WeChat through the proxy/);
  });
});

it('no secret of a proxy is among what a configuration shows', () => {
  const config = loadConfig({
    REDIS_URL: 'redis://127.0.0.1:6379',
    COMPONENT_APPID: COMPONENT.appid,
    COMPONENT_APPSECRET: COMPONENT.secret,
    COMPONENT_TOKEN: COMPONENT.token,
    COMPONENT_ENCODING_AES_KEY: COMPONENT.encodingAesKey,
    https_proxy: `http://${LOGIN.map(encodeURIComponent).join(':')}@proxy.example:3128`,
  });
  expect(secretsOf(config)).toEqual(
    expect.arrayContaining([
      LOGIN[1],
      encodeURIComponent(LOGIN[1]),
      Buffer.from(LOGIN.join(':')).toString('base64'),
    ]),
  );
  expect(config.httpsProxy?.url.href).toBe('http://proxy.example:3128/');
});

/** Whoever opens a TLS connection from now on takes these for authorities, as if the machine did. */
function trust(...names: string[]): void {
  vi.restoreAllMocks();
  const real = tls.createSecureContext;
  vi.spyOn(tls, 'createSecureContext').mockImplementation((options) =>
    // A server's own come with a certificate.
    options?.cert === undefined ? real({ ...options, ca: names.map(pem) }) : real(options),
  );
}
