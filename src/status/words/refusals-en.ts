import type { Facts } from '../problems.ts';
import { because, type PushUrlWords, type RefusalWords } from './words.ts';

/** Where pushes are refused, why, and what to do about it. */

export const PUSH_URLS: PushUrlWords = {
  event: 'the authorization-event URL',
  message: 'the message & event URL',
  other: 'an address that is neither of the two URLs',
};

/** Of the platform, or of any. */
const own = ({ appid }: Facts) => (appid === undefined || appid === '' ? 'APPID' : String(appid));
const addresses = (facts: Facts) =>
  'In the console the authorization-event URL (授权事件接收URL) must be ' +
  `PUBLIC_BASE_URL/callback/${own(facts)}, and the message & event URL (消息与事件接收URL) ` +
  `PUBLIC_BASE_URL/callback/${own(facts)}/$APPID$.`;
const STRANGERS = "Strangers' noise looks the same";

export const REFUSALS: RefusalWords = {
  urls_exchanged: because(
    'messages of accounts come to the URL for events of the platform, or the reverse',
    (facts) =>
      `The two URLs are exchanged, or one of them stands in both fields. ${addresses(facts)}`,
  ),
  aes_key: because(
    'they are signed with our Token, but not encrypted with our EncodingAESKey',
    "Compare COMPONENT_ENCODING_AES_KEY with the console's. When it was changed there, set the former one " +
      'as COMPONENT_PREVIOUS_ENCODING_AES_KEY: a change counts only after the platform is released again.',
  ),
  foreign_component: because(
    'they are signed and encrypted as ours are, and meant for another platform',
    (facts) =>
      `The URLs of another platform lead here, or two share one Token. ${addresses(facts)}`,
  ),
  clock: because(
    ({ detail }) =>
      detail === undefined || detail === ''
        ? "their signed time is too far from this machine's clock"
        : `this machine's clock is ${apart(Number(detail))} their signed time`,
    'Set the clock by NTP (timedatectl set-ntp true): WeChat signs with the right time, and five minutes ' +
      'are allowed. If the clock is right, something holds pushes back, or sends old ones again.',
  ),
  unreadable: because(
    'they are signed and encrypted with our secrets, but not in the way in which WeChat encrypts',
    'Somebody else who has our Token and EncodingAESKey makes them: a test program, or something on the ' +
      'way that encrypts anew. If there is no such thing, it is a fault of ours: report it with the line of ' +
      'the log.',
  ),
  sent_again: because(
    'somebody has captured pushes and sends them again as if they were new',
    'Nothing of them was acted on. Find out where pushes are read on their way: a proxy that logs bodies, ' +
      'plain http, an old receiver. Then change the Token.',
  ),
  clear_mode: because(
    'nothing in them is encrypted',
    'Choose safe mode (安全模式) in the console; anybody could have written messages in clear text.',
  ),
  bad_signature: because(
    'they are not signed with our Token',
    `Compare COMPONENT_TOKEN with the console's. ${STRANGERS}: when tickets and messages arrive, there is ` +
      'nothing to do.',
  ),
  appid_placeholder: because(
    'the URL holds a literal $APPID$',
    (facts) =>
      `WeChat replaces $APPID$ only in the message & event URL, as here. ${addresses(facts)}`,
  ),
  unknown_component: because(
    ({ detail }) =>
      detail === undefined || detail === ''
        ? 'the URL names a platform that is not configured'
        : `the URL names ${detail}, which is no configured platform`,
    'Compare the appid in the URL with COMPONENT_APPID or CONFIG_FILE: one of them is wrong. It is the ' +
      "component's, not that of an account.",
  ),
  path: because('the path is no address of ours', (facts) => addresses(facts)),
  form: because(
    'they are not in the form of a push',
    'See what lies between WeChat and here: a proxy must pass path, query and body on unchanged, ' +
      `uncompressed and up to 64 KB; the line of the log says what is wrong. ${STRANGERS}: when tickets ` +
      'and messages arrive, there is nothing to do.',
  ),
};

function apart(ahead: number): string {
  return `${Math.abs(ahead)} s ${ahead < 0 ? 'behind' : 'ahead of'}`;
}
