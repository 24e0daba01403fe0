import { describe, expect, it } from 'vitest';
import { parseProxy, proxyFor, secretsOfProxy, type Proxy } from '../../../src/lib/proxy.ts';

/** Proxies, as settings write them, and what goes through them. */

function proxyOf(text: string): Proxy {
  const read = parseProxy(text);
  if ('fault' in read) throw new Error(read.fault);
  return read.proxy;
}

const loginOf = (text: string) =>
  Buffer.from(proxyOf(text).authorization?.replace('Basic ', '') ?? '', 'base64').toString();

describe('a proxy', () => {
  it.each([
    ['http://proxy.example:3128', 'http://proxy.example:3128'],
    ['http://proxy.example:3128/', 'http://proxy.example:3128'],
    ['HTTP://Proxy.Example:80', 'http://proxy.example'],
    ['https://proxy.example:443', 'https://proxy.example'],
    ['proxy.example:3128', 'http://proxy.example:3128'],
    ['user:password@proxy.example:3128', 'http://proxy.example:3128'],
    ['http://[::1]:3128', 'http://[::1]:3128'],
    ['http://10.0.0.1:8080', 'http://10.0.0.1:8080'],
  ])('%s', (text, origin) => {
    expect(proxyOf(text).url.href).toBe(`${origin}/`);
  });

  it.each([
    ['http://user:password@h:1', 'user:password'],
    ['http://user@h:1', 'user:'],
    ['http://:password@h:1', ':password'],
    ['http://a%20b:p%40ss%3Aw%2Fd@h:1', 'a b:p@ss:w/d'],
    ['http://%E5%BE%AE:%E4%BF%A1@h:1', '微:信'],
    ['http://h:1', ''],
  ])('with a login: %s', (text, login) => {
    expect(loginOf(text)).toBe(login);
  });

  it.each([
    ['canary', /port/],
    ['http://canary.example', /port/],
    ['https://canary.example/', /port/],
    ['http://canary.example:0', /port/],
    ['socks5://canary.example:1080', /socks are not supported/],
    ['socks5h://canary:canary@h:1', /socks are not supported/],
    ['ftp://canary.example:21', /must be http/],
    ['http://', /must be http/],
    ['http://:3128', /must be http/],
    ['http://canary.example:99999', /must be http/],
    ['http://canary.example:3128/path', /must be http/],
    ['http://canary.example:3128?a=b', /must be http/],
    ['http://canary.example:3128#a', /must be http/],
    ['http://user:can@ary@h:1', /must be http/],
    ['http://user:can/ary@h:1', /must be http/],
    ['http://user:100%canary@h:1', /must be http/],
    ['http://user%3Acanary:x@h:1', /must be http/],
    ['http://user:canary%0d%0aX-Y:@h:1', /must be http/],
    ['"http://canary.example:1"', /must be http/],
    ['http://can ary:1', /must be http/],
    ['http://a,http://canary:1', /must be http/],
  ])('%s is refused, and not quoted', (text, says) => {
    const read = parseProxy(text);
    expect(read).toHaveProperty('fault', expect.stringMatching(says));
    expect(JSON.stringify(read)).not.toContain('canary');
  });

  it('hides its password in each way to write it, and a user that is a key', () => {
    const secrets = secretsOfProxy(proxyOf('http://user:p%40ss:w%20rd@h:1'));
    for (const one of ['p@ss:w rd', 'p%40ss%3Aw%20rd', 'user:p@ss:w rd']) {
      expect(secrets).toContain(one);
    }
    expect(secrets).toContain(Buffer.from('user:p@ss:w rd').toString('base64'));
    expect(secrets).not.toContain('user');
    expect(secretsOfProxy(proxyOf('http://some-key@h:1'))).toContain('some-key');
    expect(secretsOfProxy(proxyOf('http://h:1'))).toEqual([]);
  });
});

describe('what goes through a proxy', () => {
  const away = proxyOf('http://proxy.example:3128');
  const here = proxyOf('http://127.0.0.1:3128');
  const of = (address: string, httpsProxy?: Proxy, httpProxy?: Proxy) =>
    proxyFor({ httpsProxy, httpProxy, noProxy: [] }, new URL(address));

  it('is what has its scheme', () => {
    expect(of('https://api.weixin.qq.com', away, here)).toBe(away);
    expect(of('http://api.example', away, here)).toBe(here);
    expect(of('https://api.weixin.qq.com', undefined, here)).toBeUndefined();
    expect(of('http://api.example', away)).toBeUndefined();
  });

  it.each(['127.0.0.1:8080', '127.8.9.1', 'localhost', 'LOCALHOST.', 'a.localhost', '[::1]:80'])(
    'is not what is on this machine, unless the proxy is, too: %s',
    (host) => {
      expect(of(`http://${host}`, undefined, away)).toBeUndefined();
      expect(of(`http://${host}`, undefined, here)).toBe(here);
    },
  );

  it.each(['127.0.0.1.example', 'localhost.example', '128.0.0.1'])('but is %s', (host) => {
    expect(of(`https://${host}`, away)).toBe(away);
  });
});
