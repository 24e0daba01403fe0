import { ENCODING_AES_KEY } from '../../wechat/push/envelope.ts';
import type { SimulatorClock } from './clock.ts';
import type { CallRecord, PushRecord } from './ledger.ts';
import { PUSH_FORMATS, type PushFormat } from './push-document.ts';

export interface ComponentOptions {
  appid: string;
  secret: string;
  /** The message verification token of the console. */
  token: string;
  /** 43 letters and digits. */
  encodingAesKey: string;
  /** For pushes that pretend a rotation of the keys has not reached every sender. */
  previousToken?: string | undefined;
  previousEncodingAesKey?: string | undefined;
  /** Whole URL that pushes go to. Without one nothing is pushed. */
  callbackUrl?: string | undefined;
  /**
   * Whole URL that users' messages go to, with `$APPID$` where the account's appid goes. Default the
   * callback URL and the appid behind it.
   */
  messageUrl?: string | undefined;
}

export interface AccountOptions {
  appid: string;
  secret: string;
}

/** All lives and intervals are seconds and may be fractions. The defaults are WeChat's. */
export interface SimulatorOptions {
  components: readonly ComponentOptions[];
  /** Official accounts and mini-programs with a secret of their own; default none. */
  accounts?: readonly AccountOptions[] | undefined;
  /** Default: real time. */
  clock?: SimulatorClock | undefined;
  /** Address to listen on, default 127.0.0.1; any other than loopback needs `allowRemote`. */
  host?: string | undefined;
  allowRemote?: boolean | undefined;
  /** First port; further hosts take the following ones. 0, the default, takes any free ports. */
  port?: number | undefined;
  /** How many API hosts share this world, default 1. */
  hosts?: number | undefined;
  /** Default 43200 (12 h). */
  ticketLifeSeconds?: number | undefined;
  /** Default 600. */
  ticketIntervalSeconds?: number | undefined;
  /** Default 7200. */
  componentAccessTokenSeconds?: number | undefined;
  /** Default 1800. */
  preAuthCodeSeconds?: number | undefined;
  /** Default 600. */
  authorizationCodeSeconds?: number | undefined;
  /** Life of an account's and an authorizer's access_token, default 7200. */
  accessTokenSeconds?: number | undefined;
  /** Life of a jsapi_ticket or wx_card_ticket, default 7200. */
  accountTicketSeconds?: number | undefined;
  /** How long an account's access_token outlives its successor's minting, default 300. */
  accountOverlapSeconds?: number | undefined;
  /** How long a component token outlives its successor's minting, default 0: it dies at once. */
  overlapSeconds?: number | undefined;
  /**
   * Whether a component that was issued no token here may use one of an earlier simulator, so that a
   * service need not begin anew with every simulator. Default false: as WeChat, 40001.
   */
  adoptTokens?: boolean | undefined;
  /** Distance at which a failed push is sent again, byte for byte; 0, the default, is never. */
  repushSeconds?: number | undefined;
  /** How often at most one push is sent again, default 3. */
  repushLimit?: number | undefined;
  /** Divides every life and interval above, so that a demo need not take hours. Default 1. */
  divideTimesBy?: number | undefined;
  /** How long an answer to a push may take, default 5. Not divided: machines do not get faster. */
  pushTimeoutSeconds?: number | undefined;
  /** The form of pushes, default XML; a single one may have another (`PushFault`). */
  format?: PushFormat | undefined;
  /** What pushes are declared as; default text/xml or application/json, as their form is. */
  contentType?: string | undefined;
  /** Whether tickets are pushed on schedule from the start, default true. */
  pushing?: boolean | undefined;
  /** Whether the first of them goes out at once, default true. */
  pushOnStart?: boolean | undefined;
  /**
   * Calls a day by path: those beyond are answered 45009. Without one, the quota call tells WeChat's
   * usual figure and nothing is refused.
   */
  dailyLimits?: Readonly<Record<string, number>> | undefined;
  /** How many entries of each kind the ledger keeps at least, default 100000. */
  ledgerLimit?: number | undefined;
  /** How many issued values of each kind are kept beside the live ones, default 400000. */
  rememberedValues?: number | undefined;
  /** Called when the fate of a call is decided. */
  onCall?: ((call: CallRecord) => void) | undefined;
  /** Called after each delivery, good or bad. */
  onPush?: ((push: PushRecord) => void) | undefined;
}

/** Options after validation; durations in milliseconds, already divided. */
export interface Settings {
  host: string;
  port: number;
  hosts: number;
  ticketLifeMs: number;
  ticketIntervalMs: number;
  componentAccessTokenMs: number;
  preAuthCodeMs: number;
  authorizationCodeMs: number;
  accessTokenMs: number;
  accountTicketMs: number;
  accountOverlapMs: number;
  overlapMs: number;
  adoptTokens: boolean;
  repushMs: number;
  repushLimit: number;
  pushTimeoutMs: number;
  format: PushFormat;
  contentType: string | undefined;
  pushing: boolean;
  pushOnStart: boolean;
  dailyLimits: Readonly<Record<string, number>>;
  ledgerLimit: number;
  rememberedValues: number;
}

const LOOPBACK = /^(localhost|::1|(::ffff:)?127(\.\d{1,3}){3})$/;

export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address);
}

/** @throws RangeError that names the option and what it must be */
export function resolveSettings(options: SimulatorOptions): Settings {
  checkComponents(options.components);
  checkAccounts(options);
  const host = options.host ?? '127.0.0.1';
  if (!isLoopback(host) && options.allowRemote !== true) {
    throw new RangeError(`host ${host} is not loopback: set allowRemote if you really mean it`);
  }
  const divisor = atLeast('divideTimesBy', options.divideTimesBy ?? 1, Number.MIN_VALUE);
  // A life of a millisecond is the shortest that means anything; 0 only where it means "off".
  const life = (name: string, seconds: number, minMs = 1): number =>
    atLeast(name, (seconds * 1000) / divisor, minMs);
  return {
    host,
    port: whole('port', options.port ?? 0, 0, 65_535),
    hosts: whole('hosts', options.hosts ?? 1, 1, 16),
    ticketLifeMs: life('ticketLifeSeconds', options.ticketLifeSeconds ?? 43_200),
    ticketIntervalMs: life('ticketIntervalSeconds', options.ticketIntervalSeconds ?? 600),
    componentAccessTokenMs: life(
      'componentAccessTokenSeconds',
      options.componentAccessTokenSeconds ?? 7200,
    ),
    preAuthCodeMs: life('preAuthCodeSeconds', options.preAuthCodeSeconds ?? 1800),
    authorizationCodeMs: life('authorizationCodeSeconds', options.authorizationCodeSeconds ?? 600),
    accessTokenMs: life('accessTokenSeconds', options.accessTokenSeconds ?? 7200),
    accountTicketMs: life('accountTicketSeconds', options.accountTicketSeconds ?? 7200),
    accountOverlapMs: life('accountOverlapSeconds', options.accountOverlapSeconds ?? 300, 0),
    overlapMs: life('overlapSeconds', options.overlapSeconds ?? 0, 0),
    adoptTokens: options.adoptTokens ?? false,
    repushMs: life('repushSeconds', options.repushSeconds ?? 0, 0),
    repushLimit: whole('repushLimit', options.repushLimit ?? 3, 0, 1000),
    pushTimeoutMs: atLeast('pushTimeoutSeconds', (options.pushTimeoutSeconds ?? 5) * 1000, 1),
    format: options.format ?? PUSH_FORMATS[0],
    contentType: options.contentType,
    pushing: options.pushing ?? true,
    pushOnStart: options.pushOnStart ?? true,
    dailyLimits: options.dailyLimits ?? {},
    ledgerLimit: whole('ledgerLimit', options.ledgerLimit ?? 100_000, 1, Number.MAX_SAFE_INTEGER),
    rememberedValues: whole(
      'rememberedValues',
      options.rememberedValues ?? 400_000,
      0,
      Number.MAX_SAFE_INTEGER,
    ),
  };
}

/** @throws RangeError unless it is an absolute http or https URL */
export function checkCallbackUrl(url: string): void {
  const protocol = URL.canParse(url) ? new URL(url).protocol : '';
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new RangeError(`callback URL must be a whole http or https URL, not "${url}"`);
  }
}

function checkComponents(components: readonly ComponentOptions[]): void {
  const appids = new Set<string>();
  for (const component of components) {
    const { appid, encodingAesKey, previousEncodingAesKey, callbackUrl, messageUrl } = component;
    if (appid === '' || appids.has(appid)) throw new RangeError(`appid "${appid}" empty or twice`);
    appids.add(appid);
    for (const name of ['secret', 'token'] as const) {
      if (component[name] === '') throw new RangeError(`${name} of ${appid} is empty`);
    }
    for (const key of [encodingAesKey, previousEncodingAesKey ?? encodingAesKey]) {
      if (!ENCODING_AES_KEY.test(key)) {
        throw new RangeError(`EncodingAESKey of ${appid} must be 43 letters and digits`);
      }
    }
    for (const url of [callbackUrl, messageUrl]) if (url !== undefined) checkCallbackUrl(url);
  }
}

function checkAccounts({ components, accounts = [] }: SimulatorOptions): void {
  if (components.length + accounts.length === 0) {
    throw new RangeError('components must name at least one component, or accounts one account');
  }
  const appids = new Set(components.map((one) => one.appid));
  for (const { appid, secret } of accounts) {
    if (appid === '' || appids.has(appid)) throw new RangeError(`appid "${appid}" empty or twice`);
    if (secret === '') throw new RangeError(`secret of ${appid} is empty`);
    appids.add(appid);
  }
}

function atLeast(name: string, value: number, min: number): number {
  if (!Number.isFinite(value) || value < min) {
    throw new RangeError(`${name} must be ${min === 0 ? '0 or more' : 'more than 0'}`);
  }
  return value;
}

function whole(name: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be a whole number from ${min} to ${max}`);
  }
  return value;
}
