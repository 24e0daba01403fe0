import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readAppid } from './appid.ts';

/**
 * Keys of internal callers. A key is `wxk_<id>_<32 random bytes>`; the service is configured with
 * the SHA-256 only, so that a leaked configuration opens nothing.
 */

export type Scope = 'credentials:read' | 'credentials:refresh' | 'status:read' | 'admin';

/** An internal caller. Only the hash of the key is known here. */
export interface ApiKey {
  id: string;
  sha256: string;
  /** `appid` narrows a scope to one subject. */
  grants: readonly { scope: Scope; appid: string | undefined }[];
}

const ENTRY = /^([a-z0-9][a-z0-9-]{0,31}):([0-9a-f]{64}):(.+)$/;
const GRANT = /^(credentials:read|credentials:refresh|status:read|admin)(?:@(wx[0-9a-zA-Z]{16}))?$/;
const PRESENTED = /^wxk_([a-z0-9][a-z0-9-]{0,31})_[A-Za-z0-9_-]{43}$/;

/** Reads `id:sha256hex:scope+scope`, each scope optionally `@appid`; undefined when malformed. */
export function parseApiKeyEntry(entry: string): ApiKey | undefined {
  const [, id, sha256, scopes] = ENTRY.exec(entry) ?? [];
  if (id === undefined || sha256 === undefined || scopes === undefined) return undefined;
  const grants = scopes.split('+').map((text) => GRANT.exec(text));
  if (!grants.every((grant) => grant !== null)) return undefined;
  // One that is kept otherwise, as hex in capitals is, would never be met.
  if (grants.some(([, , appid]) => appid !== undefined && readAppid(appid) !== appid)) {
    return undefined;
  }
  return { id, sha256, grants: grants.map((one) => ({ scope: one[1] as Scope, appid: one[2] })) };
}

/** The id in a text of the form of a key, whether or not there is such a key; to be shown to people. */
export function claimedId(presented: string): string | undefined {
  return PRESENTED.exec(presented)?.[1];
}

/** A new key and the entry that lets it in. The key itself is shown once and kept nowhere. */
export function makeApiKey(id: string, scopes: string): { key: string; entry: string } {
  const key = `wxk_${id}_${randomBytes(32).toString('base64url')}`;
  return { key, entry: `${id}:${hashOf(key)}:${scopes}` };
}

/** Of nothing that could be presented. */
const NO_HASH = '0'.repeat(64);
/** Two hashes are compared in them. */
const [presentedHash, knownHash] = [Buffer.alloc(64), Buffer.alloc(64)];

/** The caller who presents this key, or undefined. Takes the same time for any wrong key. */
export function findApiKey(keys: readonly ApiKey[], presented: string): ApiKey | undefined {
  const id = claimedId(presented);
  const key = keys.find((one) => one.id === id);
  presentedHash.write(hashOf(presented), 'latin1');
  knownHash.write(key?.sha256 ?? NO_HASH, 'latin1');
  return timingSafeEqual(presentedHash, knownHash) ? key : undefined;
}

/**
 * The appids for which a key holds a scope; `admin` holds every scope. Undefined means all of them,
 * an empty list none.
 */
export function appidsFor(key: ApiKey, scope: Scope): readonly string[] | undefined {
  const grants = key.grants.filter((grant) => grant.scope === scope || grant.scope === 'admin');
  const appids = grants.map((grant) => grant.appid).filter((appid) => appid !== undefined);
  return appids.length < grants.length ? undefined : appids;
}

/** Whether a key holds a scope for one of these appids, or for all. */
export function mayUse(key: ApiKey, scope: Scope, appids: readonly string[]): boolean {
  const allowed = appidsFor(key, scope);
  return allowed === undefined || appids.some((appid) => allowed.includes(appid));
}

/** The keys of a running service, which may change while it runs. */
export interface KeyRing {
  /** Always the keys of this moment: it is the list itself that changes. */
  readonly list: readonly ApiKey[];
  /** Takes these keys in place of all others; returns the ids of what is different. */
  replace(keys: readonly ApiKey[]): { added: string[]; removed: string[]; changed: string[] };
}

export function createKeyRing(keys: readonly ApiKey[]): KeyRing {
  const list = [...keys];
  return {
    list,
    replace(next) {
      const before = new Map(list.map((key) => [key.id, JSON.stringify(key)]));
      const after = new Map(next.map((key) => [key.id, JSON.stringify(key)]));
      list.splice(0, list.length, ...next);
      const [old, all] = [[...before.keys()], [...after.keys()]];
      return {
        added: all.filter((id) => !before.has(id)),
        removed: old.filter((id) => !after.has(id)),
        changed: all.filter((id) => before.has(id) && before.get(id) !== after.get(id)),
      };
    },
  };
}

/** In one call, which takes a third of a microsecond: nothing that is remembered would be cheaper. */
function hashOf(key: string): string {
  return hash('sha256', key);
}
