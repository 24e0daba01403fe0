import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/config/faults.ts';
import { loadConfig, secretsOf } from '../../src/config/load.ts';

const COMPONENT = {
  appid: 'wxaaaaaaaaaaaaaaaa',
  appsecret: 'secretOfTheComponent',
  token: 'callbackToken',
  encoding_aes_key: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
};
const TARGET = 'https://shop.example.com/wechat';
const SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
const RAW = { name: 'shop', target: TARGET, mode: 'raw' };
const JSON_ROUTE = { ...RAW, mode: 'json', secrets: [SECRET] };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wxkeeper-routes-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function envWith(...routes: object[]): Record<string, string> {
  files += 1;
  const path = join(folder, String(files));
  writeFileSync(path, JSON.stringify({ components: [COMPONENT], routes }));
  return { REDIS_URL: 'redis://127.0.0.1:6379', CONFIG_FILE: path };
}

function faultsOf(...routes: object[]): readonly string[] {
  try {
    loadConfig(envWith(...routes));
  } catch (error) {
    if (error instanceof ConfigError) return error.sentences;
    throw error;
  }
  return [];
}

describe('delivery routes in CONFIG_FILE', () => {
  it('need a name, a target and a mode; the rest is as usual', () => {
    const [route] = loadConfig(envWith(RAW)).routes;
    expect(route).toMatchObject({ ...RAW, reply: false, concurrency: 5, perSecond: 100 });
    expect(Object.values(route?.match ?? {})).toEqual(Array(5).fill(undefined));
  });

  it('say what they take in any case of letters, as one or as a list', () => {
    const match = { component: '*', authorizer: '*', msg_type: 'TEXT', event: ['CLICK', 'view'] };
    expect(loadConfig(envWith({ ...RAW, match })).routes[0]?.match).toEqual({
      component: undefined,
      authorizer: 'any',
      infoType: undefined,
      msgType: ['text'],
      event: ['click', 'view'],
    });
  });

  it.each([
    [{ ...RAW, name: 'Shop 1' }, /^CONFIG_FILE routes\.0\.name must be up to 32 lower-case/],
    [{ ...RAW, mode: 'xml' }, /routes\.0\.mode must be one of raw, sealed, json/],
    [{ ...RAW, target: 'http://shop.example.com/' }, /target must be an https URL.*http only to/],
    [{ ...RAW, target: 'ftp://shop.example.com/' }, /target must be an https URL/],
    [{ ...RAW, target: 'https://shop.example.com/#canary' }, /target must be an https URL/],
    [{ ...RAW, target: 'https://$APPID$.example.com/' }, /target must be an https URL/],
    [{ ...RAW, target: 'https://a:%ffcanary@b.example.com/' }, /target must be an https URL/],
    [{ ...RAW, mode: 'json' }, /secrets is required/],
    [{ ...JSON_ROUTE, secrets: ['whsec_canary'] }, /secrets\.0 must be whsec_ and the base64/],
    [{ ...JSON_ROUTE, secrets: [SECRET, SECRET, SECRET] }, /secrets must be two at the most/],
    [{ ...RAW, mode: 'sealed' }, /token is required.*encoding_aes_key is required/s],
    [{ ...RAW, token: 'canary' }, /token must not be set: mode is raw/],
    [{ ...RAW, match: { info_type: '*', event: '*' } }, /match info_type is of events of the plat/],
    [{ ...RAW, match: { authorizer: 'canary' } }, /match\.authorizer must be appids, or \*/],
    [{ ...RAW, match: { msg_type: [] } }, /match\.msg_type/],
    [{ ...RAW, match: { component: 'wx00000000000000ff' } }, /names a component that is not conf/],
    [{ ...RAW, reply: true, match: { info_type: '*' } }, /reply must be false/],
    [{ ...RAW, concurrency: 0 }, /concurrency must be at least 1/],
    [{ ...RAW, per_second: 1.5 }, /per_second/],
    [{ ...RAW, secret: 'canary' }, /routes\.0/],
  ] as const)('%j is refused by name, and not by value', (route, expected) => {
    const faults = faultsOf(route).join('\n');
    expect(faults).toMatch(expected);
    expect(faults).not.toContain('canary');
  });

  it('have different names', () => {
    expect(faultsOf(RAW, JSON_ROUTE)).toEqual(['a route name is configured twice']);
  });

  it('keep out of the log what is secret in them', () => {
    const key = COMPONENT.encoding_aes_key.split('').reverse().join('');
    const target = `https://shop:pass%2Dword@shop.example.com/hooks/${'t'.repeat(24)}?key=${'q'.repeat(24)}`;
    const sealed = {
      ...RAW,
      name: 'sealed',
      mode: 'sealed',
      token: 'appToken',
      encoding_aes_key: key,
    };
    const lone = { ...RAW, name: 'lone', target: 'https://loneToken@shop.example.com/' };
    const config = loadConfig(envWith({ ...JSON_ROUTE, target }, sealed, lone));
    const secrets = secretsOf(config);
    for (const secret of [
      SECRET.slice(6),
      ...['pass-word', 'appToken', key, 'loneToken', 't'.repeat(24), 'q'.repeat(24)],
    ]) {
      expect(secrets).toContain(secret);
    }
  });
});
