import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { addressCheck, certificateCheck } from '../../../src/commands/doctor/callback.ts';
import { maskBody, maskUrl } from '../../../src/commands/doctor/mask.ts';
import type { Installation } from '../../../src/commands/doctor/installation.ts';
import { examineOutgoing } from '../../../src/commands/doctor/outgoing.ts';
import { readQuotaFlags } from '../../../src/commands/doctor/quota.ts';
import { printed } from '../../../src/commands/doctor/report.ts';
import {
  latencyCheck,
  persistenceCheck,
  versionCheck,
} from '../../../src/commands/doctor/redis.ts';
import { examineSettings, faultChecks } from '../../../src/commands/doctor/settings.ts';
import { readTraceFlags } from '../../../src/commands/doctor/trace.ts';
import { ConfigError } from '../../../src/config/faults.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { createManualClock } from '../../kit/clock.ts';
import { troubles } from '../../kit/doctor.ts';
import { platformEnv } from '../../kit/platform.ts';

/** The judgements of the doctor that need no server. */

const DAY = 86_400_000;
const KEY = `a:${'0'.repeat(64)}:admin`;

/** An installation without a fault, and what is different about it. */
function installationOf(
  env: Record<string, string> = {},
  machine: Partial<Installation['machine']> = {},
) {
  const base = platformEnv({ urls: ['http://127.0.0.1:1'] }, 'redis://127.0.0.1:1', 'x:');
  const all = { ...base, PUBLIC_BASE_URL: 'https://wx.example.com', API_KEYS: KEY, ...env };
  return {
    config: loadConfig(all),
    env: all,
    clock: createManualClock(),
    machine: { nodeVersion: 'v24.1.0', inContainer: false, dotenv: '/nowhere/.env', ...machine },
  } as unknown as Installation;
}

const settingsOf = (...different: Parameters<typeof installationOf>) =>
  examineSettings(installationOf(...different));

function fileOfMode(mode: number): string {
  const file = join(mkdtempSync(join(tmpdir(), 'wxkeeper-test-')), '.env');
  writeFileSync(file, '');
  chmodSync(file, mode);
  return file;
}

describe('settings', () => {
  it('have nothing wrong with them when they are well', () => {
    expect(troubles(settingsOf({}, { dotenv: fileOfMode(0o640) }))).toEqual([]);
  });

  it.each([
    [{ PUBLIC_BASE_URL: '' }, {}, 'PUBLIC_BASE_URL'],
    [{ PUBLIC_BASE_URL: 'http://127.0.0.1:3000' }, {}, 'PUBLIC_BASE_URL'],
    [{ INTERNAL_HOST: '0.0.0.0' }, {}, 'INTERNAL_HOST'],
    [{ INTERNAL_HOST: '::' }, {}, 'INTERNAL_HOST'],
    [{ API_KEYS: '' }, {}, 'API_KEYS'],
    // The tests' clock shows November 2026.
    [{}, { nodeVersion: 'v20.19.0' }, 'Node.js'],
    [{}, { nodeVersion: 'v23.1.0' }, 'Node.js'],
  ] as const)('%j %j: a warning', (env, machine, name) => {
    const checks = settingsOf(env, machine);
    expect(troubles(checks)).toEqual([`warn settings ${name} -`]);
    expect(checks.find(({ state }) => state === 'warn')?.advice?.zh).toMatch(/\S/);
  });

  it.each([
    [{ INTERNAL_HOST: '0.0.0.0' }, { inContainer: true }],
    [{}, { nodeVersion: 'v22.1.0' }],
    [{}, { nodeVersion: 'v99.0.0' }],
  ])('%j %j: fine', (env, machine) => {
    expect(troubles(settingsOf(env, machine))).toEqual([]);
  });

  it('in files that everybody may read: a warning with the command', () => {
    const [dotenv, secret] = [fileOfMode(0o644), fileOfMode(0o604)];
    writeFileSync(secret, 'redis://127.0.0.1:1');
    const checks = settingsOf({ REDIS_URL: '', REDIS_URL_FILE: secret }, { dotenv });
    expect(troubles(checks)).toEqual([`warn settings ${dotenv} -`, `warn settings ${secret} -`]);
    expect(checks.find(({ state }) => state === 'warn')?.advice?.en).toBe(`chmod o-rwx ${dotenv}`);
  });

  it('that are wrong: a line each', () => {
    const missing = { setting: 'REDIS_URL', text: 'is required' };
    const checks = faultChecks(
      new ConfigError([missing, { setting: undefined, text: 'an odd one' }]),
    );
    expect(checks.map(({ state, name, seen }) => [state, name.en, seen.en])).toEqual([
      ['failed', 'REDIS_URL', 'is required'],
      ['failed', 'in general', 'an odd one'],
    ]);
  });
});

describe('outgoing calls', () => {
  const outgoingOf = async (env: Record<string, string>) => {
    const installation = installationOf({ WECHAT_API_BASE_URLS: 'https://127.0.0.1:1', ...env });
    return (await examineOutgoing(installation)).checks;
  };

  it.each(['ALL_PROXY', 'all_proxy'])(
    'row 125: %s is set, and not used: a warning that does not show it',
    async (name) => {
      const checks = await outgoingOf({ [name]: 'http://user:p4ssword@proxy.example:3128' });
      expect(troubles(checks)).toEqual([`warn outgoing ${name} -`]);
      expect(checks.find(({ state }) => state === 'warn')?.seen.en).toMatch(/set, and not used/);
      expect(JSON.stringify(checks)).not.toMatch(/p4ssword|proxy\.example/);
      expect(troubles(await outgoingOf({ [name]: '' }))).toEqual([]);
    },
  );

  it('go directly where no proxy is named', async () => {
    const [line, ...others] = await outgoingOf({});
    expect(line?.seen).toEqual({ en: 'directly: 127.0.0.1:1', zh: '直接连接：127.0.0.1:1' });
    expect(others).toEqual([]);
  });
});

describe('Redis', () => {
  it.each([
    ['6.2.14', 'failed'],
    ['7.0.0', 'ok'],
    ['10.0.0', 'ok'],
    ['', 'failed'],
  ])('version "%s" is %s', (version, state) => {
    expect(versionCheck({ redis_version: version }).state).toBe(state);
  });

  it.each([
    [{ aof_enabled: '1', aof_last_write_status: 'ok' }, 'ok'],
    [{ aof_enabled: '1', aof_last_write_status: 'err' }, 'failed'],
    [{ aof_enabled: '1', rdb_last_bgsave_status: 'err' }, 'failed'],
    [{ aof_enabled: '0', rdb_last_bgsave_status: 'ok' }, 'warn'],
  ])('persistence %j is %s', (info, state) => {
    expect(persistenceCheck(info).state).toBe(state);
  });

  it.each([
    [0.3, 'ok'],
    [20, 'ok'],
    [20.1, 'warn'],
  ])('a latency of %s ms is %s', (ms, state) => {
    expect(latencyCheck(ms).state).toBe(state);
  });
});

describe('the callback', () => {
  it.each([
    [['203.0.113.7'], 'ok'],
    [['10.0.0.5', '2001:db8::1'], 'ok'],
    [['10.0.0.5'], 'warn'],
    [['172.31.0.1'], 'warn'],
    [['192.168.1.1', 'fd00::1'], 'warn'],
    [['100.64.0.1'], 'warn'],
    [['::1'], 'warn'],
  ])('at %j is %s', (addresses, state) => {
    const check = addressCheck('wx.example.com', addresses);
    expect(check.state).toBe(state);
    expect(check.seen.en).toContain('as seen from this machine');
  });

  it.each([
    [14, 'ok'],
    [13.9, 'warn'],
  ])('with a certificate of %s more days is %s', (days, state) => {
    expect(certificateCheck(days * DAY, 0).state).toBe(state);
  });
});

describe('a traced request', () => {
  it('keeps only what is known to be harmless', () => {
    expect(
      maskUrl('https://api.weixin.qq.com/cgi-bin/ticket/getticket?access_token=TOP&type=jsapi'),
    ).toEqual({
      path: '/cgi-bin/ticket/getticket',
      query: '?access_token=[secret]&type=jsapi',
    });
    expect(maskUrl('/plain')).toEqual({ path: '/plain', query: '' });
    const body = {
      component_appid: 'wx1',
      authorization_code: 'TOP',
      text: { content: 'TOP' },
      list: ['TOP'],
      n: 7,
    };
    expect(maskBody(JSON.stringify(body))).toBe(
      '{"component_appid":"wx1","authorization_code":"[secret]","text":{"content":"[secret]"},"list":["[secret]"],"n":7}',
    );
    expect(maskBody('token=TOP')).toBe('[9 characters that are no JSON]');
    expect(maskBody('')).toBe('-');
  });
});

describe('flags', () => {
  it.each([
    [readTraceFlags, []],
    [readTraceFlags, ['nonsense']],
    [readTraceFlags, ['5f0d1c2a-1b2c3d4e-5a6b7c8d', 'more']],
    [readTraceFlags, ['5f0d1c2a-1b2c3d4e-5a6b7c8d', '--appid', 'gh_1']],
    [readTraceFlags, ['5f0d1c2a-1b2c3d4e-5a6b7c8d', '--lang', 'fr']],
    [readQuotaFlags, ['positional']],
    [readQuotaFlags, ['--path', 'cgi-bin/token']],
    [readQuotaFlags, ['--confirm', 'wx0123456789abcdef']],
    [readQuotaFlags, ['--clear', '--path', '/cgi-bin/token']],
    [
      readQuotaFlags,
      ['--clear', '--appid', 'wx0123456789abcdef', '--confirm', 'wx00000000000000a1'],
    ],
  ])('%s refuses %j', (read, args) => {
    expect(() => read(args)).toThrow(expect.objectContaining({ name: 'UsageError' }));
  });
});

describe('what is printed', () => {
  it('cannot move the cursor, turn the text around or begin a line of its own', () => {
    const nasty = 'a\u001b[2J\r\nok  fine\u202egnp.\u2066\u2028\u0085b';
    expect(printed([nasty, '中文'], [])).toBe(
      'a\\u001b[2J\\u000d\\u000aok  fine\\u202egnp.\\u2066\\u2028\\u0085b\n中文',
    );
  });

  it('holds no secret', () => {
    expect(printed(['a canary-1 b'], ['canary-1'])).not.toContain('canary-1');
  });

  it('masks numbers that may be codes of users, and keeps those of WeChat', () => {
    expect(maskBody('{"errcode":45009,"mobile":13800000000,"code":123456,"type":1}')).toBe(
      '{"errcode":45009,"mobile":"[secret]","code":"[secret]","type":1}',
    );
  });
});
