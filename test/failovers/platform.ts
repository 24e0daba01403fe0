import { Command } from 'ioredis';
import { windowOf } from '../../src/credentials/freshness.ts';
import { createKeys, type CredentialId } from '../../src/store/redis/keys.ts';

/** Who is kept: two platforms and their authorizers, with lives so short that somebody is always due. */

export const PREFIX = 'failovers:';
export const keys = createKeys(PREFIX);

/**
 * Seconds. Half of a life is the window: longer than the quarantine after a failover (25 s) and what a
 * failover takes, as it is in production, where it is 900 s of 7,200.
 */
export const LIFE_SECONDS = 80;
export const WINDOW_SECONDS = 40;

const AUTHORIZERS_EACH = 12;
/** Those with a short one would not live through a quarantine, which is not divided as lives are. */
const LEAST_SHARE_OF_WINDOW = 0.9;
const SLOTS = 16_384;
const SHARDS = 3;

/** Gets a push every 20 ms; its shard is the one that fails. */
export const PUSHED = {
  appid: 'wx00000000000000c1',
  secret: 'secret-of-the-pushed-platform-001',
  token: 'tokenOfThePushed',
  encodingAesKey: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
};
/** Of a cluster it is on another shard. */
export const OTHER = {
  appid: otherAppid(),
  secret: 'secret-of-the-other-platform-0002',
  token: 'tokenOfTheOther',
  encodingAesKey: 'GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba',
};
/** One that wxkeeper does nothing with but to store it, and to deliver it. */
export const EVENT = 'event_of_a_test';
/** The element by which a push is found again. */
export const NUMBER = 'NumberOfTest';

export type Token = CredentialId & {
  kind: 'component_access_token' | 'pre_auth_code' | 'authorizer_access_token';
};

export interface Authorizer {
  component: string;
  appid: string;
}

/** As many on each third of the slots, of either platform. */
export const AUTHORIZERS: readonly Authorizer[] = [PUSHED, OTHER].flatMap(({ appid }) =>
  authorizersOf(appid),
);

export const TOKENS: readonly Token[] = [
  ...[PUSHED, OTHER].flatMap(({ appid }): Token[] => [
    { kind: 'component_access_token', subject: appid },
    { kind: 'pre_auth_code', subject: appid },
  ]),
  ...AUTHORIZERS.map(({ component, appid }): Token => ({
    kind: 'authorizer_access_token',
    subject: `${component}:${appid}`,
  })),
];

function authorizersOf(component: string): Authorizer[] {
  const found: Authorizer[] = [];
  for (let number = 0; found.length < AUTHORIZERS_EACH; number += 1) {
    const appid = `wxa${number.toString(16).padStart(15, '0')}`;
    const id = { kind: 'authorizer_access_token', subject: `${component}:${appid}` } as const;
    const isLong = windowOf(id, 1e6) >= LEAST_SHARE_OF_WINDOW * 1e6;
    if (isLong && shardOf(appid) === found.length % SHARDS) found.push({ component, appid });
  }
  return found;
}

/** Of a cluster as the kit lays it out. */
export function shardOf(appid: string): number {
  const slot = new Command('GET', [`{${appid}}`]).getSlot();
  return Math.floor((slot * SHARDS) / SLOTS);
}

function otherAppid(): string {
  for (let number = 0; ; number += 1) {
    const appid = `wx${number.toString(16).padStart(14, '0')}c2`;
    if (shardOf(appid) !== shardOf(PUSHED.appid)) return appid;
  }
}
