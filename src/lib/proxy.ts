import { isIP } from 'node:net';
import { isException, type Exception } from './no-proxy.ts';

/** Which calls go out through a proxy. */

export interface Proxy {
  /** Scheme, host and port, and nothing secret. */
  url: URL;
  /** What stands behind `Proxy-Authorization`; undefined without a user. */
  authorization: string | undefined;
}

export interface Proxies {
  /** For https addresses. */
  httpsProxy: Proxy | undefined;
  /** For http addresses. */
  httpProxy: Proxy | undefined;
  /** What goes past both of them. */
  noProxy: readonly Exception[];
}

/** What a text has to say about a proxy, or what is wrong with it, in words that do not quote it. */
export type ReadProxy = { proxy: Proxy } | { fault: string };

const FORM =
  'must be http:// or https:// with user, password, host and port, special characters of the user and ' +
  'the password percent-encoded';

/** Reads what `HTTPS_PROXY` says. Without a scheme it is http, as for curl. */
export function parseProxy(text: string): ReadProxy {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme?.startsWith('socks') === true) {
    return { fault: `${FORM}: proxies of the kind socks are not supported` };
  }
  const full = scheme === undefined ? `http://${text}` : text;
  const isWhole = /^https?:\/\/(?:[^\s/?#@"'`\\]*@)?(?:\[[^\]]+\]|[^\s/?#@:"'`\\]+)(:\d+)?\/?$/i;
  const [whole, port] = isWhole.exec(full) ?? [];
  if (whole === undefined || !URL.canParse(full)) return { fault: FORM };
  const url = new URL(full);
  // Some programs take 80 then, and curl 1080.
  if (port === undefined || url.port === '0') return { fault: 'must name the port of the proxy' };
  const login = loginOf(url);
  if (login === undefined) return { fault: FORM };
  const isNobody = url.username === '' && url.password === '';
  return {
    proxy: {
      url: new URL(`${url.protocol}//${url.host}`),
      authorization: isNobody ? undefined : `Basic ${Buffer.from(login).toString('base64')}`,
    },
  };
}

/** Undefined when it cannot be read, or said to a proxy. Source: RFC 7617, 2. */
function loginOf({ username, password }: URL): string | undefined {
  try {
    const user = decodeURIComponent(username);
    const login = `${user}:${decodeURIComponent(password)}`;
    return user.includes(':') || /\p{Cc}/u.test(login) ? undefined : login;
  } catch {
    return undefined;
  }
}

/** What of a proxy no output may hold, in every way in which it is written. */
export function secretsOfProxy({ authorization }: Proxy): string[] {
  if (authorization === undefined) return [];
  const encoded = authorization.replace(/^Basic /, '');
  const login = Buffer.from(encoded, 'base64').toString();
  const at = login.indexOf(':');
  const [user, password] = [login.slice(0, at), login.slice(at + 1)];
  // A user without a password is a key.
  const secret = password === '' ? user : password;
  return [encoded, login, secret, encodeURIComponent(secret), encodeURI(secret)];
}

/** The proxy that a call to this address goes through; undefined when it goes directly. */
export function proxyFor(proxies: Proxies, url: URL): Proxy | undefined {
  const proxy = url.protocol === 'https:' ? proxies.httpsProxy : proxies.httpProxy;
  if (proxy === undefined || isException(proxies.noProxy, url)) return undefined;
  // Another machine has another loopback.
  return isLoopback(url) && !isLoopback(proxy.url) ? undefined : proxy;
}

function isLoopback({ hostname }: URL): boolean {
  const host = hostname.replace(/\.$/, '');
  if (host === '[::1]' || host === 'localhost' || host.endsWith('.localhost')) return true;
  return isIP(host) === 4 && host.startsWith('127.');
}
