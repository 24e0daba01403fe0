import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createStation, type Station, type StationOptions } from './platform.ts';

/** Official accounts of our own, in the settings and at WeChat. */

export const STABLE = { appid: 'wx00000000000000a1', secret: 'secret-of-the-stable-account' };
export const CLASSIC = { appid: 'wx00000000000000a2', secret: 'secret-of-the-classic-account' };

const ACCOUNTS = [
  { appid: STABLE.appid, appsecret: STABLE.secret, tickets: ['jsapi', 'wx_card'] },
  { appid: CLASSIC.appid, appsecret: CLASSIC.secret, access_token: 'classic', tickets: ['jsapi'] },
];

/** A station that keeps a component and both accounts. */
export function createAccountStation(options: StationOptions = {}): Promise<Station> {
  const file = join(mkdtempSync(join(tmpdir(), 'wxkeeper-test-')), 'config.json');
  writeFileSync(file, JSON.stringify({ accounts: ACCOUNTS }));
  return createStation({
    ...options,
    env: { CONFIG_FILE: file, ...options.env },
    simulator: { accounts: [STABLE, CLASSIC], ...options.simulator },
  });
}
