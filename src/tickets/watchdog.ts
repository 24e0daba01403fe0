import { notePushUnanswered, watchTicket } from '../store/tickets/ticket.ts';
import { WechatError } from '../wechat/client.ts';
import { SILENT_AFTER_MS, SILENT_LONG_AFTER_MS } from '../wechat/ticket-silence.ts';
import { explainCall } from '../wechat/failure.ts';
import { startPushTicket } from '../wechat/calls/component.ts';
import type { TicketsContext } from './request-push.ts';

/**
 * Notices that WeChat has stopped pushing tickets. A ticket cannot be fetched; what one can do is
 * ask WeChat to push again, and tell people long before the stored one has died.
 */

const MINUTE_MS = 60_000;
/** A push is due every 10 minutes; a ticket lives 12 hours. */
const PATIENCE = {
  warnAfter: SILENT_AFTER_MS,
  askAfter: 30 * MINUTE_MS,
  alarmAfter: SILENT_LONG_AFTER_MS,
  askEvery: 60 * MINUTE_MS,
  /** When WeChat did not answer: it has most likely not heard us. */
  askAgainAfter: 5 * MINUTE_MS,
  /** Without any ticket nothing works at all. */
  askFirstAfter: MINUTE_MS,
} as const;

const ADVICE =
  'Check in the console that the authorization-event URL is right and its ticket push is on, and that ' +
  'WeChat can reach it; look in this log for refused pushes.';

/** Looks once at the tickets of all components. @throws KeeperError `store_unavailable` */
export async function watchTickets(context: TicketsContext): Promise<void> {
  for (const component of context.components) await watchOne(context, component);
}

async function watchOne(
  context: TicketsContext,
  component: TicketsContext['components'][number],
): Promise<void> {
  const { store, log } = context;
  const { appid } = component;
  const { news, ask, silenceMs } = await watchTicket(store, appid, store.time.now(), PATIENCE);
  const facts = { appid, silent_minutes: Math.floor(silenceMs / MINUTE_MS) };
  switch (news) {
    case 'silent':
      log.warn('no ticket push for 25 minutes; the stored ticket serves for its 12 hours', facts);
      break;
    case 'silent_long':
      log.error(`no ticket push for an hour. ${ADVICE}`, facts);
      break;
    case 'expired':
      log.error(`the last ticket is 12 hours old: nothing can be refreshed. ${ADVICE}`, facts);
      break;
    case undefined:
      break;
  }
  if (ask) await askForPushes(context, component, facts);
}

async function askForPushes(
  { store, api, log }: TicketsContext,
  component: { appid: string; appsecret: string },
  facts: Record<string, unknown>,
): Promise<void> {
  try {
    await startPushTicket(api, component);
    log.warn('asked WeChat to push tickets again', facts);
  } catch (error) {
    if (!(error instanceof WechatError)) throw error;
    const { class: errorClass, errcode, rid } = error.facts;
    const { meaning, advice } = explainCall(error.facts);
    const answered = errcode !== undefined;
    const message = answered
      ? 'WeChat would not start pushing tickets; asked again in an hour'
      : 'WeChat could not be asked to push tickets; asked again in 5 minutes';
    const failure = { class: errorClass, meaning: meaning.en, advice: advice.en, errcode, rid };
    log.warn(message, { ...facts, failure });
    if (!answered) await notePushUnanswered(store, component.appid);
  }
}
