import type { KeeperError } from '../lib/errors.ts';
import type { CredentialId } from '../store/redis/keys.ts';
import type { MintBudget, Refusal } from '../store/credentials/mint.ts';
import type { CredentialRecord } from '../store/credentials/record.ts';
import type { StoredError } from '../store/credentials/stored-error.ts';
import type { WechatError } from '../wechat/client.ts';
import type { Freshness } from './freshness.ts';
import type { CredentialKind, KindContext, Preparation, TryOtherwise } from './kinds/kind.ts';
import type { Deps } from './deps.ts';
import type { LocalCopies } from './local-copy.ts';

/** What refreshing a credential needs, why it is done and what can come of it. */

/** Why a credential is looked at; becomes the reason of a mint in history and log, so the words stay. */
export type RefreshTrigger =
  | 'cron'
  | 'start'
  | 'made_up'
  /** A maintenance round. */
  | 'patrol'
  /** Verifies a local copy, to see what Redis has lost; what is due is left to the due queue. */
  | 'rota'
  | 'ticket'
  | 'retry'
  | 'read'
  | 'handed_out'
  | 'needed'
  | 'renewed_parent'
  | 'refused'
  | 'forced';

/**
 * `until`, epoch ms of the store, is when the keeper looks again by itself, whatever the cron says;
 * `dueAt` when it would make sense to.
 */
export type RefreshOutcome =
  | { did: 'nothing_due'; until: number; dueAt: number }
  | { did: 'refreshed'; seq: number; until: number; dueAt: number }
  /** Another process is minting, or it must first be over what another one may have done. */
  | { did: 'locked'; until: number; because?: Exclude<Refusal, 'backoff'> }
  /** A recent failure, or the budget, asks for patience. */
  | { did: 'waited'; until: number; error: StoredError | undefined }
  | {
      did: 'failed';
      until: number;
      error: StoredError;
      /** The seq of what we minted with, when WeChat called it dead. */
      deadParentSeq?: number | undefined;
    }
  /** Something is missing that no call can bring. */
  | { did: 'blocked'; error: KeeperError };

/** A credential that we keep, with what its kind knows about it. */
export interface Target {
  id: CredentialId;
  kind: CredentialKind;
  budget: MintBudget;
  parent: CredentialId | undefined;
  prepare(context: KindContext): Promise<Preparation>;
  afterRefusal(context: KindContext, error: WechatError): Promise<TryOtherwise | undefined>;
}

export interface RefreshContext extends Deps {
  memory: LocalCopies;
  /** Upper bound of the refresh window, milliseconds. */
  windowMs: number;
  /**
   * Resolves when a credential stands wherever else it is published, which is before anybody is answered
   * with it. Never rejects. Undefined when it is published nowhere else.
   * @param record as it was read; without it, it is looked at in any case
   */
  publish?: ((id: CredentialId, record?: CredentialRecord) => Promise<void>) | undefined;
}

export interface Attempt {
  reason: RefreshTrigger;
  /** What made the last try fail was just mended. */
  ignoreBackoff?: boolean;
}

/** A mint that has begun. */
export interface Begun {
  record: CredentialRecord;
  freshness: Freshness;
  operation: string;
  begin: number;
  epoch: string;
  /** Monotonic ms just before the lock was asked for. */
  startedAt: number;
  /** The seq of the value it is minted with. */
  parentSeq: number | undefined;
  kindContext: KindContext;
}
