import { describe, expect, it } from 'vitest';
import { isAllowedReturnUrl, returnAddress } from '../../../src/authorizers/return-urls.ts';
import { returnUrlsSchema } from '../../../src/config/formats.ts';

const LISTED = [
  'https://shop.example.com/wechat',
  'https://open.example.com',
  'https://port.example.com:8443/a/',
  'http://127.0.0.1:8080/try',
];

describe('a return URL is allowed', () => {
  it.each([
    'https://shop.example.com/wechat',
    'https://shop.example.com/wechat/',
    'https://shop.example.com/wechat/done',
    'https://shop.example.com/wechat?x=1&y=%2F..%2F',
    'https://shop.example.com/wechat/done?next=//evil.example',
    'https://open.example.com',
    'https://open.example.com/',
    'https://open.example.com?x=1',
    'https://open.example.com/anything/at-all_.~',
    'https://port.example.com:8443/a/',
    'https://port.example.com:8443/a/b',
    'http://127.0.0.1:8080/try/it',
  ])('%s', (url) => {
    expect(isAllowedReturnUrl(url, LISTED)).toBe(true);
  });
});

describe('nobody is sent to', () => {
  it.each([
    ['another host', 'https://evil.example/wechat'],
    ['a host that only begins alike', 'https://shop.example.com.evil.example/wechat'],
    ['a host that only ends alike', 'https://evilshop.example.com/wechat'],
    ['a subdomain', 'https://x.shop.example.com/wechat'],
    ['a host with a dot behind it', 'https://shop.example.com./wechat'],
    ['plain http', 'http://shop.example.com/wechat'],
    ['another scheme', 'javascript://shop.example.com/wechat'],
    ['a scheme with nothing behind it', 'javascript:alert(1)'],
    ['data', 'data:text/html,hello'],
    ['another port', 'https://shop.example.com:8443/wechat'],
    ['the default port, spelled out', 'https://shop.example.com:443/wechat'],
    ['no port where one is listed', 'https://port.example.com/a/'],
    ['a user name', 'https://shop.example.com@evil.example/wechat'],
    ['a user name for the right host', 'https://user@shop.example.com/wechat'],
    ['a user name and a password', 'https://shop.example.com:443@evil.example/wechat'],
    ['an empty user name', 'https://@shop.example.com/wechat'],
    ['a backslash before the at sign', 'https://evil.example\\@shop.example.com/wechat'],
    ['a backslash for a slash', 'https://shop.example.com\\wechat'],
    ['backslashes for both slashes', 'https:\\\\shop.example.com/wechat'],
    ['a backslash in the path', 'https://shop.example.com/wechat\\..\\x'],
    ['a backslash in the query', 'https://shop.example.com/wechat?\\'],
    ['no slashes', 'https:shop.example.com/wechat'],
    ['one slash', 'https:/shop.example.com/wechat'],
    ['three slashes', 'https:///shop.example.com/wechat'],
    ['no scheme', '//shop.example.com/wechat'],
    ['a path alone', '/wechat'],
    ['a path that only begins alike', 'https://shop.example.com/wechatx'],
    ['a path above', 'https://shop.example.com/'],
    ['another path', 'https://shop.example.com/other'],
    ['another case of the path', 'https://shop.example.com/WeChat'],
    ['two dots', 'https://shop.example.com/wechat/../admin'],
    ['two dots that come back', 'https://shop.example.com/x/../wechat'],
    ['one dot', 'https://shop.example.com/./wechat'],
    ['encoded dots', 'https://shop.example.com/wechat/%2e%2e/admin'],
    ['a dot and an encoded one', 'https://shop.example.com/wechat/.%2E/admin'],
    ['dots encoded twice', 'https://shop.example.com/wechat/%252e%252e/admin'],
    ['an encoded slash', 'https://shop.example.com/wechat/..%2fadmin'],
    ['an encoded backslash', 'https://shop.example.com/wechat/..%5cadmin'],
    ['dots with a parameter', 'https://shop.example.com/wechat/..;/admin'],
    ['an empty segment', 'https://shop.example.com/wechat//evil.example'],
    ['an encoded letter', 'https://shop.example.com/we%63hat'],
    ['a fragment', 'https://shop.example.com/wechat#x'],
    ['an empty fragment', 'https://shop.example.com/wechat#'],
    ['a space before it', ' https://shop.example.com/wechat'],
    ['a line break behind it', 'https://shop.example.com/wechat\n'],
    ['a line break within', 'https://shop.example.com/wechat?\r\nSet-Cookie: a=b'],
    ['a tab within', 'https://shop.exa\tmple.com/wechat'],
    ['a zero byte', 'https://shop.example.com/wechat\0'],
    ['letters that look alike', 'https://shор.example.com/wechat'],
    ['a full-width dot', 'https://shop。example.com/wechat'],
    ['upper case', 'HTTPS://SHOP.EXAMPLE.COM/wechat'],
    ['a listed http host by another name', 'http://localhost:8080/try'],
    ['a quote', 'https://shop.example.com/wechat?"><script>'],
    ['nothing', ''],
  ])('%s: %j', (_what, url) => {
    expect(isAllowedReturnUrl(url, LISTED)).toBe(false);
  });

  it('anything at all while nothing is listed', () => {
    expect(isAllowedReturnUrl('https://shop.example.com/wechat', [])).toBe(false);
  });
});

describe('the list itself', () => {
  it.each([
    'https://shop.example.com/wechat',
    'https://shop.example.com',
    'https://shop.example.com/',
    'http://localhost:3000/x',
    'http://[::1]:3000',
  ])('may have %s', (url) => {
    expect(returnUrlsSchema.parse(`${url} , ${url}`)).toEqual([url, url]);
    expect(returnUrlsSchema.parse([url])).toEqual([url]);
  });

  it.each([
    'http://shop.example.com/wechat',
    'http://127.0.0.1.evil.example/x',
    'https://shop.example.com/wechat?',
    'https://shop.example.com/wechat?x=1',
    'https://shop.example.com/wechat#x',
    'https://user@shop.example.com',
    'https://shop.example.com/a/../b',
    'https://*.example.com',
    'shop.example.com',
    '',
  ])('must not have %s', (url) => {
    expect(returnUrlsSchema.safeParse([url]).success).toBe(false);
    expect(returnUrlsSchema.safeParse(`https://good.example,${url}`).success).toBe(false);
  });
});

describe('the address at which the merchant arrives', () => {
  const link = {
    id: 'x',
    component: 'wx0123456789abcdef',
    authType: 3,
    bizAppid: undefined,
    categoryIds: [],
    returnUrl: 'https://shop.example.com/wechat?page=2&result=x&state=old&authorizer_appid=forged',
    state: 'a&result=authorized#é\r\n',
    language: undefined,
    expiresAt: 0,
  };

  it('has our parameters once, and the state as it was', () => {
    const address = returnAddress(link, LISTED, 'authorized', 'wxfedcba9876543210') ?? '';
    expect(address).toMatch(/^https:\/\/shop\.example\.com\/wechat\?[\x21-\x7E]+$/);
    expect([...new URL(address).searchParams].sort()).toEqual([
      ['authorizer_appid', 'wxfedcba9876543210'],
      ['component_appid', link.component],
      ['page', '2'],
      ['result', 'authorized'],
      ['state', link.state],
    ]);
  });

  it('names no account when none was authorized, and no state when there is none', () => {
    const address = returnAddress({ ...link, state: undefined }, LISTED, 'failed') ?? '';
    expect([...new URL(address).searchParams].sort()).toEqual([
      ['component_appid', link.component],
      ['page', '2'],
      ['result', 'failed'],
    ]);
  });

  it('is none when the URL was taken off the list, or there never was one', () => {
    expect(returnAddress(link, ['https://open.example.com'], 'failed')).toBeUndefined();
    expect(returnAddress({ ...link, returnUrl: undefined }, LISTED, 'failed')).toBeUndefined();
  });
});
