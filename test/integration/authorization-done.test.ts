import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { KeeperError } from '../../src/lib/errors.ts';
import {
  ACCOUNT,
  BACK,
  closePages,
  CODE,
  COMPONENT,
  linksOf,
  openPages,
} from '../kit/authorization-pages.ts';
import { HOUR, MINUTE } from '../kit/platform.ts';

const REFUSED = {
  class: 'config',
  message: 'IP 203.0.113.7',
  advice: 'whitelist it',
  errcode: 61004,
};

afterEach(closePages);

describe('the done page', () => {
  it('hands the code on at once and says that the account is authorized', async () => {
    const { link, done, asked } = await openPages();
    const { status, text } = await done(link());
    expect(status).toBe(200);
    expect(text).toContain('The account is authorized');
    expect(text).toContain(ACCOUNT);
    expect(asked.codes).toEqual([[COMPONENT, CODE, 600]]);
  });

  it('sends the merchant to the return URL with the state', async () => {
    const { link, done } = await openPages();
    const state = 'order=7&result=no"<b> #';
    const { status, response, text } = await done(link({ returnUrl: `${BACK}?page=2`, state }));
    expect(status).toBe(303);
    expect(text).toBe('');
    const address = new URL(response.headers.get('location') ?? '');
    expect(`${address.origin}${address.pathname}`).toBe(BACK);
    expect(Object.fromEntries(address.searchParams)).toEqual({
      page: '2',
      state,
      result: 'authorized',
      component_appid: COMPONENT,
      authorizer_appid: ACCOUNT,
    });
  });

  it('sends nobody to a URL that is not listed, though the link was signed', async () => {
    const { link, done } = await openPages();
    const { status, response, text } = await done(link({ returnUrl: 'https://evil.example/' }));
    expect(status).toBe(200);
    expect(response.headers.get('location')).toBeNull();
    expect(text).not.toContain('evil');
  });

  it.each([undefined, BACK])(
    'looks again by itself while it is pending (return to %s)',
    async (to) => {
      const { link, done, answers, asked } = await openPages();
      answers.outcome = () => Promise.resolve({ did: 'pending' });
      const token = link({ returnUrl: to });
      const first = await done(token);
      expect(first.status).toBe(200);
      expect(first.text).toContain('<meta http-equiv="refresh" content="5" />');
      expect(first.text).toContain('Your authorization was received');
      answers.outcome = () => Promise.resolve({ did: 'authorized', authorizer: ACCOUNT });
      expect((await done(token)).status).toBe(to === undefined ? 200 : 303);
      expect(asked.codes).toEqual([
        [COMPONENT, CODE, 600],
        [COMPONENT, CODE, 600],
      ]);
    },
  );

  it.each([
    ['expired', { did: 'expired' }, 'not completed in time'],
    ['failed', { did: 'failed', error: REFUSED }, 'code: 61004'],
  ] as const)('says what to do when the code has %s', async (_what, outcome, words) => {
    const { link, done, answers, clock } = await openPages();
    answers.outcome = () => Promise.resolve(outcome);
    const token = link({ returnUrl: BACK, state: '"><script>alert(1)</script>' }, HOUR);
    const early = await done(token);
    expect(early.status).toBe(200);
    expect(early.text).toContain(words);
    expect(early.text).not.toContain('<script');
    // An empty address is the same page: a failure can be mended while the code lives.
    const addresses = linksOf(early.text);
    expect(addresses.includes('')).toBe(outcome.did === 'failed');
    const [again = '', back = ''] = addresses.filter((one) => one !== '');
    expect(again).toBe(`/authorize/${COMPONENT}?link=${token}`);
    expect(back).toMatch(/^https:\/\/shop\.example\.com\/wechat\?state=.*result=failed$/);
    // The link has ended meanwhile: it is still good for coming back, but not for starting again.
    await clock.advance(HOUR);
    const late = await done(token);
    expect(linksOf(late.text).filter((one) => one !== '')).toEqual([back]);
    expect(late.text).toContain('Ask whoever sent it for a new one');
    await clock.advance(2 * HOUR);
    expect((await done(token)).status).toBe(410);
  });

  it("keeps the operator's advice from strangers", async () => {
    const { link, done, answers } = await openPages();
    answers.outcome = () => Promise.resolve({ did: 'failed', error: REFUSED });
    expect((await done(link())).text).not.toMatch(/203\.0\.113|whitelist/);
  });

  it.each(['', '&auth_code=', '&expires_in=600'])(
    'says that nothing was authorized when there is no code (%s)',
    async (query) => {
      const { link, done, asked } = await openPages();
      const { status, text } = await done(link({ returnUrl: BACK }), query);
      expect(status).toBe(200);
      expect(text).toContain('Nothing was authorized');
      expect(linksOf(text)[1]).toMatch(/result=cancelled$/);
      expect(asked.codes).toEqual([]);
    },
  );

  it.each([
    ['a line break', '&auth_code=a%0Ab'],
    ['a zero byte', '&auth_code=a%00b'],
    ['Chinese', `&auth_code=${encodeURIComponent('码')}`],
    ['too much of it', `&auth_code=${'a'.repeat(513)}`],
    ['two of them', '&auth_code=a&auth_code=b'],
  ])('refuses a damaged code: %s', async (_what, query) => {
    const { link, done, asked } = await openPages();
    const { status, text } = await done(link(), query);
    expect(status).toBe(400);
    expect(text).toContain('did not arrive whole');
    expect(asked.codes).toEqual([]);
  });

  it.each([
    ['&auth_code=a+b%2Bc', 'a+b+c', 600],
    ['&auth_code=a&expires_in=0', 'a', 600],
    ['&auth_code=a&expires_in=x', 'a', 600],
    ['&auth_code=a&expires_in=-5', 'a', 600],
    ['&auth_code=a&expires_in=1800', 'a', 1800],
    ['&auth_code=a&expires_in=99999', 'a', 3600],
    ['&auth_code=a&expires_in=5&expires_in=6', 'a', 600],
  ])('reads %s as %s for %d s', async (query, code, life) => {
    const { link, done, asked } = await openPages();
    await done(link(), query);
    expect(asked.codes).toEqual([[COMPONENT, code, life]]);
  });

  it('asks to be reloaded when the code could not be stored', async () => {
    const { link, done, answers } = await openPages();
    answers.outcome = () => Promise.reject(new KeeperError('store_unavailable', 'Redis is away.'));
    const { status, response, text } = await done(link());
    expect(status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('60');
    expect(text).toContain('Please reload this page');
  });

  it('takes so many codes of one link that come to nothing, and no more for ten minutes', async () => {
    const { link, done, answers, asked, clock } = await openPages();
    const token = link();
    const bring = async (code: string, by = token) => (await done(by, `&auth_code=${code}`)).status;
    // What brings an account is not counted, nor is the same code again.
    for (let number = 0; number < 25; number += 1) expect(await bring(`good-${number}`)).toBe(200);
    answers.outcome = () => Promise.resolve({ did: 'expired' });
    for (let number = 0; number < 20; number += 1) {
      expect(await bring(`made-up-${number}`)).toBe(200);
    }
    const before = asked.codes.length;
    const refused = await done(token, '&auth_code=made-up-20');
    expect(refused.status).toBe(429);
    expect(refused.response.headers.get('retry-after')).toBe('600');
    expect(asked.codes).toHaveLength(before);
    expect(await bring('made-up-3')).toBe(200);
    expect(await bring('another-link', link())).toBe(200);
    await clock.advance(10 * MINUTE);
    expect(await bring('made-up-20')).toBe(200);
  });

  it('does nothing for HEAD, for strangers and for other methods', async () => {
    const { link, get, asked } = await openPages();
    const path = `/authorize/${COMPONENT}/done?link=${link()}&auth_code=a`;
    expect((await get(path, {}, 'HEAD')).status).toBe(200);
    expect((await get(path, {}, 'POST')).status).toBe(405);
    expect((await get(`/authorize/${COMPONENT}/done?auth_code=a`)).status).toBe(403);
    const theirs = path.replace(COMPONENT, 'wxaaaaaaaaaaaaaaaa');
    expect((await get(theirs)).status).toBe(404);
    expect(asked.codes).toEqual([]);
  });
});

it('the log is never given a link or a code', async () => {
  const { link, start, done, get, answers, logged } = await openPages();
  const token = link({ returnUrl: BACK });
  await start(token);
  await done(token);
  await get(`/authorize/${COMPONENT}/done?link=${token}x&auth_code=${CODE}`);
  await get(`/authorize/${COMPONENT}/nothing?link=${token}&auth_code=${CODE}`);
  answers.outcome = () => Promise.reject(new Error('broken'));
  await done(token);
  answers.preAuthCode = () => Promise.reject(new KeeperError('no_ticket', 'No ticket.'));
  await start(token);
  const text = inspect(logged, { depth: 9, maxStringLength: null });
  expect(text).toContain('authorization page failed');
  expect(text).toContain('authorization page not served');
  const [body = '', signature = ''] = token.split('.');
  for (const secret of [body, signature, CODE, 'auth_code', 'preauthcode@@@']) {
    expect(text).not.toContain(secret);
  }
});
