import type { Language } from '../lib/language.ts';
import type { Account } from '../credentials/kinds/kind.ts';
import { describeError } from '../credentials/error-words.ts';
import { configuredIds, targetOf } from '../credentials/catalog.ts';
import { isWrongType } from '../store/redis/connection.ts';
import { readPushStats } from '../store/tickets/push-stats.ts';
import { readRefused } from '../store/tickets/refused-pushes.ts';
import { readTicket, TICKET_LIFE_MS, type Ticket } from '../store/tickets/ticket.ts';
import { authorizersFindings, describeAuthorizers } from './authorizers.ts';
import { describeCredential, type FoundCredential } from './credential.ts';
import type { StoredStatus } from './context.ts';
import { describeDeliveries } from './deliveries.ts';
import type { CredentialStatus } from './schema.ts';
import {
  credentialFindings,
  previousSecretFindings,
  ticketFindings,
  ticketState,
  type TicketState,
} from './rules.ts';
import { PROBLEMS, type Finding } from './problems.ts';
import { describeRefused, flowOf, pointingAt, refusedFindings } from './refused-pushes.ts';
import { isoOrNull, seconds } from '../lib/time-format.ts';
import { inWords } from './wording.ts';

/** One component or account, and what is wrong with it. */

/**
 * @param refusedElsewhere what was found of pushes that name no platform
 * @throws KeeperError `store_unavailable`
 */
export async function describeComponent(
  context: StoredStatus,
  component: StoredStatus['components'][number],
  now: number,
  language: Language,
  refusedElsewhere: readonly Finding[],
) {
  const { store, publicBaseUrl, routes } = context;
  const { appid, previousKeySet, previousTokenSet } = component;
  const [ticket, pushes, refused, credentials, authorizers, delivered] = await Promise.all([
    readTicket(store, appid).catch(noneIfSpoiled),
    readPushStats(store, appid),
    readRefused(store, appid),
    describeCredentialsOf(context, { appid }),
    describeAuthorizers(context, appid),
    describeDeliveries(store, routes, appid, store.time.now()),
  ]);
  const { counts, previousKeyAt, previousTokenAt } = pushes;
  const { code_error: codeError } = authorizers;
  const flow = flowOf(pushes.acceptedAt, now);
  const ofRefused = refusedFindings(appid, refused, flow, now);
  const beginning = now - (context.self?.startedAt ?? 0) < PROBLEMS.no_ticket.afterSeconds * 1_000;
  // By the clock that the keeper judges by: ours may be wrong, which is another problem.
  const storeNow = store.time.now();
  const state = ticketState(ticket, storeNow);
  const previous = { keyAt: previousKeyAt, tokenAt: previousTokenAt };
  const others = [
    ...ticketFindings(appid, state, ticket, storeNow),
    ...credentials
      .flatMap((credential) => credentialFindings(appid, credential))
      // In the first minutes of an installation the missing ticket says it all.
      .filter(({ code }) => !(state === 'no_ticket' && beginning && code === 'credential_dead')),
    ...authorizersFindings(appid, authorizers),
    ...delivered.findings,
    ...previousSecretFindings(
      appid,
      { ...previous, keySet: previousKeySet, tokenSet: previousTokenSet },
      now,
    ),
  ];
  const findings = [...ofRefused, ...pointingAt([...ofRefused, ...refusedElsewhere], others)];
  const callback = publicBaseUrl === undefined ? null : `${publicBaseUrl}/callback/${appid}`;
  const status = {
    appid,
    problems: inWords(findings, language),
    callback_urls:
      callback === null ? null : { authorization: callback, message: `${callback}/$APPID$` },
    ticket: describeTicket(state, ticket, storeNow),
    credentials: credentials.map((one) => inWordsOf(one, language)),
    authorizers: { ...authorizers, code_error: codeError && describeError(codeError, 'en') },
    pushes: {
      ...counts,
      refused: describeRefused(refused, flow, now),
      previous_key_configured: previousKeySet,
      previous_token_configured: previousTokenSet,
      previous_key_last_used_at: isoOrNull(previousKeyAt),
      previous_token_last_used_at: isoOrNull(previousTokenAt),
    },
    deliveries: delivered.deliveries,
  };
  return { status, findings, flow };
}

/** @throws KeeperError `store_unavailable` */
export async function describeAccount(context: StoredStatus, account: Account, language: Language) {
  const credentials = await describeCredentialsOf(context, account);
  const findings = credentials.flatMap((one) => credentialFindings(account.appid, one));
  const status = {
    appid: account.appid,
    problems: inWords(findings, language),
    access_token_call: account.accessToken,
    credentials: credentials.map((one) => inWordsOf(one, language)),
  };
  return { status, findings };
}

/** A maintenance round puts it aside and writes it anew; until then there is none. */
function noneIfSpoiled(error: unknown): undefined {
  if (!isWrongType(error)) throw error;
}

function describeCredentialsOf(context: StoredStatus, { appid }: { appid: string }) {
  const components = context.components.map((one) => ({ ...one, appsecret: '' }));
  const subjects = { components, accounts: context.accounts };
  const ids = configuredIds(subjects).filter((id) => id.subject === appid);
  return Promise.all(
    ids.map(async (id) => {
      const target = targetOf(subjects, id);
      if (target === undefined) throw new Error(`no target for ${id.kind}`);
      return describeCredential(context, target);
    }),
  );
}

function inWordsOf(credential: FoundCredential, language: Language): CredentialStatus {
  const { last_error: error } = credential;
  const said = error === null ? null : { at: error.at, ...describeError(error, language) };
  return { ...credential, last_error: said };
}

function describeTicket(state: TicketState, ticket: Ticket | undefined, now: number) {
  return {
    state,
    created_at: isoOrNull(ticket?.createTime),
    received_at: isoOrNull(ticket?.receivedAt),
    age_seconds: ticket === undefined ? null : seconds(now - ticket.createTime),
    expires_at: isoOrNull(ticket?.expiresAt),
    life_seconds: seconds(TICKET_LIFE_MS),
    received_count: ticket?.count ?? 0,
    refused_by_wechat: ticket?.refused ?? null,
    push_asked_for_at: isoOrNull(ticket?.pushAskedAt),
  };
}
