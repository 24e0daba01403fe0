import { describe, expect, it } from 'vitest';
import { isException, parseNoProxy } from '../../../src/lib/no-proxy.ts';

/** `NO_PROXY`: what goes past a proxy. */

const passes = (text: string, address: string): boolean => {
  const exceptions = parseNoProxy(text);
  if (exceptions === undefined) throw new Error(`${text} is refused`);
  return isException(exceptions, new URL(address));
};

describe('NO_PROXY', () => {
  it.each([
    ['*', 'https://api.weixin.qq.com'],
    ['a.example, *', 'http://[::1]:8080'],
    ['weixin.qq.com', 'https://weixin.qq.com'],
    ['weixin.qq.com', 'https://api.weixin.qq.com'],
    ['.weixin.qq.com', 'https://sh.api.weixin.qq.com'],
    ['.weixin.qq.com', 'https://weixin.qq.com'],
    ['*.weixin.qq.com', 'https://api.weixin.qq.com'],
    ['API.Weixin.QQ.com.', 'https://api.weixin.qq.com'],
    ['api.weixin.qq.com', 'https://API.WEIXIN.QQ.COM./path?a=b'],
    ['a.example b.example,\tc.example', 'https://c.example'],
    [',,c.example,', 'https://c.example'],
    ['c.example:443', 'https://c.example'],
    ['c.example:80', 'http://c.example'],
    ['c.example:8443', 'https://www.c.example:8443'],
    ['localhost', 'http://localhost:8080'],
    ['127.0.0.1', 'http://127.0.0.1:8080'],
    ['127.0.0.1:8080', 'http://127.0.0.1:8080'],
    ['10.0.0.0/8', 'https://10.255.0.1'],
    ['10.0.0.0/8', 'https://[::ffff:10.1.2.3]'],
    ['192.168.1.128/25', 'https://192.168.1.200'],
    ['::1', 'http://[::1]:8080'],
    ['[::1]', 'http://[::1]:8080'],
    ['[::1]:8080', 'http://[::1]:8080'],
    ['fd00::/8', 'https://[fd12:3456::1]'],
    // What URL makes of an odd way to write an address.
    ['127.0.0.1', 'http://127.1'],
    ['my_host', 'http://my_host'],
  ])('%s: past it to %s', (text, address) => {
    expect(passes(text, address)).toBe(true);
  });

  it.each([
    ['', 'https://api.weixin.qq.com'],
    [' , ', 'https://api.weixin.qq.com'],
    ['weixin.qq.com', 'https://notweixin.qq.com'],
    ['api.weixin.qq.com', 'https://weixin.qq.com'],
    ['weixin.qq.com', 'https://weixin.qq.com.example'],
    ['c.example:443', 'https://c.example:8443'],
    ['c.example:443', 'http://c.example'],
    ['127.0.0.1:8080', 'http://127.0.0.1'],
    ['10.0.0.0/8', 'https://11.0.0.1'],
    // Nothing is looked up.
    ['127.0.0.0/8', 'http://localhost'],
    ['10.0.0.0/8', 'https://10.0.0.1.example'],
    ['::1', 'http://127.0.0.1'],
    ['[::1]:8080', 'http://[::1]:8081'],
  ])('%s: through it to %s', (text, address) => {
    expect(passes(text, address)).toBe(false);
  });

  it.each([
    ...['http://c.example', 'c.example/path', 'c.example:', 'c.example:0', 'c.example:65536'],
    ...['c.example:http', 'c..example', '-c.example', 'c.*.example', '10.*', '10.1.2', '256.1.1.1'],
    ...['10.0.0.0/33', '10.0.0.0/', '/8', '10/8', 'c.example/8', '[c.example]', '[::1', '::1]:80'],
    ...[
      '[127.0.0.1]',
      '<local>',
      '"c.example"',
      'c.example;d.example',
      '.',
      '*.',
      'bücher.example',
    ],
  ])('%s is refused', (text) => {
    expect(parseNoProxy(text)).toBeUndefined();
    expect(parseNoProxy(`a.example,${text}`)).toBeUndefined();
  });
});
