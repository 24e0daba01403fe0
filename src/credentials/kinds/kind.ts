import type { KeeperError } from '../../lib/errors.ts';
import type { CredentialId, CredentialKindName } from '../../store/redis/keys.ts';
import type { MintBudget } from '../../store/credentials/mint.ts';
import type { CredentialRecord } from '../../store/credentials/record.ts';
import type { Store } from '../../store/redis/store.ts';
import type { WechatApi, WechatError } from '../../wechat/client.ts';
import type { TokenAnswer } from '../../wechat/token-answer.ts';

/**
 * What a kind of credential has to say about itself: a file in this folder and a line in `index.ts`.
 * The keeper does everything else: when, by whom, how often, and where the result goes.
 */

/** A third-party platform as the kinds need it. */
export interface Component {
  appid: string;
  appsecret: string;
}

/** An official account or mini-program of our own. */
export interface Account {
  appid: string;
  appsecret: string;
  /** By which call its access_token comes. */
  accessToken: 'stable' | 'classic';
  /** The tickets that are kept on top of it. */
  tickets: readonly ('jsapi' | 'wx_card')[];
}

export interface KindContext {
  store: Store;
  api: WechatApi;
  id: CredentialId;
  record: CredentialRecord;
  /** The live credential that this kind is minted with, when it declares one. */
  parent: string;
  /** The store's time, epoch ms. */
  now: number;
  /** Left by `prepare` for `afterRefusal`: the ticket of this call, whatever has arrived since. */
  sentTicket?: string;
}

/** Everything is at hand to mint; or why it is not. */
export type Preparation =
  | { mint: () => Promise<TokenAnswer & { refreshToken?: string | undefined }> }
  | { blocked: KeeperError };

/**
 * `try_again`: something else can be tried at once. `try_soon`: what to try is not known yet. `once_more`:
 * the same, in case that the refusal passes.
 */
export type TryOtherwise = 'try_again' | 'try_soon' | 'once_more';

/** What every kind declares; `Owner` is whom it belongs to. */
export interface CommonKind<Owner> {
  name: CredentialKindName;
  /** Handing the value out uses it up. */
  singleUse: boolean;
  /** Kept live first; a new value of it is a reason to look here again. */
  needs?: CredentialKindName;
  budget(owner: Owner): MintBudget;
  prepare(context: KindContext, owner: Owner): Promise<Preparation>;
  /**
   * Called when WeChat refused to mint.
   * @throws KeeperError `store_unavailable`
   */
  afterRefusal?(
    context: KindContext,
    error: WechatError,
    owner: Owner,
  ): Promise<TryOtherwise | undefined>;
}

export interface ComponentKind extends CommonKind<Component> {
  of: 'component';
}

export interface AccountKind extends CommonKind<Account> {
  of: 'account';
  /** Whether this account wants it kept. */
  wanted(account: Account): boolean;
}

/** Minted with the component's token; found by an index instead of one by one. */
export interface AuthorizerKind extends CommonKind<{ component: string; authorizer: string }> {
  of: 'authorizer';
  needs: 'component_access_token';
}

export type CredentialKind = ComponentKind | AccountKind | AuthorizerKind;

/** The usual: six needless mints in half a life are five too many, thirty of any sort a storm. */
export const TOKEN_BUDGET = { most: 30, spare: 6 } as const;
