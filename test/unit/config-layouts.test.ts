import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/config/faults.ts';
import { LAYOUT_KINDS, LAYOUT_PRESETS } from '../../src/config/layouts.ts';
import { loadConfig, secretsOf } from '../../src/config/load.ts';
import { readDocument } from './docs/markdown.ts';

const COMPONENT = {
  appid: 'wxaaaaaaaaaaaaaaaa',
  appsecret: 'secretOfTheComponent',
  token: 'callbackToken',
  encoding_aes_key: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
};
const OTHER = { ...COMPONENT, appid: 'wxbbbbbbbbbbbbbbbb', token: 'otherToken' };
const ACCOUNT = { appid: 'wxcccccccccccccccc', appsecret: 'secretOfTheAccount' };
const AUTHORIZER = 'wxdddddddddddddddd';
const EW6 = { preset: 'easywechat-6', appids: '*', secret: 'wxk_shop_key' };
const KEY = { kind: 'access_token', name: '{prefix}token:{appid}' };
const CUSTOM = { preset: 'custom', name: 'shop', appids: '*', keys: [KEY] };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wxkeeper-layouts-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function envWith(layouts: object[], components: object[]): Record<string, string> {
  files += 1;
  const path = join(folder, String(files));
  writeFileSync(path, JSON.stringify({ components, accounts: [ACCOUNT], layouts }));
  return { REDIS_URL: 'redis://127.0.0.1:6379', CONFIG_FILE: path };
}

const load = (layouts: object[], components: object[] = [COMPONENT]) =>
  loadConfig(envWith(layouts, components));

function faultsOf(layouts: object[], components?: object[]): readonly string[] {
  try {
    load(layouts, components);
  } catch (error) {
    if (error instanceof ConfigError) return error.sentences;
    throw error;
  }
  return [];
}

const customKey = (fields: object) => ({ ...CUSTOM, keys: [{ ...KEY, ...fields }] });

describe('layouts in CONFIG_FILE', () => {
  it('need a preset and appids; the rest is as usual', () => {
    const [layout] = load([{ preset: 'silenceper', appids: ['WXCCCCCCCCCCCCCCCC'] }]).layouts;
    expect(layout).toEqual({
      name: 'silenceper',
      preset: 'silenceper',
      appids: [ACCOUNT.appid],
      ticket: 'placeholder',
      keys: [],
      prefix: undefined,
      secret: undefined,
      codec: undefined,
      redisUrl: undefined,
    });
  });

  it('are the same when they are read again', () => {
    const both = [1, 2].map(() => load([EW6, CUSTOM]).layouts);
    expect(isDeepStrictEqual(both[0], both[1])).toBe(true);
  });

  it('keep what is secret in them out of the log', () => {
    const redis_url = 'redis://shop:p%40ss@10.0.0.9:6379/2';
    const secrets = secretsOf(load([{ ...EW6, redis_url }]));
    expect(secrets).toEqual(expect.arrayContaining(['wxk_shop_key', 'p%40ss', 'p@ss']));
  });

  it.each([
    [
      { ...EW6, preset: 'easywechat' },
      /^CONFIG_FILE layouts\.0\.preset must be one of wxjava-mp, /,
    ],
    [{ ...EW6, appids: [] }, /appids must be a list of appids, or \*/],
    [{ ...EW6, appids: 'wxcccccccccccccccc' }, /appids must be a list of appids, or \*/],
    [{ ...EW6, secret: undefined }, /secret is required: keys have it in their names/],
    [{ ...EW6, secret: 'a:b' }, /secret must have none of \{\}\(\)/],
    [{ preset: 'wxjava-mp', appids: '*', secret: 'x' }, /secret must not be set: wxjava-mp/],
    [{ ...EW6, codec: 'igbinary' }, /codec must be one of raw, json, php/],
    [{ ...EW6, preset: 'easywechat-5', codec: 'raw' }, /codec must be php or json/],
    [{ preset: 'yii', appids: '*', codec: 'json' }, /codec must not be set: yii has one/],
    [{ ...EW6, ticket: 'yes' }, /ticket must be placeholder or real/],
    [{ ...EW6, redis_url: 'http://10.0.0.9' }, /redis_url must be redis:\/\//],
    [{ ...EW6, prefx: '' }, /Unrecognized key/],
    [{ ...EW6, keys: [KEY] }, /keys must not be set/],
    [{ ...CUSTOM, keys: undefined }, /keys is required/],
    [{ ...CUSTOM, name: undefined }, /name is required/],
    [{ ...CUSTOM, secret: 'x' }, /secret must not be set/],
    [customKey({ name: '{prefix}{secret}{appid}' }), /secret is required/],
    [customKey({ name: '{prefix}token' }), /needs \{appid\} or \{component\}/],
    [customKey({ name: '{apid}' }), /name knows only \{prefix\}, \{appid\}/],
    [customKey({ name: 'wx:access_token:{{appid}}' }), /must have no braces/],
    [customKey({ name: '{component}' }), /must not have \{component\}/],
    [customKey({ name: '{appid}{refresh_token}' }), /may have \{refresh_token\}/],
    [customKey({ value: { token: 'value' } }), /needs the codec json or php/],
    [customKey({ value: 'token' }), /must be one of value, expires_in/],
    [customKey({ seconds: 0 }), /seconds must be at least 1/],
    [customKey({ seconds: 9, ends_before: 9 }), /ends_before and seconds are both set/],
  ])('are refused with what is wrong: %j', (layout, expected) => {
    expect(faultsOf([layout]).join('\n')).toMatch(expected);
  });

  it('have a name each, and one platform where their keys do not tell platforms apart', () => {
    expect(faultsOf([EW6, EW6])).toEqual(['a layout name is configured twice']);
    const both = [COMPONENT, OTHER];
    const wechatpy = { preset: 'wechatpy-2', appids: '*' };
    expect(faultsOf([wechatpy])).toEqual([]);
    expect(faultsOf([wechatpy], both)[0]).toMatch(/has one key for several platforms/);
    expect(faultsOf([{ ...wechatpy, appids: [AUTHORIZER] }], both)[0]).toMatch(/several platforms/);
    expect(faultsOf([{ ...wechatpy, appids: [OTHER.appid] }], both)).toEqual([]);
    const meeting = { kind: 'authorizer_access_token', name: '{appid}' };
    expect(faultsOf([{ ...CUSTOM, keys: [meeting] }], both)[0]).toMatch(/several platforms/);
    expect(faultsOf([EW6], both)).toEqual([]);
  });

  it('know that an appid of nobody is an authorizer’s, where there is a platform', () => {
    expect(faultsOf([{ ...EW6, appids: [AUTHORIZER] }])).toEqual([]);
    expect(faultsOf([{ ...EW6, appids: [AUTHORIZER] }], [])).toEqual([
      'the layout easywechat-6 names an appid that is not configured',
    ]);
  });
});

describe.each(['docs/layouts.md', 'docs/layouts.zh-CN.md'])('%s', (path) => {
  const blocks = readDocument(path).codeBlocks.filter(({ language }) => language === 'json');
  it('has examples that are taken', () => {
    const all = blocks.flatMap(({ code }) => (JSON.parse(code) as { layouts: object[] }).layouts);
    expect(load(all).layouts).toHaveLength(all.length);
    const presets = load(all).layouts.map(({ preset }) => preset);
    expect(LAYOUT_PRESETS.filter((one) => !presets.includes(one))).toEqual(['easywechat-4']);
  });

  it('names every preset and every kind', () => {
    const { text } = readDocument(path);
    for (const name of [...LAYOUT_PRESETS, ...LAYOUT_KINDS]) expect(text).toContain(`\`${name}\``);
  });
});
