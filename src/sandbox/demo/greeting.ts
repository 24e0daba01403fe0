import { createKeys } from '../../store/redis/keys.ts';
import { DEMO_COMPONENT } from './component.ts';
import type { Scale } from './scale.ts';
import type { Stage } from './stage.ts';

/** What is being shown, and what to try meanwhile. Holds the demo's API key, and no other secret. */

const { appid } = DEMO_COMPONENT;
const FAULT = JSON.stringify({ api: '*', times: 3, fault: { type: 'errcode', errcode: -1 } });

/** Said before anything is started. */
export function opening(scale: Scale): string[] {
  return [
    'wxkeeper demo',
    '',
    'WeChat pushes an encrypted component_verify_ticket every ten minutes. wxkeeper receives it, buys',
    'a component_access_token and a pre_auth_code with it, renews both before they expire, and keeps',
    'them in Redis and behind HTTP for other services. Here WeChat is a simulator; all else is real.',
    '',
    pace(scale),
    '',
  ];
}

function pace({ divisor, ticketSeconds, tokenSeconds, codeSeconds, windowSeconds }: Scale): string {
  const times = divisor === 1 ? "Times are WeChat's own" : `Times are divided by ${divisor}`;
  return (
    `${times}: a ticket every ${ticketSeconds} s, a token lives ${tokenSeconds} s, a code ${codeSeconds} s;\n` +
    `each is renewed by a cron job within the last ${windowSeconds} s of its life, at most half of it.`
  );
}

/** Said when everything is up. */
export function introduction(stage: Stage, scale: Scale): string[] {
  const { redis, simulator, service, apiKey, logFile } = stage;
  const keys = createKeys(redis.prefix);
  const token = keys.mirror({ kind: 'component_access_token', subject: appid });
  const curl = (path: string) =>
    `curl -H 'Authorization: Bearer ${apiKey}' ${service.internalUrl}${path}`;
  const credential = '/v1/credentials';
  const faults = `${simulator.url}/_simulator/faults`;
  const lines = [
    ['The token, as a service finds it in Redis:', `${redis.cli} GET '${token}'`],
    ['The seconds it has left there:', `${redis.cli} TTL '${token}'`],
    ['The last event that arrived:', `${redis.cli} XREVRANGE '${keys.events(appid)}' + - COUNT 1`],
    ['The token over HTTP:', curl(`${credential}/component_access_token/${appid}`)],
    ['A pre_auth_code, each time another one:', curl(`${credential}/pre_auth_code/${appid}`)],
    ['All that is on the dashboard, and more, as JSON:', curl('/status')],
    ['Who has authorized the platform:', curl(`/v1/components/${appid}/authorizers`)],
    ['What the service logs:', `tail -f ${logFile}`],
    ['Let WeChat fail three times in a row:', `curl -d '${FAULT}' ${faults}`],
  ] as const;
  return [
    `  Redis      ${redis.description}`,
    `  WeChat     simulated, ${simulator.url}`,
    `  wxkeeper   node dist/main.js, process ${service.pid}, both crons '${scale.cron}'`,
    `             callbacks ${service.publicUrl}/callback/${appid}`,
    '',
    `  Dashboard  ${service.internalUrl}/`,
    `             log in with ${apiKey}`,
    '',
    'To look for yourself, paste into another terminal, in this folder:',
    '',
    ...lines.flatMap(([what, command]) => [`  ${what}`, `    ${command}`]),
    '',
  ];
}
