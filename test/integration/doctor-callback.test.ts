import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { examineCallback } from '../../src/commands/doctor/callback.ts';
import type { InstallationOptions } from '../../src/commands/doctor/installation.ts';
import { examineWechat } from '../../src/commands/doctor/wechat.ts';
import { admitPlatform, lines, troubles } from '../kit/doctor.ts';
import { COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';

/** What the doctor sees on the way to PUBLIC_BASE_URL, and to WeChat when TLS is in it. */

const PATH = `/callback/${COMPONENT.appid}`;
const file = (name: string) =>
  readFileSync(new URL(`../fixtures/tls/localhost-test-${name}.pem`, import.meta.url), 'utf8');

let platform: TestPlatform;
beforeAll(async () => {
  platform = await createTestPlatform();
});
afterAll(() => platform.close());

async function look(url: string, options: InstallationOptions = {}) {
  const lookup = () => Promise.resolve(['127.0.0.1']);
  const installation = await admitPlatform(
    platform,
    { publicBaseUrl: url },
    { lookup, ...options },
  );
  return examineCallback(installation);
}

/** Something in front of wxkeeper that answers in its own way. */
async function serve(listener: http.RequestListener, certificate?: string): Promise<string> {
  const server =
    certificate === undefined
      ? http.createServer(listener)
      : https.createServer({ key: file('key'), cert: file(certificate) }, listener);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return certificate === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`;
}

/** A reverse proxy as it should be, but for what a test does to it. */
function proxy(spoil?: (path: string, response: http.ServerResponse) => boolean) {
  return (request: http.IncomingMessage, response: http.ServerResponse) => {
    if (spoil?.(request.url ?? '', response) === true) return;
    http.get(platform.publicUrl(request.url), (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
  };
}

const WARNED = 'warn callback DNS name -';

describe('the callback', () => {
  it('is well through TLS: name, certificate, sign of life and the signed question', async () => {
    const url = await serve(proxy(), 'cert');
    const checks = await look(url, { ca: file('cert') });
    expect(troubles(checks)).toEqual([WARNED]);
    expect(checks.map(({ name }) => name.en)).toEqual(['DNS name', 'certificate', '/livez', PATH]);
    expect(checks[1]?.seen.en).toMatch(/^valid for \d+ more days/);
  });

  it.each([
    ['nobody vouches for', 'cert', undefined, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['has expired', 'expired-cert', 'expired-cert', 'CERT_HAS_EXPIRED'],
    ['is of another name', 'other-name-cert', 'other-name-cert', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('has a certificate that %s', async (_, certificate, ca, code) => {
    const url = await serve(proxy(), certificate);
    const checks = await look(url, { ca: ca === undefined ? undefined : file(ca) });
    expect(troubles(checks)).toEqual(['failed callback certificate -']);
    expect(checks[0]?.seen.en).toContain(`the certificate is not valid (${code})`);
  });

  it('has a name that nobody knows', async () => {
    const lookup = () => Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' }));
    const checks = await look('https://wx.example.com', { lookup });
    expect(troubles(checks)).toEqual(['failed callback DNS name -']);
    expect(checks[0]?.seen.en).toMatch(/^the name is not found \(ENOTFOUND\) \(as seen from this/);
  });

  it('is reached by nobody', async () => {
    const checks = await look('http://127.0.0.1:1');
    expect(troubles(checks)).toEqual(['failed callback connection -']);
    expect(checks[0]?.advice?.en).toMatch(/port 443/);
  });

  it.each<[string, (path: string, response: http.ServerResponse) => boolean, string, RegExp]>([
    ['a proxy without wxkeeper', (_, r) => !!r.writeHead(502).end(), '/livez', /^status 502/],
    ['another site', (_, r) => !!r.end('<html>'), '/livez', /^answered, but not by wxkeeper/],
    [
      'something that hangs up',
      (_, r) => !!r.socket?.destroy(),
      '/livez',
      /^connected, but no answer/,
    ],
    [
      'a proxy that redirects',
      (path, r) => path !== '/livez' && !!r.writeHead(301, { location: '/' }).end(),
      PATH,
      /^status 301/,
    ],
    [
      'a wxkeeper that does not know the appid',
      (path, r) => path !== '/livez' && !!r.writeHead(404).end(),
      PATH,
      /^status 404/,
    ],
    [
      'a page for every path',
      (path, r) => path !== '/livez' && !!r.end('welcome'),
      PATH,
      /^answered, but not by wxkeeper/,
    ],
  ])('leads to %s', async (_, spoil, name, says) => {
    const checks = await look(await serve(proxy(spoil)));
    const bad = checks.filter(({ state }) => state === 'failed');
    expect(bad.map((one) => one.name.en)).toEqual([name]);
    expect(bad[0]?.seen.en).toMatch(says);
    expect(bad[0]?.advice?.en).toMatch(/\S/);
  });

  it('leads to a wxkeeper with another Token', async () => {
    const [component] = platform.config.components;
    if (component === undefined) throw new Error('no component');
    const components = [{ ...component, token: 'anotherToken' }];
    const installation = await admitPlatform(platform, { components });
    const checks = await examineCallback(installation);
    expect(troubles(checks)).toEqual([WARNED, `failed callback ${PATH} -`]);
    expect(checks.at(-1)?.advice?.en).toMatch(/COMPONENT_TOKEN/);
  });
});

describe('a host of WeChat', () => {
  it.each([
    ['has a certificate that nobody vouches for', 'cert', /certificate is not valid \(DEPTH_ZERO/],
    ['is not found', undefined, /name is not found \(ENOTFOUND\)/],
  ])('%s', async (_, certificate, says) => {
    const url =
      certificate === undefined ? 'https://api.example.com' : await serve(proxy(), certificate);
    const lookup = (host: string) =>
      host === 'localhost'
        ? Promise.resolve(['127.0.0.1'])
        : Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' }));
    const installation = await admitPlatform(platform, { wechatApiBaseUrls: [url] }, { lookup });
    const [line] = lines((await examineWechat(installation)).checks, 'wechat');
    expect(line).toMatchObject({ state: 'failed', code: 'wechat_unreachable' });
    expect(line?.seen.en).toMatch(says);
  });

  it.each([
    ['is mute', () => undefined, /no answer \(ETIMEDOUT\)/],
    ['never comes to an end', drip, /no answer \(ETIMEDOUT\)/],
  ])('%s: nobody waits for ever', async (_, answers, says) => {
    const server = http.createServer(answers).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => server.close().closeAllConnections());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const installation = await admitPlatform(
      platform,
      { wechatApiBaseUrls: [url] },
      { stepMs: 100 },
    );
    const visit = await examineWechat(installation);
    expect(visit.isThere).toBe(false);
    expect(visit.checks[0]?.seen.en).toMatch(says);
  });

  it('has a name server that never answers', async () => {
    const lookup = () => new Promise<string[]>(() => undefined);
    const installation = await admitPlatform(platform, {}, { stepMs: 50, lookup });
    const [line] = (await examineWechat(installation)).checks;
    expect(line?.seen.en).toMatch(/name is not found \(ETIMEDOUT\)/);
  });

  it('has a first address that leads nowhere, as without IPv6: the next one serves', async () => {
    const lookup = () => Promise.resolve(['127.0.0.2', '127.0.0.1']);
    // An address is not looked up.
    const urls = [platform.simulator.url.replace('127.0.0.1', 'localhost')];
    const installation = await admitPlatform(platform, { wechatApiBaseUrls: urls }, { lookup });
    expect(troubles((await examineWechat(installation)).checks)).toEqual([]);
  });
});

/** Byte by byte, so that the connection is never idle. */
function drip(_request: http.IncomingMessage, response: http.ServerResponse): void {
  response.writeHead(200, { 'content-length': 1_000_000 });
  const timer = setInterval(() => response.write(' '), 20);
  response.on('close', () => clearInterval(timer));
}
