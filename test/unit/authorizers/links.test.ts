import { createHmac, hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  createLink,
  openLink,
  wechatPages,
  type AuthorizationLink,
} from '../../../src/authorizers/link.ts';
import { KeeperError } from '../../../src/lib/errors.ts';

const SECRET = '0f1e2d3c4b5a69788796a5b4c3d2e1f0';
const COMPONENT = 'wx0123456789abcdef';
const NOW = Date.UTC(2026, 10, 21);
const HOUR = 3_600_000;
const PLAIN = {
  component: COMPONENT,
  authType: 3,
  bizAppid: undefined,
  categoryIds: [],
  returnUrl: undefined,
  state: undefined,
  language: undefined,
};
const FULL = {
  component: COMPONENT,
  authType: 2,
  bizAppid: 'wxfedcba9876543210',
  categoryIds: [1, 19],
  returnUrl: 'https://shop.example.com/back?x=1',
  state: 'order "7" & more',
  language: 'zh' as const,
};

function codeOf(open: () => unknown): string {
  try {
    open();
  } catch (error) {
    if (error instanceof KeeperError) return error.code;
    throw error;
  }
  return 'opened';
}

/** Signs any text as the service does. */
function signed(text: string, secret = SECRET, purpose = 'wxkeeper authorization link'): string {
  const body = Buffer.from(text).toString('base64url');
  const key = Buffer.from(hkdfSync('sha256', secret, '', purpose, 32));
  return `${body}.${createHmac('sha256', key).update(body).digest('base64url')}`;
}

describe('a start link', () => {
  it.each([
    ['with nothing but defaults', PLAIN],
    ['with everything', FULL],
  ])('%s opens to what was put in', (_what, link) => {
    const token = createLink(SECRET, link, NOW + HOUR);
    expect(token).toMatch(/^[\w-]+\.[\w-]{43}$/);
    const opened = openLink(SECRET, COMPONENT, token, NOW);
    expect(opened).toMatchObject({ ...link, expiresAt: NOW + HOUR });
    expect(opened.id).toMatch(/^[\w-]{16}$/);
  });

  it('has an id of its own', () => {
    const ids = [1, 2, 3].map(
      () => openLink(SECRET, COMPONENT, createLink(SECRET, PLAIN, NOW + HOUR), NOW).id,
    );
    expect(new Set(ids).size).toBe(3);
  });

  it('ends at its second, and with grace so much later', () => {
    const token = createLink(SECRET, PLAIN, NOW + HOUR);
    const open = (now: number, graceMs?: number) =>
      codeOf(() => openLink(SECRET, COMPONENT, token, now, graceMs));
    expect(open(NOW + HOUR - 1)).toBe('opened');
    expect(open(NOW + HOUR)).toBe('link_expired');
    expect(open(NOW + 3 * HOUR - 1, 2 * HOUR)).toBe('opened');
    expect(open(NOW + 3 * HOUR, 2 * HOUR)).toBe('link_expired');
  });

  it('of more than 2 KB is not made', () => {
    const link = {
      ...FULL,
      state: '"'.repeat(512),
      returnUrl: `https://a.example/${'p'.repeat(900)}`,
    };
    expect(codeOf(() => createLink(SECRET, link, NOW + HOUR))).toBe('bad_request');
    const wide = { ...FULL, state: 'x'.repeat(512) };
    expect(codeOf(() => createLink(SECRET, wide, NOW + HOUR))).toBe('opened');
  });
});

describe('a link that was not made here', () => {
  const good = createLink(SECRET, PLAIN, NOW + HOUR);
  const [body = '', signature = ''] = good.split('.');
  const flipped = signature.startsWith('A') ? `B${signature.slice(1)}` : `A${signature.slice(1)}`;
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const lastLetter = letters[letters.indexOf(signature.at(-1) ?? '') ^ 1] ?? '';
  const payload = { component: COMPONENT, id: 'x', expires: NOW / 1000 + 60, auth_type: 3 };

  it('is told from one that would pass', () => {
    expect(codeOf(() => openLink(SECRET, COMPONENT, signed(JSON.stringify(payload)), NOW))).toBe(
      'opened',
    );
  });

  it.each([
    ['nothing', ''],
    ['a body alone', body],
    ['a body with a dot', `${body}.`],
    ['a signature alone', `.${signature}`],
    ['a changed signature', `${body}.${flipped}`],
    ['another spelling of the same signature', `${body}.${signature.slice(0, -1)}${lastLetter}`],
    ['a changed body', `${body.slice(0, -1)}${body.endsWith('0') ? '1' : '0'}.${signature}`],
    ['a padded body', `${body}=.${signature}`],
    ['a space behind it', `${good} `],
    ['a line break behind it', `${good}\n`],
    ['three parts', `${good}.${signature}`],
    ['the hash of another secret', signed(JSON.stringify(payload), 'x'.repeat(32))],
    ['a key for another purpose', signed(JSON.stringify(payload), SECRET, 'something else')],
    ['a signed text that is no JSON', signed('{')],
    ['a signed null', signed('null')],
    ['a signed list', signed('[]')],
    ['signed JSON without an end', signed(JSON.stringify({ ...payload, expires: undefined }))],
    ['an end that is no number', signed(JSON.stringify({ ...payload, expires: 'never' }))],
    ['too much of it', signed(JSON.stringify({ ...payload, state: 'x'.repeat(2048) }))],
    ['another component', signed(JSON.stringify({ ...payload, component: 'wxaaaaaaaaaaaaaaaa' }))],
  ])('%s is refused', (_what, text) => {
    expect(codeOf(() => openLink(SECRET, COMPONENT, text, NOW))).toBe('link_invalid');
  });

  it('is refused before its end is looked at', () => {
    const old = signed(JSON.stringify({ ...payload, expires: 1 }), 'x'.repeat(32));
    expect(codeOf(() => openLink(SECRET, COMPONENT, old, NOW))).toBe('link_invalid');
  });
});

describe("WeChat's two addresses", () => {
  const origins = { pc: 'https://mp.example', mobile: 'https://open.example' };
  const link: AuthorizationLink = { ...PLAIN, id: 'x', expiresAt: 0 };
  const redirect = 'https://wx.example.com/authorize/wx0123456789abcdef/done?link=a.b&c=d#e';
  const code = 'preauthcode@@@a+b/c&d';

  it('carry every parameter whole', () => {
    const { pc, mobile } = wechatPages(origins, { ...link, categoryIds: [1, 19] }, code, redirect);
    for (const text of [pc, mobile]) {
      const { searchParams } = new URL(text);
      expect(Object.fromEntries(searchParams)).toMatchObject({
        component_appid: COMPONENT,
        pre_auth_code: code,
        redirect_uri: redirect,
        auth_type: '3',
        category_id_list: '1|19',
      });
      expect(searchParams.has('biz_appid')).toBe(false);
    }
    expect(pc).toMatch(/^https:\/\/mp\.example\/cgi-bin\/componentloginpage\?component_appid=/);
    expect(mobile).toMatch(
      /^https:\/\/open\.example\/wxaopen\/safe\/bindcomponent\?action=bindcomponent&no_scan=1&/,
    );
    expect(mobile).toMatch(/#wechat_redirect$/);
  });

  it('name one account instead of a type, and no sets unless asked for', () => {
    const one = { ...link, bizAppid: 'wxfedcba9876543210' };
    for (const text of Object.values(wechatPages(origins, one, code, redirect))) {
      const { searchParams } = new URL(text);
      expect(searchParams.get('biz_appid')).toBe('wxfedcba9876543210');
      expect(searchParams.has('auth_type')).toBe(false);
      expect(searchParams.has('category_id_list')).toBe(false);
    }
  });
});
