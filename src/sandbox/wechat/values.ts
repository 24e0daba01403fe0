import { randomBytes } from 'node:crypto';
import { note, type MintKind, type MintRecord } from './ledger.ts';
import type { Issued, World } from './model.ts';

/** The values that WeChat issues, and what has become of each. */

/** Which values replace each other, and how long the former one stays usable. */
interface Succession {
  /** Tokens of one family end their predecessor; the classic and the stable family are apart. */
  family: string;
  overlapMs: number;
}

export type MintNote = Pick<MintRecord, 'ticket' | 'component' | 'api' | 'foreign'>;

/** Issues a new value of `kind` for `owner` and writes it into the ledger. */
export function issue(
  world: World,
  owner: string,
  kind: MintKind,
  succession?: Succession,
  more: MintNote = {},
): Issued {
  const at = world.clock.now();
  const value = randomValue(kind);
  const expiresAt = at + lifeMs(world, kind);
  const issued: Issued = { value, owner, issuedAt: at, expiresAt, endedAt: Infinity };
  if (succession !== undefined) {
    const key = `${succession.family} ${owner}`;
    // Only the direct predecessor: those before it have had their end set by an earlier one.
    const former = world.current.get(key);
    if (former) former.endedAt = Math.min(former.endedAt, at + succession.overlapMs);
    world.current.set(key, issued);
  }
  remember(world, world.issued[kind], issued);
  const appid = owner.slice(owner.indexOf(':') + 1);
  note(
    world.ledger.mints,
    { at, appid, kind, value, expiresAt, ...more },
    world.settings.ledgerLimit,
  );
  return issued;
}

/** Takes a value that another world issued as one of this world's own, issued now. */
export function adopt(
  world: World,
  owner: string,
  kind: MintKind,
  value: string,
  family: string,
): Issued {
  const at = world.clock.now();
  const expiresAt = at + lifeMs(world, kind);
  const adopted: Issued = { value, owner, issuedAt: at, expiresAt, endedAt: Infinity };
  world.current.set(`${family} ${owner}`, adopted);
  remember(world, world.issued[kind], adopted);
  return adopted;
}

/** The newest value of a family, dead or alive. */
export function currentOf(world: World, family: string, owner: string): Issued | undefined {
  return world.current.get(`${family} ${owner}`);
}

export function find(world: World, kind: MintKind, value: string): Issued | undefined {
  return world.issued[kind].get(value);
}

export function lifeMs(world: World, kind: MintKind): number {
  const { settings } = world;
  switch (kind) {
    case 'component_verify_ticket':
      return settings.ticketLifeMs;
    case 'component_access_token':
      return settings.componentAccessTokenMs;
    case 'pre_auth_code':
      return settings.preAuthCodeMs;
    case 'authorization_code':
      return settings.authorizationCodeMs;
    case 'access_token':
    case 'authorizer_access_token':
      return settings.accessTokenMs;
    case 'jsapi_ticket':
    case 'wx_card_ticket':
      return settings.accountTicketMs;
  }
}

/** A value of the shape WeChat gives it that no world knows. */
export function randomValue(kind: MintKind): string {
  switch (kind) {
    case 'component_verify_ticket':
      return `ticket@@@${randomBytes(64).toString('base64url')}`;
    case 'component_access_token':
    case 'access_token':
    case 'authorizer_access_token':
      // About 130 characters with a short numeric head, as real ones have.
      return `9_${randomBytes(96).toString('base64url')}`;
    case 'pre_auth_code':
      return `preauthcode@@@${randomBytes(66).toString('base64url')}`;
    case 'authorization_code':
      return `queryauthcode@@@${randomBytes(66).toString('base64url')}`;
    case 'jsapi_ticket':
    case 'wx_card_ticket':
      return `sM4AOVdWfPE4DxkXGEs8V${randomBytes(48).toString('base64url')}`;
  }
}

export type Verdict = 'live' | 'expired' | 'ended' | 'unknown';

/** What has become of a value. One that ended early stays `ended`, also past its expiry. */
export function judge(issued: Issued | undefined, at: number): Verdict {
  if (issued === undefined) return 'unknown';
  if (at >= issued.endedAt && issued.endedAt <= issued.expiresAt) return 'ended';
  return at >= issued.expiresAt ? 'expired' : 'live';
}

/** Whether a value works, or worked at an earlier instant `at` (epoch milliseconds). */
export function isLive(world: World, kind: MintKind, value: string, at: number): boolean {
  const issued = find(world, kind, value);
  return issued !== undefined && at >= issued.issuedAt && judge(issued, at) === 'live';
}

/** What a merchant's scan does to a pre_auth_code: it works once. */
export function usePreAuthCode(world: World, code: string): 'ok' | 'used' | 'expired' | 'unknown' {
  const now = world.clock.now();
  const issued = find(world, 'pre_auth_code', code);
  const verdict = judge(issued, now);
  if (issued === undefined || verdict === 'unknown') return 'unknown';
  if (verdict === 'expired') return 'expired';
  if (verdict === 'ended') return 'used';
  issued.endedAt = now;
  return 'ok';
}

/**
 * Bounds the memory of endless runs: forgets the oldest values beyond the setting, but none that
 * still lives.
 */
function remember(world: World, values: Map<string, Issued>, issued: Issued): void {
  values.set(issued.value, issued);
  const limit = world.settings.rememberedValues;
  // Many at once: an iteration begins with all the places that deleting has left empty.
  if (values.size <= limit || values.size % Math.ceil((limit + 1) / 256) !== 0) return;
  // A Map iterates in the order of insertion, which is that of the ends, too: when the first one
  // lives, so do those after it.
  for (const [value, oldest] of values) {
    if (values.size <= limit) return;
    if (judge(oldest, issued.issuedAt) === 'live') return;
    values.delete(value);
  }
}
