import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/config/faults.ts';
import { loadConfig, secretsOf } from '../../src/config/load.ts';

const GOOD: Record<string, string> = {
  REDIS_URL: 'redis://127.0.0.1:6379',
  COMPONENT_APPID: 'wx0123456789abcdef',
  COMPONENT_APPSECRET: '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  COMPONENT_TOKEN: 'callbackToken',
  COMPONENT_ENCODING_AES_KEY: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
};
const ROBOT = 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=canary-0123-4567';
const SECRET = 'SECcanary0123456789';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wxkeeper-alerts-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function fileWith(content: unknown): string {
  files += 1;
  const path = join(folder, String(files));
  writeFileSync(path, JSON.stringify(content));
  return path;
}

function webhooksOf(env: Record<string, string>) {
  return loadConfig({ ...GOOD, ...env }).alertWebhooks;
}

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    webhooksOf(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.sentences;
    throw error;
  }
  return [];
}

describe('where alerts go', () => {
  it('is nowhere unless told', () => {
    expect(webhooksOf({})).toEqual([]);
  });

  it('is one address in the environment: a program in English, a robot in Chinese, unless told', () => {
    const json = { url: 'https://ops.example.com/hook', kind: 'json', secret: undefined };
    expect(webhooksOf({ ALERT_WEBHOOK_URL: json.url })).toEqual([{ ...json, language: 'en' }]);
    const dingtalk = { ALERT_WEBHOOK_URL: ROBOT, ALERT_WEBHOOK_KIND: 'dingtalk' };
    const robot = { url: ROBOT, kind: 'dingtalk', secret: SECRET };
    const signed = { ...dingtalk, ALERT_WEBHOOK_SECRET: SECRET };
    expect(webhooksOf(signed)).toEqual([{ ...robot, language: 'zh' }]);
    expect(webhooksOf({ ...signed, ALERT_LANGUAGE: 'en' })).toEqual([{ ...robot, language: 'en' }]);
  });

  it('are more in CONFIG_FILE, each with its own language', () => {
    const alert_webhooks = [
      { url: 'https://one.example.com/' },
      { url: ROBOT, kind: 'wecom', language: 'en' },
      { url: 'https://two.example.com/', secret: SECRET, language: 'zh' },
    ];
    const env = {
      CONFIG_FILE: fileWith({ alert_webhooks }),
      ALERT_WEBHOOK_URL: 'https://own.example.com/',
    };
    const found = webhooksOf(env).map(({ url, kind, language }) => [
      new URL(url).host,
      kind,
      language,
    ]);
    expect(found).toEqual([
      ['own.example.com', 'json', 'en'],
      ['one.example.com', 'json', 'en'],
      ['qyapi.weixin.qq.com', 'wecom', 'en'],
      ['two.example.com', 'json', 'zh'],
    ]);
  });

  const json =
    'must be an https URL without a user name; http only to loopback and to private addresses and names';
  const robot = 'must be an https URL without a user name; http only to loopback';
  const form = 'must be an https URL without a user name';
  it.each([
    ['https://ops.example.com:8443/a/b?c=d', 'json', undefined],
    ['http://127.0.0.1:8080/', 'wecom', undefined],
    ['http://[::1]:8080/', 'json', undefined],
    ['http://10.1.2.3/hook', 'json', undefined],
    ['http://172.16.0.1/hook', 'json', undefined],
    ['http://100.100.1.2/hook', 'json', undefined],
    ['http://[fd00::1]/hook', 'json', undefined],
    ['http://alertmanager:9093/hook', 'json', undefined],
    ['http://hooks.prod.internal/', 'json', undefined],
    ['http://172.32.0.1/canary', 'json', json],
    ['http://100.128.0.1/canary', 'json', json],
    ['http://[2409::1]/canary', 'json', json],
    ['http://ops.example.com/canary', 'json', json],
    ['http://10.example.com/canary', 'json', json],
    ['http://10.1.2.3/canary', 'feishu', robot],
    ['https://user:canary@ops.example.com/', 'json', form],
    ['https://ops.example.com/#canary', 'json', form],
    ['ftp://ops.example.com/canary', 'json', form],
    ['canary', 'wecom', form],
    ['https://ops.example.com/ca nary', 'json', `${form}; it has a blank in it`],
  ])('%s for %s: %s', (url, kind, fault) => {
    const faults = faultsOf({ ALERT_WEBHOOK_URL: url, ALERT_WEBHOOK_KIND: kind });
    expect(faults).toEqual(fault === undefined ? [] : [`ALERT_WEBHOOK_URL ${fault}`]);
    expect(faultsOf({ CONFIG_FILE: fileWith({ alert_webhooks: [{ url, kind }] }) })).toEqual(
      fault === undefined
        ? []
        : [expect.stringContaining(`CONFIG_FILE alert_webhooks.0.url ${fault}`)],
    );
  });

  it.each<[Record<string, string>, RegExp]>([
    [{ ALERT_WEBHOOK_KIND: 'wecom' }, /^ALERT_WEBHOOK_URL is required$/],
    [{ ALERT_WEBHOOK_SECRET: SECRET }, /^ALERT_WEBHOOK_URL is required$/],
    [
      { ALERT_WEBHOOK_URL: ROBOT, ALERT_WEBHOOK_KIND: 'canary' },
      /^ALERT_WEBHOOK_KIND must be one of json, wecom, dingtalk, feishu, serverchan$/,
    ],
    [
      { ALERT_WEBHOOK_URL: ROBOT, ALERT_WEBHOOK_KIND: 'wecom', ALERT_WEBHOOK_SECRET: SECRET },
      /^ALERT_WEBHOOK_SECRET must not be set: wecom knows no signatures$/,
    ],
    [
      { ALERT_WEBHOOK_URL: ROBOT, ALERT_WEBHOOK_SECRET: 'canary' },
      /^ALERT_WEBHOOK_SECRET must be 16 to 128 characters without spaces$/,
    ],
    [{ ALERT_LANGUAGE: 'canary' }, /^ALERT_LANGUAGE must be zh or en$/],
  ])('%j is refused once, by name and without the value', (env, fault) => {
    const faults = faultsOf(env);
    expect(faults).toEqual([expect.stringMatching(fault)]);
    expect(faults.join()).not.toContain('canary');
  });

  it.each<[unknown, RegExp]>([
    [[{ kind: 'wecom' }], /^CONFIG_FILE alert_webhooks\.0\.url /],
    [[{ url: ROBOT, kind: 'canary' }], /^CONFIG_FILE alert_webhooks\.0\.kind must be one of/],
    [
      [{ url: ROBOT, language: 'canary' }],
      /^CONFIG_FILE alert_webhooks\.0\.language must be zh or en/,
    ],
    [
      [{ url: ROBOT, kind: 'serverchan', secret: SECRET }],
      /^CONFIG_FILE alert_webhooks\.0\.secret must not/,
    ],
    [[{ url: ROBOT, canary: 1 }], /^CONFIG_FILE alert_webhooks\.0 /],
    [{ url: ROBOT }, /^CONFIG_FILE alert_webhooks /],
  ])('%j in CONFIG_FILE is refused', (alert_webhooks, fault) => {
    expect(faultsOf({ CONFIG_FILE: fileWith({ alert_webhooks }) })).toEqual([
      expect.stringMatching(fault),
    ]);
  });

  it('may not be the same twice', () => {
    const env = {
      ALERT_WEBHOOK_URL: ROBOT,
      CONFIG_FILE: fileWith({ alert_webhooks: [{ url: ROBOT }] }),
    };
    expect(faultsOf(env)).toEqual(['an alert webhook is configured twice']);
    // Under two secrets it may: one is being replaced by the other.
    const both = [SECRET, `${SECRET}9`].map((secret) => ({ url: ROBOT, kind: 'feishu', secret }));
    expect(webhooksOf({ CONFIG_FILE: fileWith({ alert_webhooks: both }) })).toHaveLength(2);
  });

  it('is a secret that a log must hide, and so is its key', () => {
    const key = 'SCTcanary0123456789abcdef';
    const url = `https://sctapi.ftqq.com/${key}.send`;
    const config = loadConfig({
      ...GOOD,
      ALERT_WEBHOOK_URL: url,
      ALERT_WEBHOOK_KIND: 'serverchan',
    });
    expect(secretsOf(config)).toEqual(expect.arrayContaining([url, `/${key}.send`, `${key}.send`]));
  });
});
