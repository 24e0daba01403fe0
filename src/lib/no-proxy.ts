import { isIP } from 'node:net';
import { isInNetwork, isNetwork } from './addresses.ts';

/**
 * `NO_PROXY`, read as curl reads it: a name stands for itself and whatever is below it, with or without a
 * dot in front; addresses and networks are compared with addresses only, and nothing is looked up.
 * Source: curl's manual, "NO_PROXY", and its lib/noproxy.c.
 */

/** One entry: what goes past the proxy. `port` undefined: on all of them. */
export type Exception =
  | { kind: 'all' }
  | { kind: 'name'; name: string; port: number | undefined }
  | { kind: 'network'; network: string; port: number | undefined };

const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);

/**
 * @param text entries between commas or blanks
 * @returns undefined when one of them is none
 */
export function parseNoProxy(text: string): Exception[] | undefined {
  const entries = text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((one) => one !== '')
    .map(parseEntry);
  const known = entries.filter((one) => one !== undefined);
  return known.length === entries.length ? known : undefined;
}

function parseEntry(entry: string): Exception | undefined {
  if (entry === '*') return { kind: 'all' };
  // IPv6 has colons of its own: a port needs the brackets.
  if (isIP(entry) === 6 || isCidr(entry)) return networkOf(entry, undefined);
  const [, host = '', digits] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(entry) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare) === (host === bare ? 4 : 6)) return networkOf(bare, port);
  const name = host.replace(/^\*?\./, '').replace(/\.$/, '');
  // Digits and dots are an address that was not finished, and no name.
  if (!NAME.test(name) || /^[\d.]+$/.test(name)) return undefined;
  return { kind: 'name', name, port };
}

function isCidr(entry: string): boolean {
  const [address = '', ...bits] = entry.split('/');
  return bits.length === 1 && isIP(address) !== 0 && isNetwork(entry);
}

function networkOf(entry: string, port: number | undefined): Exception {
  const network = entry.includes('/') ? entry : `${entry}/${isIP(entry) === 6 ? 128 : 32}`;
  return { kind: 'network', network, port };
}

/** Whether this goes past the proxy. */
export function isException(exceptions: readonly Exception[], url: URL): boolean {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  return exceptions.some((one) => {
    if (one.kind === 'all') return true;
    if (one.port !== undefined && one.port !== port) return false;
    if (one.kind === 'network') return isIP(host) !== 0 && isInNetwork(host, one.network);
    return host === one.name || host.endsWith(`.${one.name}`);
  });
}
