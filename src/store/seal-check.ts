import { KeeperError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { CredentialId } from './keys.ts';
import { onRedis } from './redis.ts';
import type { SealStanding } from './seal.ts';
import type { Store } from './store.ts';

/**
 * Whether our sealing keys are those of the stored tokens. Redis keeps a known text sealed with every
 * key that was ever used. Whoever has another key of that name, or none of them all, writes no token:
 * what it sealed could not be opened under the right settings.
 */

const KNOWN_TEXT = 'wxkeeper';
/** Milliseconds: an authorizer that is blocked is looked at again every minute. */
const RECENT_MS = 150_000;

/**
 * What of our keys a person must put right, in words without any of them.
 * Undefined when nothing is known against them.
 */
export function sealProblem({ seal, time }: Pick<Store, 'seal' | 'time'>): string | undefined {
  if (seal.standing.state === 'wrong') return seal.standing.problem;
  const ids = [...seal.unopened].flatMap(([id, at]) => (at > time.now() - RECENT_MS ? [id] : []));
  if (ids.length === 0) return undefined;
  return `REFRESH_TOKEN_KEYS opens no tokens that were sealed with: ${ids.sort().join(', ')}`;
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
  const problem = sealProblem(store);
  if (problem !== undefined && problem !== seal.reported) {
    log.error('refresh tokens cannot be opened; none of them is overwritten', { problem });
  } else if (problem === undefined && seal.reported !== undefined) {
    log.info('refresh tokens can be opened again');
  }
  seal.reported = problem;
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

/** Why nothing is minted with a token that none of our keys opens; the status will say so too. */
export function cannotOpen({ seal, time }: Store, sealed: string): KeeperError {
  const id = /^sealed:v1:([a-z0-9-]{1,32}):/.exec(sealed)?.[1] ?? 'unknown';
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

function isSealed(text: string): boolean {
  return text.startsWith('sealed:');
}

function contextOf(id: string): string {
  return `seal_keys:${id}`;
}
