import { loadConfig, type Config } from '../../config/load.ts';
import { isLoopback } from '../../sandbox/wechat/options.ts';
import { PUSH_FORMATS, type PushFormat } from '../../sandbox/wechat/push-document.ts';
import {
  runReleaseCheck,
  type CheckedAccount,
  type CheckResult,
  type CheckStep,
} from '../../sandbox/wechat/release-checker.ts';
import { createSimulator, type Simulator } from '../../sandbox/wechat/simulator.ts';
import { readFlags as readAny } from './flags.ts';
import { UsageError } from './usage.ts';

/** WeChat's check before a release, played against a running instance by a simulator of our own. */

export const HELP = `Plays WeChat's check before a release (全网发布检测) against a wxkeeper that runs.

  npm run doctor -- release-check [--callback URL] [--format json]

  --callback URL   where that wxkeeper listens for WeChat (http://127.0.0.1:PUBLIC_PORT)
  --format FORMAT  form of all pushes and replies: xml or json, as the console is set (xml)
  --help           print this

WeChat is played by a simulator, which must be the only WeChat that the instance knows. Start one for
the trial, with a REDIS_KEY_PREFIX of its own so that it touches nothing of a real one:

  export WECHAT_API_BASE_URLS=http://127.0.0.1:3900 REDIS_KEY_PREFIX=trial:
  npm start

and run this in another terminal, with the same settings. It reads them as the service does, from
the environment, the files they name and .env, and writes nothing to Redis.`;

/** What a failed step asks a person to do; the detail beside it says what was seen. */
const ADVICE: Readonly<Record<CheckStep, string>> = {
  ticket:
    'see that the instance runs and listens there; compare its Token, EncodingAESKey and appid with ' +
    'these settings; look at its log',
  authorized: 'the authorization-event URL must answer success; look at the log of the instance',
  text: 'the message & event URL must reply to the text; look at the log of the instance',
  code: 'the answer must be empty and come before any call to WeChat; look at the log',
  'api message':
    'the log says why. After 40001: give the instance a fresh REDIS_KEY_PREFIX, and see that no other ' +
    'one runs with these settings',
  event: 'the message & event URL must reply to the event; look at the log of the instance',
  unauthorized: 'the authorization-event URL must answer success; look at the log of the instance',
};

/**
 * @returns whether every step passed
 * @throws UsageError, ConfigError, Error with a message for the user
 */
export async function releaseCheck(
  args: readonly string[],
  env?: Readonly<Record<string, string | undefined>>,
): Promise<boolean> {
  const { callback, format } = readFlags(args);
  const config = loadConfig(env);
  if (config.components.length === 0) {
    throw new Error('No component is configured, so there is nothing to release.');
  }
  const base = callback ?? publicAddress(config);
  const simulator = createSimulator({
    components: config.components.map(({ appid, appsecret, token, encodingAesKey }) => ({
      appid,
      secret: appsecret,
      token,
      encodingAesKey,
      callbackUrl: `${base}/callback/${appid}`,
    })),
    ...simulatorAddress(config),
    pushing: false,
    format,
    // As at WeChat, the token before the last one serves for some minutes more.
    overlapSeconds: 300,
    // The instance still holds the one of the doctor's last visit.
    adoptTokens: true,
  });
  await startSimulator(simulator, config);
  try {
    return await checkAll(simulator, config, base);
  } finally {
    await simulator.stop();
  }
}

/** @throws UsageError */
function readFlags(args: readonly string[]): { callback: string | undefined; format: PushFormat } {
  const options = { callback: { type: 'string' }, format: { type: 'string' } } as const;
  const { callback, format: given = 'xml' } = readAny(args, options).values;
  const format = PUSH_FORMATS.find((one) => one === given);
  if (format === undefined) throw new UsageError(`--format must be xml or json, not "${given}"`);
  // Paths are put behind it, so a query would swallow them.
  const whole = /^https?:\/\/[^\s?#]+$/;
  if (callback !== undefined && !(whole.test(callback) && URL.canParse(callback))) {
    const message = `--callback must be a whole http or https URL without a query, not "${callback}"`;
    throw new UsageError(message);
  }
  return { callback: callback?.replace(/\/+$/, ''), format };
}

/**
 * Where the instance listens for WeChat, as seen from this machine.
 * @throws Error when the settings do not tell
 */
function publicAddress({ publicHost, publicPort }: Config): string {
  if (publicPort === 0) {
    throw new Error('PUBLIC_PORT is 0, any free port: say with --callback which one it became.');
  }
  const host = ['0.0.0.0', '::', ''].includes(publicHost) ? '127.0.0.1' : publicHost;
  return `http://${host.includes(':') ? `[${host}]` : host}:${publicPort}`;
}

/** @throws Error that says how to start the instance */
function simulatorAddress({ wechatApiBaseUrls }: Config): { host: string; port: number } {
  const [first = '', ...more] = wechatApiBaseUrls;
  const { protocol, hostname, port } = new URL(first);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  if (more.length === 0 && protocol === 'http:' && isLoopback(host)) {
    return { host, port: Number(port || 80) };
  }
  throw new Error(`WECHAT_API_BASE_URLS must name one http address of this machine, where the pretended WeChat
will be; it is ${wechatApiBaseUrls.join(',')}.

${HELP.slice(HELP.indexOf('Start one for'))}`);
}

/** @throws Error with a message for the user */
async function startSimulator(simulator: Simulator, config: Config): Promise<void> {
  try {
    await simulator.start();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const address = config.wechatApiBaseUrls.join('');
    const reason =
      code === 'EADDRINUSE'
        ? 'something listens there already. If it is npm run simulator, stop it first'
        : String(code ?? error);
    throw new Error(`The pretended WeChat cannot listen on ${address}: ${reason}.`, {
      cause: error,
    });
  }
}

async function checkAll(simulator: Simulator, config: Config, base: string): Promise<boolean> {
  const results: CheckResult[] = [];
  for (const { appid, appsecret: secret, token, encodingAesKey } of config.components) {
    console.log(`Component ${appid} at ${base}/callback/${appid}`);
    let account: CheckedAccount | undefined;
    const onResult = (result: CheckResult): void => {
      if (account !== result.account) {
        ({ account } = result);
        console.log(`\n${account.type} ${account.appid} (${account.userName})`);
      }
      console.log(lineOf(result));
    };
    const component = { appid, secret, token, encodingAesKey };
    const messageUrl = `${base}/callback/${appid}/$APPID$`;
    results.push(...(await runReleaseCheck(simulator, { component, messageUrl, onResult })));
  }
  const failed = results.filter(({ ok }) => !ok).length;
  console.log(
    failed === 0
      ? `\nAll ${results.length} steps passed. WeChat's own check also needs the URLs, the IP whitelist and\nthe permission sets of the console: docs/release-check.md.`
      : `\n${failed} of ${results.length} steps FAILED. docs/release-check.md explains each of them.`,
  );
  return failed === 0;
}

function lineOf({ step, ok, detail, tookMs }: CheckResult): string {
  const line = `  ${ok ? 'ok    ' : 'FAILED'} ${String(tookMs).padStart(5)} ms  ${step.padEnd(13)}${detail}`;
  return ok ? line : `${line}\n                    What to do: ${ADVICE[step]}.`;
}
