import type { Clock } from '../clock.ts';
import type { KeeperError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { CredentialId } from '../store/keys.ts';
import type { StoredError } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import type { WechatApi } from '../wechat/api.ts';

/** What a look at a credential needs, why it is done and what can come of it. */

/** Why somebody looks at a credential; becomes the reason of a mint in history and log. */
export type LookReason =
  | 'cron'
  | 'start'
  | 'made_up'
  | 'ticket'
  | 'retry'
  | 'read'
  | 'handed_out'
  | 'needed'
  | 'renewed_parent'
  | 'refused';

/** `until`, epoch ms, is when the keeper looks again by itself, whatever the cron says. */
export type LookOutcome =
  | { did: 'nothing_due'; until: number }
  | { did: 'refreshed'; seq: number; until: number }
  /** Another process is minting. */
  | { did: 'locked'; until: number }
  /** A recent failure asks for patience. */
  | { did: 'waited'; until: number; error: StoredError | undefined }
  | {
      did: 'failed';
      until: number;
      error: StoredError;
      /** WeChat called dead what we minted with. */
      deadParent?: { id: CredentialId; seq: number };
    }
  /** Something is missing that no call can bring. */
  | { did: 'blocked'; error: KeeperError };

export interface RefreshContext {
  store: Store;
  api: WechatApi;
  clock: Clock;
  log: Log;
  /** Upper bound of the refresh window, milliseconds. */
  windowMs: number;
  /** Name of this process in records, history and the status. */
  replica: string;
}
