import type { KeeperError } from '../../errors.ts';
import type { CredentialKindName } from '../../store/keys.ts';
import type { Store } from '../../store/store.ts';
import type { WechatApi } from '../../wechat/api.ts';
import type { Minted } from '../../wechat/component.ts';

/** A third-party platform as the kinds need it. */
export interface Component {
  appid: string;
  appsecret: string;
}

export interface KindContext {
  store: Store;
  api: WechatApi;
  component: Component;
  now: number;
}

/** Everything is at hand to mint; or why it is not. */
export type Preparation =
  | {
      mint: () => Promise<Minted>;
      /** The credential used to mint, so that it can be refreshed when WeChat calls it dead. */
      uses?: { kind: CredentialKindName; seq: number };
    }
  | { blocked: KeeperError };

/**
 * One kind of credential: a file in this folder and a line in `index.ts`.
 * The keeper does everything else: when, by whom, how often, and where the result goes.
 */
export interface CredentialKind {
  name: CredentialKindName;
  /** Handing the value out uses it up. */
  singleUse: boolean;
  /** Kept live first; a new value of it is a reason to look at this kind again. */
  needs?: CredentialKindName;
  prepare(context: KindContext): Promise<Preparation>;
}
