import { isIP } from 'node:net';

/** What WeChat's answers are read with: they are JSON, in forms that change from call to call. */

/** Half of a surrogate pair, as an escape: the only way in which one gets into JSON in UTF-8. */
const SURROGATE = /\\u[dD][89a-fA-F]/;

/**
 * The fields of an answer; undefined when it is no JSON object. A byte order mark and blanks around it
 * do not matter. Texts come out well-formed: WeChat cuts names in the middle of an emoji, and neither
 * Redis's Lua nor UTF-8 has a form for half a character.
 */
export function parseAnswer(body: string): Record<string, unknown> | undefined {
  // trim takes U+FEFF for a blank, as ECMAScript does everywhere.
  const value = parseJson(body.trim());
  if (typeof value !== 'object' || value === null) return undefined;
  return { ...(SURROGATE.test(body) ? wellFormed(value) : value) };
}

/** The value itself, or what the JSON in it says: some of WeChat's fields hold JSON as a text. */
export function unwrapped(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\s*[[{]/.test(value)) return value;
  const inner = parseJson(value.trim());
  return inner === undefined ? value : wellFormed(inner);
}

/** A whole number, or its digits as a text: WeChat writes both. */
export function integerIn(value: unknown): number | undefined {
  const number =
    typeof value === 'string' && /^\s*-?\d{1,15}\s*$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) ? number : undefined;
}

/** Whether anything stands there: WeChat fills in what it does not have with nothing. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function wellFormed<T>(value: T): T;
function wellFormed(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  if (Array.isArray(value)) return value.map((one: unknown) => wellFormed(one));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name.toWellFormed(), wellFormed(one)]),
  );
}

/**
 * The addresses that a refusal names, each once, as a console takes them: an IPv4 address that comes
 * mapped into IPv6 is that IPv4 address. Seen: `invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in
 * whitelist rid: …` (40164), `access clientip is not registered requestIP: 1.2.3.4 rid: …` (61004).
 */
export function addressesIn(errmsg: string): string[] {
  const words = errmsg.split(/[^\x21-\x7e]+|[,;"'()[\]<>=%/]+/);
  const found = words.flatMap((word) => {
    const bare = word.replace(/^\.+|\.+$/g, '');
    // `requestIP:` may stand before it, and a port behind it.
    const candidates = [bare, bare.replace(/^\w*:/, ''), bare.replace(/:\w*$/, '')];
    const address = candidates.find((one) => isIP(one) !== 0 && /\d/.test(one));
    return address === undefined ? [] : [unmapped(address)];
  });
  if (found.length === 0) found.push(...(errmsg.match(LOOSE_IPV4) ?? []));
  return [...new Set(found)];
}

/** Glued to the words around it. */
const LOOSE_IPV4 = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g;

/** `::ffff:1.2.3.4`, in any way of writing it, is 1.2.3.4. */
function unmapped(address: string): string {
  if (isIP(address) !== 6) return address;
  // The URL parser writes every form of an address in the same one.
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short) ?? [];
  if (high === undefined || low === undefined) return short;
  const bytes = [high, low].flatMap((pair) => {
    const number = parseInt(pair, 16);
    return [number >> 8, number & 0xff];
  });
  return bytes.join('.');
}
