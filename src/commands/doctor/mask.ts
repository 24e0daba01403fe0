import { MASK } from '../../lib/log.ts';

/**
 * What of a traced request may be shown. Only fields that are known to be harmless keep their text, so
 * that a secret under a name that nobody thought of stays one.
 */

const HARMLESS = new Set([
  ...['component_appid', 'authorizer_appid', 'appid', 'grant_type', 'type', 'msgtype', 'lang'],
  ...['errcode', 'expires_in', 'CreateTime', 'create_time', 'daily_limit', 'used', 'remain'],
  ...['option_name', 'option_value', 'cgi_path', 'rid', 'errmsg', 'action', 'check_operator'],
]);
const MAX_DEPTH = 6;
const MAX_CHARS = 2_000;

export function maskUrl(url: string): { path: string; query: string } {
  const at = url.indexOf('?');
  const path = (at < 0 ? url : url.slice(0, at)).replace(/^https?:\/\/[^/]*/, '');
  if (at < 0) return { path, query: '' };
  const parameters = [...new URLSearchParams(url.slice(at + 1))].map(
    ([name, value]) => `${name}=${HARMLESS.has(name) ? value : MASK}`,
  );
  return { path, query: `?${parameters.join('&')}` };
}

/** Anything that is no JSON is not shown at all. */
export function maskBody(text: string): string {
  if (text === '') return '-';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return `[${text.length} characters that are no JSON]`;
  }
  const shown = JSON.stringify(mask(value, '', 0));
  return shown.length > MAX_CHARS ? `${shown.slice(0, MAX_CHARS)}…` : shown;
}

function mask(value: unknown, name: string, depth: number): unknown {
  if (typeof value === 'string') return value === '' || HARMLESS.has(name) ? value : MASK;
  // A code from a text message and a telephone number are numbers, too.
  if (typeof value === 'number') return HARMLESS.has(name) || value < 1_000 ? value : MASK;
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return '[deep]';
  if (Array.isArray(value)) return value.map((one) => mask(one, name, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, mask(item, key, depth + 1)]),
  );
}
