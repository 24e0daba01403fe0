import { KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { CredentialId } from './keys.ts';
import { onRedis } from './connection.ts';
import { isSealed, keyIdOf, type SealStanding } from './token-encryption.ts';
import type { Store } from './store.ts';

/**
 * Whether our sealing keys are those of the stored tokens. Redis keeps a known text sealed with every
 * key that was ever used. Whoever has another key of that name, or none of them all, writes no token:
 * what it sealed could not be opened under the right settings.
 */

const KNOWN_TEXT = 'wxkeeper';
/** Milliseconds: an authorizer that is blocked is looked at again every minute. */
const RECENT_MS = 150_000;

/** What is wrong with sealed tokens: in words without any key, and whether a key is what is missing. */
export interface SealProblem {
  reason: string;
  cause: 'key' | 'token';
}

/** Undefined when nothing is known against our keys and the stored tokens. */
export function sealProblem({ seal, time }: Pick<Store, 'seal' | 'time'>): SealProblem | undefined {
  if (seal.standing.state === 'wrong') return { reason: seal.standing.problem, cause: 'key' };
  const recent = (seen: ReadonlyMap<string, number>) =>
    [...seen].flatMap(([name, at]) => (at > time.now() - RECENT_MS ? [name] : [])).sort();
  const ids = recent(seal.unopened);
  if (ids.length > 0) {
    const reason = `REFRESH_TOKEN_KEYS opens no tokens that were sealed with: ${ids.join(', ')}`;
    return { reason, cause: 'key' };
  }
  const { length } = recent(seal.misplaced);
  if (length === 0) return undefined;
  const keys = seal.keys.map(({ id }) => id).join(', ');
  // Without names: whoever sees the status may not see these accounts. The log has them.
  const tokens = length === 1 ? 'one token was' : `${length} tokens were`;
  const reason = `The sealing keys are there (${keys}), but ${tokens} sealed for another account or altered`;
  return { reason, cause: 'token' };
}

/** How many refresh tokens, of those that were read, are stored as they are although we seal. */
export function plainTokens({ seal }: Pick<Store, 'seal'>): number {
  return seal.plain.size;
}

/**
 * Compares our keys with those that Redis knows, and logs what has changed.
 * @throws KeeperError `store_unavailable`
 */
export async function checkSealKeys(store: Store, log: Log): Promise<void> {
  const { seal } = store;
  const before = seal.standing;
  seal.standing = await compare(store);
  // Redis has lost its memory, and this key has sealed what it is about to be given back.
  const used = before.state === 'agreed' && before.registered;
  if (used && seal.standing.state === 'agreed' && !seal.standing.registered) await register(store);
  reportPlain(store, log);
  const problem = sealProblem(store)?.reason;
  if (problem !== undefined && problem !== seal.reported) {
    const accounts = [...seal.misplaced.keys()].slice(0, 20);
    const fields = { problem, ...(accounts.length > 0 && { accounts }) };
    log.error('refresh tokens cannot be opened; none of them is overwritten', fields);
  } else if (problem === undefined && seal.reported !== undefined) {
    log.info('refresh tokens can be opened again');
  }
  seal.reported = problem;
}

/** Says it once for each number, so that a switch to sealing is seen to come to its end. */
function reportPlain({ seal }: Store, log: Log): void {
  const count = seal.plain.size;
  if (count === seal.reportedPlain) return;
  if (count > seal.reportedPlain) {
    const message =
      'refresh tokens are stored as they are although REFRESH_TOKEN_KEYS is set; each is sealed at its ' +
      'next refresh. If sealing has been on for hours, somebody has written them by hand';
    log.warn(message, { count });
  } else if (count === 0) log.info('all refresh tokens that were read are sealed');
  seal.reportedPlain = count;
}

/**
 * Sees to it that what we seal from now on can be opened later; to be asked before WeChat issues what
 * will have to be stored. Returns why it cannot.
 * @throws KeeperError `store_unavailable`
 */
export async function readySeal(store: Store): Promise<KeeperError | undefined> {
  const { seal } = store;
  if (seal.standing.state === 'unknown') seal.standing = await compare(store);
  if (seal.standing.state === 'agreed' && !seal.standing.registered) await register(store);
  return seal.standing.state === 'wrong' ? unreadable(seal.standing.problem) : undefined;
}

/**
 * A refresh token as it is stored for this credential. Its subject goes into the seal, so that the
 * text opens in no other record.
 * @throws KeeperError `store_unavailable`, `sealed_unreadable`
 */
export async function sealToken(
  store: Store,
  { subject }: CredentialId,
  token: string | undefined,
): Promise<string | undefined> {
  if (token === undefined) return undefined;
  const problem = await readySeal(store);
  if (problem !== undefined) throw problem;
  return store.seal.seal(token, subject);
}

/**
 * Why nothing is minted with a token that none of our keys opens; the status will say so too.
 * @param subject whose record it is in
 */
export function cannotOpen({ seal, time }: Store, subject: string, sealed: string): KeeperError {
  const id = keyIdOf(sealed) ?? 'unknown';
  if (seal.keys.some((key) => key.id === id) && seal.standing.state !== 'wrong') {
    seal.misplaced.set(subject, time.now());
    const message =
      'The stored refresh token was sealed for another account, or was altered: the key that sealed it ' +
      'is there. Restore the record of this account, or let it authorize anew; the token is kept as it is.';
    return new KeeperError('sealed_unreadable', message, {
      detail: `misplaced, sealed with ${id}`,
      retryAfterSeconds: 30,
    });
  }
  seal.unopened.set(id, time.now());
  return unreadable(`sealed with ${id}`);
}

function unreadable(detail: string): KeeperError {
  const message =
    'The stored refresh token cannot be opened or sealed: REFRESH_TOKEN_KEYS lacks the key that ' +
    'sealed it. Put that key back into the settings; the token is kept as it is.';
  return new KeeperError('sealed_unreadable', message, { detail, retryAfterSeconds: 30 });
}

async function compare({ redis, keys, seal }: Store): Promise<SealStanding> {
  const stored = await onRedis(() => redis.hgetall(keys.sealKeys));
  for (const { id } of seal.keys) {
    const text = stored[id];
    if (text !== undefined && (!isSealed(text) || seal.open(text, contextOf(id)) !== KNOWN_TEXT)) {
      const problem = `REFRESH_TOKEN_KEYS: the key named ${id} is not the one that sealed the stored tokens`;
      return { state: 'wrong', problem };
    }
  }
  const [first] = seal.keys;
  const names = Object.keys(stored).sort();
  if (names.length > 0 && !seal.keys.some(({ id }) => names.includes(id))) {
    const problem = `REFRESH_TOKEN_KEYS has none of the keys that sealed the stored tokens: ${names.join(', ')}`;
    return { state: 'wrong', problem };
  }
  return { state: 'agreed', registered: first === undefined || names.includes(first.id) };
}

/** Another replica may have done it before, with another key of the same name. */
async function register(store: Store): Promise<void> {
  const { redis, keys, seal } = store;
  const [first] = seal.keys;
  if (first === undefined) return;
  const text = seal.seal(KNOWN_TEXT, contextOf(first.id));
  await onRedis(() => redis.hsetnx(keys.sealKeys, first.id, text));
  seal.standing = await compare(store);
}

function contextOf(id: string): string {
  return `seal_keys:${id}`;
}
