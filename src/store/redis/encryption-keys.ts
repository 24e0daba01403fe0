import { KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { CredentialId } from './keys.ts';
import { onRedis } from './connection.ts';
import { isEncrypted, keyIdOf, type EncryptionStanding } from './token-encryption.ts';
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
export interface EncryptionProblem {
  reason: string;
  cause: 'key' | 'token';
}

/** Undefined when nothing is known against our keys and the stored tokens. */
export function encryptionProblem({
  encryption,
  time,
}: Pick<Store, 'encryption' | 'time'>): EncryptionProblem | undefined {
  if (encryption.standing.state === 'wrong')
    return { reason: encryption.standing.problem, cause: 'key' };
  const recent = (seen: ReadonlyMap<string, number>) =>
    [...seen].flatMap(([name, at]) => (at > time.now() - RECENT_MS ? [name] : [])).sort();
  const ids = recent(encryption.unopened);
  if (ids.length > 0) {
    const reason = `REFRESH_TOKEN_KEYS opens no tokens that were sealed with: ${ids.join(', ')}`;
    return { reason, cause: 'key' };
  }
  const { length } = recent(encryption.misplaced);
  if (length === 0) return undefined;
  const keys = encryption.keys.map(({ id }) => id).join(', ');
  // Without names: whoever sees the status may not see these accounts. The log has them.
  const tokens = length === 1 ? 'one token was' : `${length} tokens were`;
  const reason = `The sealing keys are there (${keys}), but ${tokens} sealed for another account or altered`;
  return { reason, cause: 'token' };
}

/** How many refresh tokens, of those that were read, are stored as they are although we seal. */
export function plainTokens({ encryption }: Pick<Store, 'encryption'>): number {
  return encryption.plain.size;
}

/**
 * Compares our keys with those that Redis knows, and logs what has changed.
 * @throws KeeperError `store_unavailable`
 */
export async function checkEncryptionKeys(store: Store, log: Log): Promise<void> {
  const { encryption } = store;
  const before = encryption.standing;
  encryption.standing = await compare(store);
  // Redis has lost its memory, and this key has sealed what it is about to be given back.
  const used = before.state === 'agreed' && before.registered;
  if (used && encryption.standing.state === 'agreed' && !encryption.standing.registered)
    await register(store);
  reportPlain(store, log);
  const problem = encryptionProblem(store)?.reason;
  if (problem !== undefined && problem !== encryption.reported) {
    const accounts = [...encryption.misplaced.keys()].slice(0, 20);
    const fields = { problem, ...(accounts.length > 0 && { accounts }) };
    log.error('refresh tokens cannot be opened; none of them is overwritten', fields);
  } else if (problem === undefined && encryption.reported !== undefined) {
    log.info('refresh tokens can be opened again');
  }
  encryption.reported = problem;
}

/** Says it once for each number, so that a switch to sealing is seen to come to its end. */
function reportPlain({ encryption }: Store, log: Log): void {
  const count = encryption.plain.size;
  if (count === encryption.reportedPlain) return;
  if (count > encryption.reportedPlain) {
    const message =
      'refresh tokens are stored as they are although REFRESH_TOKEN_KEYS is set; each is sealed at its ' +
      'next refresh. If sealing has been on for hours, somebody has written them by hand';
    log.warn(message, { count });
  } else if (count === 0) log.info('all refresh tokens that were read are sealed');
  encryption.reportedPlain = count;
}

/**
 * Sees to it that what we seal from now on can be opened later; to be asked before WeChat issues what
 * will have to be stored. Returns why it cannot.
 * @throws KeeperError `store_unavailable`
 */
export async function readyEncryption(store: Store): Promise<KeeperError | undefined> {
  const { encryption } = store;
  if (encryption.standing.state === 'unknown') encryption.standing = await compare(store);
  if (encryption.standing.state === 'agreed' && !encryption.standing.registered)
    await register(store);
  return encryption.standing.state === 'wrong'
    ? unreadable(encryption.standing.problem)
    : undefined;
}

/**
 * A refresh token as it is stored for this credential. Its subject goes into the seal, so that the
 * text opens in no other record.
 * @throws KeeperError `store_unavailable`, `sealed_unreadable`
 */
export async function encryptToken(
  store: Store,
  { subject }: CredentialId,
  token: string | undefined,
): Promise<string | undefined> {
  if (token === undefined) return undefined;
  const problem = await readyEncryption(store);
  if (problem !== undefined) throw problem;
  return store.encryption.seal(token, subject);
}

/**
 * Why nothing is minted with a token that none of our keys opens; the status will say so too.
 * @param subject whose record it is in
 */
export function cannotDecrypt(
  { encryption, time }: Store,
  subject: string,
  sealed: string,
): KeeperError {
  const id = keyIdOf(sealed) ?? 'unknown';
  if (encryption.keys.some((key) => key.id === id) && encryption.standing.state !== 'wrong') {
    encryption.misplaced.set(subject, time.now());
    const message =
      'The stored refresh token was sealed for another account, or was altered: the key that sealed it ' +
      'is there. Restore the record of this account, or let it authorize anew; the token is kept as it is.';
    return new KeeperError('sealed_unreadable', message, {
      detail: `misplaced, sealed with ${id}`,
      retryAfterSeconds: 30,
    });
  }
  encryption.unopened.set(id, time.now());
  return unreadable(`sealed with ${id}`);
}

function unreadable(detail: string): KeeperError {
  const message =
    'The stored refresh token cannot be opened or sealed: REFRESH_TOKEN_KEYS lacks the key that ' +
    'sealed it. Put that key back into the settings; the token is kept as it is.';
  return new KeeperError('sealed_unreadable', message, { detail, retryAfterSeconds: 30 });
}

async function compare({ redis, keys, encryption }: Store): Promise<EncryptionStanding> {
  const stored = await onRedis(() => redis.hgetall(keys.sealKeys));
  for (const { id } of encryption.keys) {
    const text = stored[id];
    if (
      text !== undefined &&
      (!isEncrypted(text) || encryption.open(text, contextOf(id)) !== KNOWN_TEXT)
    ) {
      const problem = `REFRESH_TOKEN_KEYS: the key named ${id} is not the one that sealed the stored tokens`;
      return { state: 'wrong', problem };
    }
  }
  const [first] = encryption.keys;
  const names = Object.keys(stored).sort();
  if (names.length > 0 && !encryption.keys.some(({ id }) => names.includes(id))) {
    const problem = `REFRESH_TOKEN_KEYS has none of the keys that sealed the stored tokens: ${names.join(', ')}`;
    return { state: 'wrong', problem };
  }
  return { state: 'agreed', registered: first === undefined || names.includes(first.id) };
}

/** Another replica may have done it before, with another key of the same name. */
async function register(store: Store): Promise<void> {
  const { redis, keys, encryption } = store;
  const [first] = encryption.keys;
  if (first === undefined) return;
  const text = encryption.seal(KNOWN_TEXT, contextOf(first.id));
  await onRedis(() => redis.hsetnx(keys.sealKeys, first.id, text));
  encryption.standing = await compare(store);
}

function contextOf(id: string): string {
  return `seal_keys:${id}`;
}
