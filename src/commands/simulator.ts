import { parseArgs } from 'node:util';
import { asTyped } from '../lib/command-line.ts';
import { createScaledClock } from '../sandbox/wechat/clock.ts';
import type { CallRecord, PushRecord } from '../sandbox/wechat/ledger.ts';
import type {
  AccountOptions,
  ComponentOptions,
  SimulatorOptions,
} from '../sandbox/wechat/options.ts';
import { PUSH_FORMATS, type PushFormat } from '../sandbox/wechat/push-document.ts';
import { createSimulator, type Simulator } from '../sandbox/wechat/simulator.ts';
import type { UserView } from '../sandbox/wechat/user-view.ts';

/** Runs the pretended WeChat on its own: for a laptop without an account, and for CI. */

/** sysexits.h: the command was used wrongly. */
const EX_USAGE = 64;

/**
 * Every flag: default (`undefined`: none; `false`: a switch), the word for its value, and its help.
 * The secrets are public make-believe; fixed, so that a service needs to be configured only once.
 */
const FLAGS = {
  port: ['8787', 'N', 'first port to listen on; 0 for any free one'],
  host: ['127.0.0.1', 'ADDRESS', 'address to listen on'],
  'allow-remote': [false, '', 'permit an address that other machines can reach'],
  hosts: ['1', 'N', 'API hosts, on consecutive ports, that share one world'],
  callback: [undefined, 'URL', 'where pushes go (http://127.0.0.1:3000/callback/APPID)'],
  'message-callback': [undefined, 'URL', "where users' messages go (the same and /$APPID$)"],
  format: ['xml', 'xml|json', 'form of the pushes, with what is encrypted inside'],
  'content-type': [undefined, 'TYPE', 'what they are declared as, if not as that form is'],
  appid: ['wx5ca1ab1e0ddba11a', 'APPID', 'appid of the component'],
  secret: ['51e7a70251e7a70251e7a70251e7a702', 'TEXT', 'its appsecret'],
  token: ['simulator', 'TEXT', 'its message verification token'],
  'aes-key': ['SimulatorSimulatorSimulatorSimulatorSimulat', 'KEY', 'its EncodingAESKey'],
  'previous-token': [undefined, 'TEXT', 'token before a rotation, for the previousToken fault'],
  'previous-aes-key': [undefined, 'KEY', 'key before a rotation, for the previousKey fault'],
  account: ['wx5ca1ab1e0acc0011', 'APPID', 'appid of an account with a secret of its own'],
  'account-secret': ['acc0011eacc0011eacc0011eacc0011e', 'TEXT', 'its appsecret'],
  authorizers: ['0', 'N', 'made-up accounts that have authorized the component already'],
  'divide-times-by': ['1', 'N', 'shortens every life and interval; 60 makes an hour a minute'],
  speed: ['1', 'N', 'runs the clock N times as fast; see below'],
  'ticket-interval': ['600', 'S', 'seconds between ticket pushes'],
  'ticket-life': ['43200', 'S', 'seconds a ticket is valid'],
  'token-life': ['7200', 'S', 'seconds a component_access_token is valid'],
  'code-life': ['1800', 'S', 'seconds a pre_auth_code is valid'],
  'access-token-life': ['7200', 'S', "seconds an account's or authorizer's token is valid"],
  'account-ticket-life': ['7200', 'S', 'seconds a jsapi_ticket or wx_card_ticket is valid'],
  'account-overlap': ['300', 'S', "seconds an account's old token outlives a newer one"],
  overlap: ['0', 'S', 'seconds an old token outlives a newer one'],
  repush: ['0', 'S', 'seconds after which a failed push is sent again; 0 for never'],
  'push-timeout': ['5', 'S', 'seconds an answer to a push may take'],
  'no-push': [false, '', 'push no tickets until told to (POST /_simulator/pushing)'],
  help: [false, '', 'print this'],
} as const satisfies Record<string, readonly [string | false | undefined, string, string]>;

type Flag = keyof typeof FLAGS;
type Values = Partial<Record<Flag, string | boolean>>;

const HELP_TAIL = `
--divide-times-by shortens what WeChat promises (expires_in gets smaller, tickets come more
often) and leaves the clock alone: use it with a service that lives in real time. --speed makes
the simulator's clock itself run away from yours, timestamps and Date headers included: use it
only with a service that shares that idea of time.

While it runs, this machine can steer it (the routes are listed by GET /_simulator/):

  S=http://127.0.0.1:8787/_simulator
  curl $S/state
  curl "$S/ledger?kind=mints"                        # or calls, pushes, messages; DELETE empties it
  curl -d '{}' $S/push                               # a ticket, now
  curl -d '{"info_type":"unauthorized","fields":{"AuthorizerAppid":"wx1"}}' $S/push
  curl -d '{"twice":true}' $S/push                   # also lateMs, previousKey, previousToken
  curl -d '{"format":"json","contentType":"text/xml"}' $S/push   # also inside, bom
  curl -d '{"xml":"<xml><InfoType>any</InfoType></xml>"}' $S/push   # json for one in JSON
  curl -d '{"text":"hi"}' $S/say                     # a user writes; answers with what that user sees;
                                                     # also authorizer, openid, and as push-message
  curl -d '{"authorizer":"wx1","fields":{"MsgType":"text","Content":"hi"}}' $S/push-message
  curl -d '{}' $S/tickets                            # a ticket without a push
  curl -d '{"on":false}' $S/pushing
  curl -d '{"index":1,"alive":false}' $S/hosts       # with --hosts 2: connections are refused
  curl -d '{"code":"preauthcode@@@..."}' $S/pre-auth-codes/use
  curl -d '{"authorizer":"wx1"}' $S/authorize        # gives its tokens; again: others; rotating
  curl -d '{"authorizer":"wx1"}' $S/unauthorize
  curl -d '{"authorizer":"wx1"}' $S/grant            # a code to exchange; also twoCodes, update,
                                                     # preAuthCode, kind, funcs, nickname
  curl -d '{"authorizer":"wx1","code":"queryauthcode@@@..."}' $S/push-authorized
  curl -d '{"authorizer":"wx1"}' $S/push-unauthorized  # ends it and says so; keep: only says so
  curl -d '{"count":1000}' $S/populate               # accounts that have authorized; from
  curl -d '{"event":"lost"}' $S/authorization        # of confirming on the page; redirect, twoCodes
  curl -d '{"info_type":"notify_third_fasteregister"}' $S/push      # with the fields of a sample
  curl -d '{"kind":"component_access_token"}' $S/mint-elsewhere     # a stranger kills yours
  curl -d '{"kind":"access_token"}' $S/mint-elsewhere
  curl -d '{"offsetMs":120000}' $S/date              # of the Date header; 0 for none

Faults wait in a queue; each call or push takes the first rule that fits it:

  curl -d '{"api":"api_component_token","times":3,"fault":{"type":"errcode","errcode":-1}}' $S/faults
  curl -d '{"api":"*","times":"forever","fault":{"type":"delay","ms":3000}}' $S/faults
  curl -d '{"api":"*","afterMint":true,"fault":{"type":"hang"}}' $S/faults
  curl -d '{"push":{"skip":true},"times":2}' $S/faults
  curl $S/faults; curl -X DELETE $S/faults

  api    api_component_token, api_create_preauthcode, api_start_push_ticket,
         api_authorizer_token, api_query_auth, api_get_authorizer_info,
         api_get_authorizer_list, send (of message/custom), token, stable_token, getticket or *
  host   only calls to this host; times: how often (1) or "forever"
  afterMint  do the work first, then spoil the answer
  fault  delay ms | hang | reset | html | status status body? | body body contentType?
         | errcode errcode errmsg? | truncate close? | patch fields? remove? | redirect location
         | drip bytesPerChunk everyMs | large bytes
  push   twice | lateMs | previousKey | previousToken | skip | stop
         | format xml|json | inside xml|json | contentType | bom
`;

function helpText(): string {
  const lines = Object.entries(FLAGS).map(([name, [preset, word, help]]) => {
    const left = `--${name}${word === '' ? '' : ` ${word}`}`;
    const shown = typeof preset === 'string' && name !== 'aes-key' ? ` (${preset})` : '';
    return `  ${left.padEnd(27)}${help}${shown}`;
  });
  return `A pretended WeChat Open Platform for one third-party platform and one account.\n\n  npm run simulator -- [flags]\n\n${lines.join('\n')}\n${HELP_TAIL}`;
}

/** @throws Error with a message for the user */
function readFlags(args: readonly string[]): Values {
  const options = Object.fromEntries(
    Object.entries(FLAGS).map(([name, [preset]]) => [
      name,
      preset === false
        ? { type: 'boolean' as const }
        : { type: 'string' as const, ...(preset !== undefined && { default: preset }) },
    ]),
  );
  return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
}

function text(values: Values, flag: Flag): string {
  const value = values[flag];
  return typeof value === 'string' ? value : '';
}

function optionalText(values: Values, flag: Flag): string | undefined {
  return text(values, flag) || undefined;
}

/** @throws RangeError */
function number(values: Values, flag: Flag): number {
  const given = text(values, flag);
  // Number('') is 0, which nobody means.
  const value = given.trim() === '' ? NaN : Number(given);
  if (!Number.isFinite(value)) throw new RangeError(`--${flag} must be a number, not "${given}"`);
  return value;
}

function componentFrom(values: Values): ComponentOptions {
  const appid = text(values, 'appid');
  return {
    appid,
    secret: text(values, 'secret'),
    token: text(values, 'token'),
    encodingAesKey: text(values, 'aes-key'),
    previousToken: optionalText(values, 'previous-token'),
    previousEncodingAesKey: optionalText(values, 'previous-aes-key'),
    callbackUrl: optionalText(values, 'callback') ?? `http://127.0.0.1:3000/callback/${appid}`,
    messageUrl: optionalText(values, 'message-callback'),
  };
}

function accountFrom(values: Values): AccountOptions {
  return { appid: text(values, 'account'), secret: text(values, 'account-secret') };
}

/** @throws RangeError */
function formatFrom(values: Values): PushFormat {
  const given = text(values, 'format');
  const format = PUSH_FORMATS.find((one) => one === given);
  if (format === undefined) throw new RangeError(`--format must be xml or json, not "${given}"`);
  return format;
}

/** As many as the control API takes at once. @throws RangeError */
function authorizersFrom(values: Values): number {
  const count = number(values, 'authorizers');
  if (!Number.isInteger(count) || count < 0 || count > 1_000_000) {
    throw new RangeError('--authorizers must be a whole number from 0 to 1000000');
  }
  return count;
}

/** @throws RangeError */
function optionsFrom(values: Values): SimulatorOptions {
  const speed = number(values, 'speed');
  if (speed <= 0) throw new RangeError('--speed must be more than 0');
  return {
    components: [componentFrom(values)],
    accounts: [accountFrom(values)],
    clock: createScaledClock({ speed }),
    host: text(values, 'host'),
    allowRemote: values['allow-remote'] === true,
    port: number(values, 'port'),
    hosts: number(values, 'hosts'),
    ticketIntervalSeconds: number(values, 'ticket-interval'),
    ticketLifeSeconds: number(values, 'ticket-life'),
    componentAccessTokenSeconds: number(values, 'token-life'),
    preAuthCodeSeconds: number(values, 'code-life'),
    accessTokenSeconds: number(values, 'access-token-life'),
    accountTicketSeconds: number(values, 'account-ticket-life'),
    accountOverlapSeconds: number(values, 'account-overlap'),
    overlapSeconds: number(values, 'overlap'),
    repushSeconds: number(values, 'repush'),
    divideTimesBy: number(values, 'divide-times-by'),
    // In seconds of the user's machine: the receiver does not run any faster.
    pushTimeoutSeconds: number(values, 'push-timeout') * speed,
    format: formatFrom(values),
    contentType: optionalText(values, 'content-type'),
    pushing: values['no-push'] !== true,
    onCall: (call) => console.log(callLine(call)),
    onPush: (push) => console.log(pushLine(push)),
  };
}

function callLine({ at, api, host, errcode, fault }: CallRecord): string {
  const outcome = errcode === 0 ? 'ok' : errcode === null ? 'not done' : `errcode ${errcode}`;
  const spoiled = fault === undefined ? '' : ` (fault: ${fault})`;
  return `${timeOf(at)}  call  ${api} on host ${host}: ${outcome}${spoiled}`;
}

function pushLine(push: PushRecord): string {
  const { at, infoType, accepted, status, error, durationMs, user } = push;
  if (user !== undefined) {
    return `${timeOf(at)}  message  ${infoType}: ${whatIsSeen(user)} after ${durationMs} ms${whyOf(user)}`;
  }
  const refusal = error ?? `status ${status ?? 'unknown'}, or a body other than success`;
  const outcome = accepted ? `success after ${durationMs} ms` : `failed: ${refusal}`;
  return `${timeOf(at)}  push  ${infoType}: ${outcome}`;
}

function whatIsSeen({ sees, text, fields }: UserView): string {
  if (sees === 'error') return `the user would see "${text ?? ''}"`;
  if (sees === 'transfer_customer_service') return 'the user is handed to customer service';
  const content = text ?? fields;
  return `the user sees ${sees}${content === undefined ? '' : ` ${JSON.stringify(content)}`}`;
}

function whyOf({ reason }: UserView): string {
  return reason === undefined ? '' : `: ${reason}`;
}

function timeOf(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(11, 19);
}

function greeting(
  simulator: Simulator,
  component: ComponentOptions,
  account: AccountOptions,
): string {
  const settings = { accounts: [{ appid: account.appid, appsecret: account.secret }] };
  return `Pretended WeChat on ${simulator.urls.join(', ')}
Pushes go to ${component.callbackUrl ?? 'nowhere'}
Settings for the service:

WECHAT_API_BASE_URLS=${simulator.urls.join(',')}
COMPONENT_APPID=${component.appid}
COMPONENT_APPSECRET=${component.secret}
COMPONENT_TOKEN=${component.token}
COMPONENT_ENCODING_AES_KEY=${component.encodingAesKey}
WECHAT_AUTHORIZATION_URLS=${simulator.url},${simulator.url}

For the file that CONFIG_FILE names, if it shall keep an account too:

${JSON.stringify(settings)}

Steer it under ${simulator.url}/_simulator/ (--help shows how). Ctrl-C ends it. Times are UTC.
`;
}

async function main(): Promise<void> {
  let simulator: Simulator;
  let component: ComponentOptions;
  let account: AccountOptions;
  try {
    const values = readFlags(process.argv.slice(2));
    if (values.help === true) {
      console.log(asTyped(helpText()));
      return;
    }
    component = componentFrom(values);
    account = accountFrom(values);
    simulator = createSimulator(optionsFrom(values));
    simulator.populate(component.appid, authorizersFrom(values));
  } catch (error) {
    console.error(asTyped(`${messageOf(error)}\nnpm run simulator -- --help lists the flags.`));
    process.exitCode = EX_USAGE;
    return;
  }
  // Once each: a second Ctrl-C ends the process the hard way.
  const stop = (): void => void simulator.stop();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    await simulator.start();
    console.log(greeting(simulator, component, account));
  } catch (error) {
    console.error(messageOf(error));
    process.exitCode = 1;
    await simulator.stop();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

await main();
