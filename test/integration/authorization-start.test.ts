import { afterEach, describe, expect, it } from 'vitest';
import { KeeperError } from '../../src/lib/errors.ts';
import { closePages, COMPONENT, linksOf, openPages } from '../kit/authorization-pages.ts';
import { HOUR } from '../kit/platform.ts';

const PHONE_IN_WECHAT = 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0) Mobile/15E148 MicroMessenger/8.0';
const PHONE = 'Mozilla/5.0 (Linux; Android 14) Chrome/120 Mobile Safari/537.36';
const COMPUTER = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120 Safari/537.36';
const WECHAT_ON_COMPUTER = `${COMPUTER} MicroMessenger/7.0 WindowsWechat`;

afterEach(closePages);

describe('the start page', () => {
  it('leads to WeChat with a code of its own for every visit, and back to the done page', async () => {
    const { link, start, asked } = await openPages();
    const token = link({ authType: 2, categoryIds: [1, 19] });
    const codes = [];
    for (const agent of [COMPUTER, PHONE_IN_WECHAT]) {
      const { status, text } = await start(token, { 'user-agent': agent });
      expect(status).toBe(200);
      const addresses = linksOf(text).filter((one) => one !== '');
      expect(addresses).toHaveLength(2);
      const seen = addresses.map((one) => new URL(one));
      expect(seen.map(({ host }) => host).sort()).toEqual(['mp.example', 'open.example']);
      for (const { searchParams } of seen) {
        expect(searchParams.get('redirect_uri')).toBe(
          `https://wx.example.com/authorize/${COMPONENT}/done?link=${token}`,
        );
        expect(searchParams.get('auth_type')).toBe('2');
        expect(searchParams.get('category_id_list')).toBe('1|19');
      }
      codes.push(...new Set(seen.map((one) => one.searchParams.get('pre_auth_code'))));
    }
    expect(codes).toEqual(['preauthcode@@@1', 'preauthcode@@@2']);
    expect(asked.preAuthCodes).toBe(2);
  });

  it.each([
    ['a computer', COMPUTER, ['mp.example', 'open.example'], false],
    ['WeChat on a computer', WECHAT_ON_COMPUTER, ['mp.example', 'open.example'], false],
    ['a phone inside WeChat', PHONE_IN_WECHAT, ['open.example', 'mp.example'], false],
    ['a phone outside WeChat', PHONE, ['open.example', 'mp.example'], true],
    ['something unknown', 'x', ['mp.example', 'open.example'], false],
  ])('puts first what suits %s', async (_what, agent, hosts, warned) => {
    const { link, start } = await openPages();
    const { text } = await start(link(), { 'user-agent': agent, 'accept-language': 'en' });
    const addresses = linksOf(text).filter((one) => one !== '');
    expect(addresses.map((one) => new URL(one).host)).toEqual(hosts);
    expect(text.match(/class="button[^"]*"/g)).toEqual([
      'class="button primary"',
      'class="button"',
    ]);
    expect(text.includes('not inside WeChat')).toBe(warned);
  });

  it.each([
    ['zh-CN,zh;q=0.9,en;q=0.8', undefined, 'zh-CN'],
    ['en-US,en;q=0.9,zh;q=0.8', undefined, 'en'],
    ['fr', undefined, 'en'],
    ['zh-TW', undefined, 'zh-CN'],
    [undefined, undefined, 'zh-CN'],
    ['en', 'zh', 'zh-CN'],
    ['zh', 'en', 'en'],
  ] as const)('for %s with lang %s is in %s', async (accept, language, lang) => {
    const { link, start } = await openPages();
    const headers: Record<string, string> = { 'accept-language': accept ?? '' };
    const { text, response } = await start(link({ language }), headers);
    expect(text).toContain(`<html lang="${lang}">`);
    expect(response.headers.get('content-language')).toBe(lang);
    expect(text).toContain(lang === 'en' ? 'Authorize your WeChat account' : '授权您的微信账号');
  });

  it('says how long its code lasts, by the clock of Beijing', async () => {
    const { link, start } = await openPages();
    const { text } = await start(link(), { 'accept-language': 'en' });
    // The clock stands at 08:00 in Beijing.
    expect(text).toMatch(/for 29 minutes \(until 08:29, Beijing time\)/);
  });

  it('gives HEAD its headers and takes no code for it', async () => {
    const { link, start, asked } = await openPages();
    const { status, response, text } = await start(link(), {}, 'HEAD');
    expect(status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/html/);
    expect(text).toBe('');
    expect(asked.preAuthCodes).toBe(0);
  });

  it.each([
    { 'sec-purpose': 'prefetch' },
    { 'sec-purpose': 'prefetch;prerender' },
    { purpose: 'prefetch' },
  ])('takes no code for a browser that loads pages ahead: %j', async (headers) => {
    const { link, start, asked } = await openPages();
    const token = link();
    for (let times = 0; times < 30; times += 1) {
      const { status, text } = await start(token, headers);
      expect([status, text]).toEqual([503, '']);
    }
    expect(asked.preAuthCodes).toBe(0);
    expect((await start(token)).status).toBe(200);
  });

  it('runs nothing, keeps nothing and tells WeChat the host it comes from', async () => {
    const { link, start } = await openPages();
    const [one, two] = [await start(link()), await start(link())];
    const { headers } = one.response;
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; style-src 'nonce-[\w+/]{22}=='; base-uri 'none'/);
    expect(policy).toMatch(/form-action 'none'; frame-ancestors 'none'$/);
    expect(policy).not.toBe(two.response.headers.get('content-security-policy'));
    const [nonce = ''] = /(?<=nonce-)[^']+/.exec(policy) ?? [];
    expect(one.text).toContain(`<style nonce="${nonce}">`);
    expect(one.text).not.toMatch(/<script|\son\w+=|\sstyle=|noreferrer/i);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('strict-origin-when-cross-origin');
    expect(headers.get('set-cookie')).toBeNull();
  });

  it('is refused, as a page, without a good link', async () => {
    const { link, get, start, clock, asked } = await openPages();
    const token = link({}, HOUR);
    const head = `/authorize/${COMPONENT}`;
    const statuses = [
      [403, head],
      [403, `${head}?link=`],
      [403, `${head}?link=${token}x`],
      [403, `${head}?link=${token}&link=${token}`],
      [404, `/authorize/wxaaaaaaaaaaaaaaaa?link=${token}`],
      [404, '/authorize/%3Cscript%3E'],
      [404, '/authorize'],
      [404, `${head}/other?link=${token}`],
      [400, '/authorize/%'],
    ] as const;
    for (const [status, path] of statuses) {
      const answer = await get(path, { 'accept-language': 'en' });
      expect(`${path} ${answer.status}`).toBe(`${path} ${status}`);
      expect(answer.response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(answer.text).toContain('<h1>');
      expect(answer.text).not.toContain('<script');
    }
    await clock.advance(HOUR);
    const late = await start(token, { 'accept-language': 'en' });
    expect(late.status).toBe(410);
    expect(late.text).toContain('This link has expired');
    expect(asked.preAuthCodes).toBe(0);
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('knows no %s', async (method) => {
    const { link, start, asked } = await openPages();
    const { status, response } = await start(link(), {}, method);
    expect(status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
    expect(asked.preAuthCodes).toBe(0);
  });

  it.each([
    ['no_ticket', 7, '7'],
    ['wechat_unavailable', undefined, '60'],
    ['wechat_refused', 300, '300'],
    ['quota_exhausted', 900, '900'],
    ['store_unavailable', undefined, '60'],
  ] as const)('asks for patience when there is no code: %s', async (code, seconds, retryAfter) => {
    const { link, start, answers, logged } = await openPages();
    const options = seconds === undefined ? {} : { retryAfterSeconds: seconds };
    answers.preAuthCode = () => Promise.reject(new KeeperError(code, 'Words for us.', options));
    const { status, response, text } = await start(link(), { 'accept-language': 'en' });
    expect(status).toBe(503);
    expect(response.headers.get('retry-after')).toBe(retryAfter);
    expect(text).toContain('try again in a minute');
    expect(text).not.toContain('Words for us');
    expect(logged).toMatchObject([
      ['warn', 'authorization page not served', { path: `/authorize/${COMPONENT}`, code }],
    ]);
  });

  it('shows no stack when something breaks', async () => {
    const { link, start, answers, logged } = await openPages();
    answers.preAuthCode = () => Promise.reject(new Error('broken at /srv/x.ts:1'));
    const { status, text } = await start(link(), { 'accept-language': 'en' });
    expect(status).toBe(500);
    expect(text).toContain('Something went wrong on our side');
    expect(text).not.toContain('broken');
    expect(logged).toMatchObject([['error', 'authorization page failed', { code: 'internal' }]]);
  });

  it('is not there without PUBLIC_BASE_URL, and takes no code then', async () => {
    const { link, start, asked } = await openPages({ publicBaseUrl: undefined });
    expect((await start(link())).status).toBe(503);
    expect(asked.preAuthCodes).toBe(0);
  });
});

describe('visits', () => {
  it('with one link are twenty in ten minutes; other links go on', async () => {
    const { link, start, asked } = await openPages();
    const token = link();
    for (let visit = 0; visit < 20; visit += 1) expect((await start(token)).status).toBe(200);
    expect((await start(token, {}, 'HEAD')).status).toBe(200);
    const { status, response, text } = await start(token, { 'accept-language': 'en' });
    expect(status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('600');
    expect(text).toContain('Too many visits');
    expect(asked.preAuthCodes).toBe(20);
    expect((await start(link())).status).toBe(200);
  });

  it('from one address of the Internet have a limit; those through a proxy have not', async () => {
    for (const [peer, status] of [
      ['203.0.113.7', 429],
      ['::ffff:203.0.113.7', 429],
      ['2001:db8::1', 429],
      ['10.1.2.3', 200],
      ['::ffff:192.168.0.1', 200],
      ['::1', 200],
    ] as const) {
      const { link, start } = await openPages({ peer });
      const tokens = Array.from({ length: 16 }, () => link());
      for (let visit = 0; visit < 300; visit += 1) {
        const one = await start(tokens[visit % 16] ?? '');
        if (one.status !== 200) throw new Error(`visit ${visit} from ${peer}: ${one.status}`);
      }
      expect(`${peer} ${(await start(link())).status}`).toBe(`${peer} ${status}`);
    }
  });
});
